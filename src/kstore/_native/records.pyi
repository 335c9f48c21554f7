from collections.abc import Iterable
from typing import final

from typing_extensions import Buffer

from kstore._native.batch import BatchHeader

__all__ = [
    "Record",
    "assemble_batch",
    "decode_records",
    "encode_records",
    "find_max_timestamp",
    "find_timestamp",
]

@final
class Record:
    __match_args__ = ("offset", "timestamp_ms", "key", "value", "headers")
    def __init__(
        self,
        offset: int = -1,
        timestamp_ms: int = -1,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> None: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp_ms(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> tuple[tuple[str, bytes | None], ...]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

_Bytes = bytes | bytearray | memoryview
_RecordLike = (
    Record
    | tuple[_Bytes | None, _Bytes | None]
    | tuple[_Bytes | None, _Bytes | None, int | None]
    | tuple[_Bytes | None, _Bytes | None, int | None, Iterable[tuple[str, _Bytes | None]]]
)

def decode_records(
    header: BatchHeader, data: Buffer, start: int, end: int, from_offset: int = 0
) -> list[Record]: ...
def find_timestamp(
    header: BatchHeader,
    data: Buffer,
    start: int,
    end: int,
    timestamp_ms: int,
    from_offset: int = 0,
) -> tuple[int, int] | None: ...
def find_max_timestamp(
    header: BatchHeader, data: Buffer, start: int, end: int
) -> tuple[int, int] | None: ...
def encode_records(
    records: Iterable[_RecordLike], timestamp_ms: int = -1
) -> tuple[bytes, int, int, int]: ...
def assemble_batch(
    records: Buffer,
    *,
    base_offset: int,
    leader_epoch: int,
    attributes: int,
    last_offset_delta: int,
    base_timestamp: int,
    max_timestamp: int,
    producer_id: int,
    producer_epoch: int,
    base_sequence: int,
    record_count: int,
) -> bytes: ...
