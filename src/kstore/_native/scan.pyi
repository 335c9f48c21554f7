from typing import Final

from typing_extensions import Buffer

from kstore._native.batch import BatchHeader
from kstore._native.index import SegmentIndexer

__all__ = [
    "BACKWARDS",
    "check_run",
    "copy_out",
    "find_batch",
    "find_newer",
    "index_run",
    "is_zero",
    "read_headers",
]

BACKWARDS: Final[int]

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
def copy_out(data: Buffer) -> bytes: ...
