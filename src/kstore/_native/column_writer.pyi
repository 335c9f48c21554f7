from collections.abc import Iterable
from typing import Self, TypeAlias, final

from typing_extensions import Buffer

from kstore._native.batch import BatchHeader

__all__ = ["BatchEncoder", "gather", "pack", "pack_headers"]

_Column: TypeAlias = tuple[Buffer, Buffer, Buffer]

@final
class BatchEncoder:
    def __new__(
        cls,
        count: int,
        *,
        values: _Column | None = None,
        keys: _Column | None = None,
        headers: _Column | None = None,
        timestamps: Buffer | None = None,
        timestamp_ms: int = -1,
    ) -> Self: ...
    def next_batch(self, max_size: int) -> tuple[memoryview, BatchHeader] | None: ...

def gather(column: _Column, count: int, target: Buffer) -> None: ...
def pack(strings: Iterable[bytes | None], table: Buffer) -> bytes: ...
def pack_headers(
    headers: Iterable[Iterable[tuple[str, bytes | None]] | None], table: Buffer
) -> bytes: ...
