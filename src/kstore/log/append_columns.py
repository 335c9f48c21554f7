"""Appending columns: batches are made natively of arrays, then go the way of every batch.

Loads numpy. Runs on the thread of the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from kstore._native.batch import HEADER_SIZE, BatchHeader
from kstore._native.column_writer import BatchEncoder, pack_headers
from kstore.log.append import Appended, Origin, append_batch
from kstore.log.columns import as_column, rebuilt
from kstore.log.compression import Codec, compress
from kstore.log.state import LogState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kstore.log.columns import Strings

    Headers: TypeAlias = Sequence[Iterable[tuple[str, bytes | None]] | None]

__all__ = ["append_columns"]

_NEVER = (1 << 63) - 1


def append_columns(
    log: LogState,
    values: Strings,
    keys: Strings | None,
    timestamps_ms: NDArray[Any] | Sequence[int] | None,
    headers: Headers | None,
    *,
    compression: int | str,
    batch_size: int,
    now_ms: int,
) -> Appended:
    """See `Log.append_columns`."""
    codec = Codec.of(compression)
    encoder = _encoder(values, keys, timestamps_ms, headers, now_ms)
    first = last = None
    size = 0
    while (made := encoder.next_batch(min(batch_size, log.rules.max_size))) is not None:
        batch, header = made
        if codec:
            compressed = rebuilt(header, codec, compress(codec, batch[HEADER_SIZE:]))
            last = append_batch(log, compressed, now_ms, Origin.CLIENT)
        else:
            built = header if _is_fit(log, header, now_ms) else None
            last = append_batch(log, batch, now_ms, Origin.CLIENT, built)
        first = first or last
        size += last.size
    if first is None or last is None:
        raise ValueError("there is no record to append")
    return Appended(
        first.base_offset,
        last.last_offset,
        last.log_append_time_ms,
        last.log_start_offset,
        False,
        size,
    )


def _encoder(
    values: Strings,
    keys: Strings | None,
    timestamps_ms: NDArray[Any] | Sequence[int] | None,
    headers: Headers | None,
    now_ms: int,
) -> BatchEncoder:
    """Raises ValueError if one column is longer than another, TypeError for what is no column."""
    column = as_column(values)
    count = len(column)
    key_column = None if keys is None else as_column(keys)
    timestamps = None if timestamps_ms is None else np.ascontiguousarray(timestamps_ms)
    if timestamps is not None and timestamps.dtype.kind not in "iu":
        raise TypeError(f"timestamps are integers of milliseconds, not {timestamps.dtype}")
    for name, other in (("keys", key_column), ("timestamps", timestamps), ("headers", headers)):
        if other is not None and len(other) != count:
            raise ValueError(f"{count} values and {len(other)} {name}")
    packed_headers = None
    if headers is not None:
        table = np.empty((2, count), np.int64)
        packed_headers = (pack_headers(headers, table.data), table[0].data, table[1].data)
    return BatchEncoder(
        count,
        values=column.buffers(),
        keys=None if key_column is None else key_column.buffers(),
        headers=packed_headers,
        timestamps=None if timestamps is None else timestamps.astype(np.int64, copy=False).data,
        timestamp_ms=now_ms,
    )


def _is_fit(log: LogState, header: BatchHeader, now_ms: int) -> bool:
    """Whether the log takes a batch made here as it is, whatever its records are.

    If not, or if that depends on single records, the batch is checked like any other.
    """
    rules = log.rules
    return (
        header.size <= rules.max_size
        and not rules.keys_required
        and not rules.log_append_time
        and rules.before_max_ms == _NEVER
        and header.max_timestamp - now_ms <= rules.after_max_ms
    )
