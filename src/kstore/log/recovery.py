"""Recovery of a segment: how much of it can be trusted, and its indexes anew.

Every batch is read and its CRC checked. The first bytes that are no sound batch end the segment:
they are cut off, and reported with file and position. Zeros up to the end of the file are no
damage: that is room that was preallocated and never written. Runs on the thread that loads the
log; reading and checking free the GIL.

Source: Kafka's LogSegment.recover.
"""

from __future__ import annotations

import logging
import zlib
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
from kstore._native.scan import BACKWARDS, check_run, index_run, is_zero
from kstore.errors import CorruptLogError, StoreError
from kstore.log.handles import Handle
from kstore.log.segment import Segment
from kstore.log.state import LogState

__all__ = ["Recovered", "check_large", "recover_segment"]

logger = logging.getLogger("kstore.log")

_CHUNK_SIZE = 1 << 20
_MAX_RELATIVE_OFFSET = (1 << 31) - 1
_MAX_OFFSET = (1 << 63) - 2
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
    """What recovery kept of a segment. `cut_size` bytes behind it were not zero, or the file ends
    in zeros and has `zero_size` of them."""

    next_offset: int
    fault: CorruptLogError | None
    cut_size: int
    zero_size: int


def recover_segment(log: LogState, segment: Segment, file_size: int) -> Recovered:
    """Checks the segment, builds its indexes again, trims its files.

    Raises OSError, and StoreError for a segment in a format older than this store reads.
    """
    transactions = segment.paths()[3]
    log.files.delete(transactions, missing_ok=True)
    indexer = SegmentIndexer(segment.base_offset, log.config.index_interval_bytes)
    segment.offsets.begin_anew(indexer.offsets)
    segment.times.begin_anew(indexer.times)
    handle = log.handles.get(segment.path)
    position, next_offset, fault = _walk(log, segment, handle, file_size, indexer)
    report = None
    zero_size = cut_size = 0
    if position < file_size:
        if _is_unwritten(handle, position, file_size):
            zero_size = file_size - position
        else:
            cut_size = file_size - position
            report = CorruptLogError(str(segment.path), position, _REASONS[fault])
        log.files.truncate(handle.descriptor, position)
    indexer.finish()
    segment.offsets.end_anew()
    segment.times.end_anew()
    segment.recovered(position, indexer.max_timestamp, indexer.max_timestamp_offset)
    return Recovered(next_offset, report, cut_size, zero_size)


def _walk(
    log: LogState, segment: Segment, handle: Handle, file_size: int, indexer: SegmentIndexer
) -> tuple[int, int, int]:
    """(position, next offset, fault) where the sound batches end."""
    position, next_offset = 0, segment.base_offset
    highest = min(segment.base_offset + _MAX_RELATIVE_OFFSET, _MAX_OFFSET)
    while position < file_size:
        data = handle.read(min(_CHUNK_SIZE, file_size - position), position)
        size, next_offset, fault = check_run(data, segment.base_offset, next_offset)
        if fault == TORN and size == 0:
            header = check_large(handle, position, file_size)
            if header is None:
                return position, next_offset, TORN
            if not next_offset <= header.base_offset <= header.last_offset <= highest:
                return position, next_offset, BACKWARDS
            data, size, fault = data[:HEADER_SIZE], header.size, 0
            next_offset = header.last_offset + 1
        for epoch, start_offset in index_run(
            data, min(size, len(data)), position, indexer, log.epochs.latest
        ):
            log.epochs.assign(epoch, start_offset)
        segment.offsets.spill_if_room()
        segment.times.spill_if_room()
        position += size
        if fault == OLD_MAGIC and _is_old_message(handle, position, file_size):
            raise StoreError(
                f"{segment.path} at position {position}: a message of a format before Kafka 0.11, "
                "which kstore does not read"
            )
        if fault and fault != TORN:
            return position, next_offset, fault
        if not size:
            return position, next_offset, TORN
    return position, next_offset, 0


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
