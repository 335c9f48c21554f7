"""Recovery of a segment: how much of it can be trusted, and its indexes anew.

Every batch is read once: its CRC is checked, and noted is what indexes, leader epochs and producers
are made of (`_native.recovery`). The first bytes that are no sound batch end the segment: they are
reported with file and position, kept beside it, and cut off. Zeros up to the end of the file are no
damage: that is room that was preallocated and never written.

`recover_segment` may run in any thread, for several segments of a log at a time: it changes nothing
of the log itself. Reading and checking free the GIL. Source: Kafka's LogSegment.recover.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

from crc32c import crc32c

from kstore._native.batch import (
    BAD_CRC,
    BAD_LENGTH,
    BAD_MAGIC,
    HEADER_SIZE,
    OLD_MAGIC,
    TORN,
    BatchError,
    BatchHeader,
    parse_header,
)
from kstore._native.index import SegmentIndexer
from kstore._native.recovery import SegmentScan
from kstore._native.scan import BACKWARDS, is_zero
from kstore.errors import CorruptLogError, StoreError
from kstore.log.aside import keep_tail
from kstore.log.handles import Handle
from kstore.log.segment import NONE_ABORTED, Segment
from kstore.log.state import LogState

__all__ = ["Recovered", "check_large", "cut_off", "recover_segment"]

_CHUNK_SIZE = 1 << 20
_LENGTH_END = 12  # of base offset and batch length, which come first in every format
_CRC_END = 21
_OLD_CRC_END = 16

_REASONS = {
    TORN: "the batch is cut",
    BAD_LENGTH: "no batch begins here",
    OLD_MAGIC: "no batch begins here",
    BAD_MAGIC: "no batch begins here",
    BAD_CRC: "the CRC of the batch does not match",
    BACKWARDS: "the offsets of the batch don't follow those before it",
}


class Recovered(NamedTuple):
    """What recovery found in a segment: `size` bytes of sound batches.

    `cut_size` bytes behind them are not all zero, or else `zero_size` are. `epochs` are those that
    begin here, `batches` those that the producers are known by; see `SegmentScan`.
    """

    size: int
    next_offset: int
    fault: CorruptLogError | None
    cut_size: int
    zero_size: int
    epochs: list[tuple[int, int]]
    batches: list[BatchHeader] | None


def recover_segment(log: LogState, segment: Segment, told: Callable[[int], None]) -> Recovered:
    """Checks the segment and builds its indexes again; `cut_off` is to follow.

    `told` is told how many bytes were looked at, time and again. Raises OSError, and StoreError for
    a segment in a format older than this store reads.
    """
    file_size = segment.size
    transactions = segment.paths()[3]
    log.files.delete(transactions, missing_ok=True)
    log.handles.forget(transactions)
    segment.last_aborted = NONE_ABORTED
    indexer = SegmentIndexer(segment.base_offset, log.config.index_interval_bytes)
    segment.offsets.begin_anew(indexer.offsets)
    segment.times.begin_anew(indexer.times)
    handle = log.handles.get(segment.path)
    scan = SegmentScan(indexer)
    fault = _walk(segment, handle, file_size, scan, told)
    position = scan.position
    report = None
    zero_size = cut_size = 0
    if position < file_size:
        if _is_unwritten(handle, position, file_size):
            zero_size = file_size - position
        else:
            cut_size = file_size - position
            report = CorruptLogError(str(segment.path), position, _REASONS[fault])
    indexer.finish()
    segment.offsets.end_anew()
    segment.times.end_anew()
    segment.recovered(position, indexer.max_timestamp, indexer.max_timestamp_offset)
    batches = scan.producer_batches()
    return Recovered(position, scan.next_offset, report, cut_size, zero_size, scan.epochs, batches)


def cut_off(log: LogState, segment: Segment, found: Recovered) -> None:
    """Cuts the file of a segment to its sound batches. Raises OSError."""
    if found.cut_size:
        keep_tail(log.files, segment.path, found.size, found.cut_size)
    if found.cut_size or found.zero_size:
        log.files.truncate(log.handles.get(segment.path).descriptor, found.size)


def _walk(
    segment: Segment,
    handle: Handle,
    file_size: int,
    scan: SegmentScan,
    told: Callable[[int], None],
) -> int:
    """Takes the segment's sound batches into `scan`; the fault behind them, 0 at the end."""
    buffer = memoryview(bytearray(min(_CHUNK_SIZE, file_size)))
    while (position := scan.position) < file_size:
        size = handle.read_into(buffer[: file_size - position], position)
        if not size:
            return TORN
        fault = scan.check(buffer[:size])
        if fault == TORN and scan.position == position:
            header = check_large(handle, position, file_size)
            if header is None:
                return TORN
            fault = scan.take(header)
        segment.offsets.spill_if_room()
        segment.times.spill_if_room()
        told(scan.position - position)
        if fault == OLD_MAGIC and _is_old_message(handle, scan.position, file_size):
            raise StoreError(
                f"{segment.path} at position {scan.position}: a message of a format before Kafka "
                "0.11, which kstore does not read"
            )
        if fault and fault != TORN:
            return fault
    return 0


def check_large(handle: Handle, position: int, file_size: int) -> BatchHeader | None:
    """The header of a batch larger than what is read at a time; None if it is not whole.

    Its CRC is taken piece by piece: a length that was damaged must not cost as much memory.
    """
    try:
        header = parse_header(handle.read(HEADER_SIZE, position))
    except BatchError:
        return None
    end = position + header.size
    if end > file_size:
        return None
    crc = 0
    at = position + _CRC_END
    while at < end:
        piece = handle.read(min(_CHUNK_SIZE, end - at), at)
        if not piece:
            return None
        crc = crc32c(piece, crc)
        at += len(piece)
    return header if crc == header.crc else None


def _is_old_message(handle: Handle, position: int, file_size: int) -> bool:
    """Is this a message of magic 0 or 1, rather than damage that looks like one?"""
    head = handle.read(_OLD_CRC_END, position)
    size = _LENGTH_END + int.from_bytes(head[8:_LENGTH_END], "big")
    if len(head) < _OLD_CRC_END or size > min(file_size - position, _CHUNK_SIZE):
        return False
    body = handle.read(size - _OLD_CRC_END, position + _OLD_CRC_END)
    return zlib.crc32(body) == int.from_bytes(head[_LENGTH_END:], "big")


def _is_unwritten(handle: Handle, position: int, file_size: int) -> bool:
    while position < file_size:
        data = handle.read(min(_CHUNK_SIZE, file_size - position), position)
        if not data or not is_zero(data):
            return not data
        position += len(data)
    return True
