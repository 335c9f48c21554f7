from typing import Final, Self, final

from typing_extensions import Buffer

from kstore._native.batch import BatchHeader
from kstore._native.index import SegmentIndexer

__all__ = ["AHEAD", "FITS", "GROW", "ROLL", "SPILL", "WRITE", "SegmentWriter", "touch"]

AHEAD: Final[int]
FITS: Final[int]
GROW: Final[int]
ROLL: Final[int]
SPILL: Final[int]
WRITE: Final[int]

def touch(map: Buffer, position: int) -> None: ...

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
    ahead_at: int
    write_from: int
    @property
    def wrote_last(self) -> bool: ...
    @property
    def head(self) -> bytes | None: ...
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
    def wrote(self, header: BatchHeader) -> int: ...
    def failed_to_write(self, header: BatchHeader) -> None: ...
    def find(self, index_file: Buffer, file_count: int, offset: int) -> tuple[int, int]: ...
    def cut(self, size: int) -> None: ...
