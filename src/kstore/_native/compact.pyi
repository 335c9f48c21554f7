from typing import Final, Self

from typing_extensions import Buffer

from kstore._native.batch import BatchHeader
from kstore._native.key_map import KeyMap

__all__ = [
    "BY_KEY",
    "COPIED",
    "DROPPED",
    "EMPTIED",
    "FULL",
    "KEEP_ALL",
    "KEEP_NONE",
    "OTHER",
    "REWRITTEN",
    "RecordFilter",
    "map_batch",
    "map_run",
]

OTHER: Final[int]
FULL: Final[int]
BY_KEY: Final[int]
KEEP_ALL: Final[int]
KEEP_NONE: Final[int]
DROPPED: Final[int]
COPIED: Final[int]
REWRITTEN: Final[int]
EMPTIED: Final[int]

def map_run(map: KeyMap, data: Buffer, position: int, from_offset: int) -> tuple[int, int]: ...
def map_batch(
    map: KeyMap, header: BatchHeader, records: Buffer, start: int, end: int, from_offset: int
) -> bool: ...

class RecordFilter:
    def __new__(cls, map: KeyMap, now_ms: int, delete_horizon_ms: int, others: bytes) -> Self: ...
    @property
    def output_size(self) -> int: ...
    @property
    def records_read(self) -> int: ...
    @property
    def records_kept(self) -> int: ...
    @property
    def records_without_key(self) -> int: ...
    def take(self) -> bytes: ...
    def run(self, data: Buffer, position: int) -> tuple[int, int]: ...
    def rewrite(
        self,
        header: BatchHeader,
        batch: Buffer,
        records: Buffer,
        start: int,
        end: int,
        *,
        keep: int,
        keep_empty: bool,
        set_horizon: bool,
    ) -> int: ...
