"""Records as columns: numpy arrays with one item per record, and no Python object for any of them.

What is read is one copy of the bytes of some batches and arrays that point into it; walking,
checking and searching are native. numpy is loaded with this module, and nothing else of kstore
loads it. Reading and appending run on the thread of the log; columns are values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from kstore._native.batch import HEADER_SIZE, BatchError, BatchHeader, walk
from kstore._native.column_writer import gather, pack
from kstore._native.columns import ROW_COUNT, fill_table, read_record_headers, survey
from kstore._native.records import assemble_batch
from kstore.errors import ErrorCode, KafkaError
from kstore.log.compression import Codec, decompress
from kstore.log.read import read_slice
from kstore.log.state import LogState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from typing_extensions import Buffer

    Integers: TypeAlias = NDArray[np.int64]
    Strings: TypeAlias = "BinaryColumn | Sequence[bytes | None] | NDArray[Any]"

__all__ = ["BinaryColumn", "Columns", "as_column", "read_columns", "rebuilt"]

_CODEC_BITS = 0x07


@dataclass(frozen=True, slots=True, eq=False)
class BinaryColumn:
    """Byte strings, each `sizes[i]` bytes from `positions[i]` of `data` on; a size of -1 is null.

    Strings may share bytes and stand in any order, so choosing some (`column.take(mask)`) copies
    none. `column[i]` is one of them as bytes or None.
    """

    data: Buffer
    positions: Integers
    sizes: Integers

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> bytes | None:
        position, size = int(self.positions[index]), int(self.sizes[index])
        return None if size < 0 else bytes(memoryview(self.data)[position : position + size])

    def take(self, which: Integers | NDArray[np.bool_] | slice) -> BinaryColumn:
        """Those that numpy's indexing with `which` gives: a mask, indices or a slice."""
        return BinaryColumn(self.data, self.positions[which], self.sizes[which])

    def arrow_buffers(self) -> tuple[NDArray[np.uint8] | None, Integers, NDArray[np.uint8]]:
        """The strings as Arrow's `large_binary` lays them out: (validity, offsets, data).

        `validity` has a bit for each, the lowest of a byte first, and is None if none is null. The
        strings are copied once, one after the other. Raises ValueError for one that is not in
        `data`.
        """
        sizes = np.maximum(self.sizes, 0)
        offsets = np.zeros(len(self) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        gather(self.buffers(), len(self), data.data)
        is_valid = self.sizes >= 0
        validity = None if bool(is_valid.all()) else np.packbits(is_valid, bitorder="little")
        return validity, offsets, data

    def buffers(self) -> tuple[Buffer, Buffer, Buffer]:
        """What native code takes: the data, and positions and sizes without gaps, of int64."""
        return (
            self.data,
            np.ascontiguousarray(self.positions, np.int64).data,
            np.ascontiguousarray(self.sizes, np.int64).data,
        )

    def to_list(self) -> list[bytes | None]:
        """All of them as Python objects."""
        data = memoryview(self.data)
        return [
            None if size < 0 else bytes(data[position : position + size])
            for position, size in zip(self.positions.tolist(), self.sizes.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Records that follow each other in a log; item i of each array is of the same record.

    All arrays are of int64. `next_offset` is where to read on. Positions, also those of the first
    header of each record, are in `data`. A record without a header has a `header_counts` of 0.
    """

    data: Buffer
    offsets: Integers
    timestamps_ms: Integers
    keys: BinaryColumn
    values: BinaryColumn
    header_positions: Integers
    header_counts: Integers
    next_offset: int

    def __len__(self) -> int:
        return len(self.offsets)

    def headers(self, index: int) -> tuple[tuple[str, bytes | None], ...]:
        """The headers of one record: pairs of a name and bytes or None."""
        position, count = int(self.header_positions[index]), int(self.header_counts[index])
        return read_record_headers(self.data, position, count)


def as_column(strings: Strings) -> BinaryColumn:
    """A column of `strings`, for which see `Log.append_columns`. Raises TypeError, ValueError."""
    if isinstance(strings, BinaryColumn):
        return strings
    if not isinstance(strings, np.ndarray) or strings.dtype.kind == "O":
        table = np.empty((2, len(strings)), np.int64)
        return BinaryColumn(pack(strings, table.data), table[0], table[1])
    if strings.dtype.kind == "U" or strings.ndim == 0:
        raise TypeError(f"a record is made of bytes, not of {strings.dtype}")
    items = np.ascontiguousarray(strings)
    size = items.nbytes // len(items) if len(items) else 0
    if strings.dtype.kind == "S" and strings.ndim == 1:
        sizes = np.char.str_len(items).astype(np.int64)  # numpy fills up with zeros
    else:
        sizes = np.full(len(items), size, np.int64)
    return BinaryColumn(
        items.reshape(-1).view(np.uint8).data, np.arange(len(items), dtype=np.int64) * size, sizes
    )


def read_columns(log: LogState, offset: int, max_size: int, max_count: int | None) -> Columns:
    """The records from `offset` on, of one segment, without control records.

    Reads whole batches, of at most `max_size` bytes together when they are not compressed, but at
    least one. What stands before a damaged batch comes first. Raises KafkaError:
    OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE for damage where reading begins, KAFKA_STORAGE_ERROR.
    """
    if max_count is None:
        max_count = max_size
    if max_size < 1 or max_count < 1:
        raise ValueError("reading needs room for a byte and a record")
    found = read_slice(log, offset, max_size, log.log_end_offset, at_least_one=True)
    if found is None:
        return _columns(b"", np.empty((ROW_COUNT, 0), np.int64), max(offset, log.log_end_offset))
    try:
        data = found.read()
    except OSError as error:
        raise log.disk_error(error, "reading from") from error
    finally:
        found.release()
    try:
        size, count, compressed = survey(data, max_size, max_count)
        if compressed:
            data = _plain(memoryview(data)[:size], max_size, max_count)
            size, count, _ = survey(data, max_size, max_count, crc=False)
    except BatchError as error:
        raise KafkaError(
            ErrorCode.CORRUPT_MESSAGE,
            f"{log.name}: {found.position + error.position}: {error.reason}",
        ) from None
    table = np.empty((ROW_COUNT, min(count, max_count)), np.int64)
    count, next_offset = fill_table(data, size, offset, table.data)
    return _columns(data, table[:, :count], next_offset)


def _columns(data: bytes, table: NDArray[np.int64], next_offset: int) -> Columns:
    return Columns(
        data=data,
        offsets=table[0],
        timestamps_ms=table[1],
        keys=BinaryColumn(data, table[2], table[3]),
        values=BinaryColumn(data, table[4], table[5]),
        header_positions=table[6],
        header_counts=table[7],
        next_offset=next_offset,
    )


def _plain(data: memoryview, max_size: int, max_count: int) -> bytes:
    """The batches of `data` with none compressed, as many as `survey` would take of them.

    Ends before a batch that can't be decompressed, unless that is the first.
    """
    batches: list[Buffer] = []
    size = count = 0
    for header in walk(data, crc=False):
        try:
            batch = _plain_batch(header, data[header.position : header.position + header.size])
        except KafkaError:
            if not batches:
                raise
            break
        size += len(batch)
        if batches and size > max_size:
            break
        batches.append(batch)
        count += max(0, header.record_count)
        if count >= max_count:
            break
    return b"".join(batches)


def _plain_batch(header: BatchHeader, batch: memoryview) -> memoryview | bytes:
    if not header.codec:
        return batch
    return rebuilt(header, Codec.NONE, decompress(header.codec, batch[HEADER_SIZE:]))


def rebuilt(header: BatchHeader, codec: Codec, records: Buffer) -> bytes:
    """The batch of `header` with its records in another codec: `records` as `codec` gave them."""
    return assemble_batch(
        records,
        base_offset=header.base_offset,
        leader_epoch=header.leader_epoch,
        attributes=header.attributes & ~_CODEC_BITS | codec,
        last_offset_delta=header.last_offset_delta,
        base_timestamp=header.base_timestamp,
        max_timestamp=header.max_timestamp,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
        record_count=header.record_count,
    )
