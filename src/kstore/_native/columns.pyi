from typing import Final

from typing_extensions import Buffer

__all__ = ["ROW_COUNT", "fill_table", "read_record_headers", "survey"]

ROW_COUNT: Final[int]

def survey(
    data: Buffer, max_size: int, max_count: int, *, crc: bool = True
) -> tuple[int, int, bool]: ...
def fill_table(data: Buffer, size: int, from_offset: int, table: Buffer) -> tuple[int, int]: ...
def read_record_headers(
    data: Buffer, position: int, count: int
) -> tuple[tuple[str, bytes | None], ...]: ...
