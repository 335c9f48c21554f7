from typing import Final, Self, final

from typing_extensions import Buffer

from kstore._native.batch import BatchHeader
from kstore._native.index import SegmentIndexer

__all__ = [
    "BACKWARDS",
    "FITS",
    "GROW",
    "ROLL",
    "SPILL",
    "SegmentWriter",
    "check_run",
    "find_batch",
    "find_newer",
    "index_run",
    "is_zero",
    "read_headers",
]

FITS: Final[int]
GROW: Final[int]
ROLL: Final[int]
SPILL: Final[int]
BACKWARDS: Final[int]

@final
class SegmentWriter:
    def __new__(cls, indexer: SegmentIndexer, size: int) -> Self: ...
    @property
    def indexer(self) -> SegmentIndexer: ...
    @property
    def size(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    max_size: int
    roll_ms: int
    created_ms: int
    first_timestamp: int
    max_offset_entries: int
    max_time_entries: int
    def attach(self, map: Buffer) -> None: ...
    def detach(self) -> None: ...
    def append(
        self,
        data: Buffer,
        header: BatchHeader,
        base_offset: int,
        leader_epoch: int,
        now_ms: int,
    ) -> int: ...
    def cut(self, size: int) -> None: ...

def find_batch(data: Buffer, position: int, end: int, offset: int) -> tuple[int, int]: ...
def find_newer(data: Buffer, position: int, end: int, timestamp_ms: int) -> tuple[int, int]: ...
def check_run(data: Buffer, base_offset: int, next_offset: int) -> tuple[int, int, int]: ...
def index_run(
    data: Buffer,
    end: int,
    file_position: int,
    indexer: SegmentIndexer,
    leader_epoch: int,
) -> list[tuple[int, int]]: ...
def is_zero(data: Buffer, start: int = 0) -> bool: ...
def read_headers(data: Buffer, file_position: int) -> list[BatchHeader]: ...
