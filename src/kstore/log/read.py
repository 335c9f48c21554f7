"""Reading: from an offset to a slice of a segment's bytes.

Nothing is decoded and nothing is copied: the index says where to begin, a walk over a few headers
finds the batch, and the answer is a place in a file. Runs on the thread of the log.

Source: Kafka's LocalLog.read, LogSegment.read.
"""

from __future__ import annotations

import logging

from kstore.errors import CorruptLogError, ErrorCode, KafkaError
from kstore.log.slices import Slice
from kstore.log.state import LogState
from kstore.log.transaction_index import aborted_from

__all__ = ["corrupt", "read_slice"]

logger = logging.getLogger("kstore.log")


def read_slice(
    log: LogState,
    offset: int,
    max_size: int,
    upto_offset: int,
    *,
    at_least_one: bool,
    wait: bool = True,
) -> Slice | None:
    """Bytes from the batch that holds `offset`, of one segment, at most `max_size` of them.

    They end before the batch that holds `upto_offset`; the last batch may be cut by `max_size`, but
    never the first: if that is larger, it comes whole with `at_least_one`, else nothing does.
    Raises KafkaError: OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR; NotInMemory
    without `wait`.
    """
    if log.failed is not None or log.closed:
        log.check_usable()
    log_end_offset = log.log_end_offset
    if not log.log_start_offset <= offset <= log_end_offset:
        raise KafkaError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"offset {offset} of partition {log.name} is not in the log, which holds "
            f"{log.log_start_offset} to {log_end_offset}",
        )
    if offset >= upto_offset or (max_size <= 0 and not at_least_one):
        return None
    segments = log.segments
    try:
        for index in range(max(0, segments.floor(offset)), len(segments)):
            segment = segments[index]
            found = segment.find(offset, wait=wait)
            if found is None:
                continue
            position, first_size = found
            end = segment.size
            if upto_offset < log_end_offset:
                end = _limit(log, index, upto_offset, end)
            if first_size > max_size:
                if not at_least_one:
                    return None
                max_size = first_size
            size = min(end - position, max_size)
            return segment.slice(position, size) if size > 0 else None
    except CorruptLogError as error:
        raise corrupt(error) from error
    except OSError as error:
        raise log.disk_error(error, "reading from") from error
    return None


def _limit(log: LogState, index: int, upto_offset: int, end: int) -> int:
    """Where reading the segment at `index`, which ends at `end`, is to stop for `upto_offset`."""
    if upto_offset >= log.segments.end_of(index, log.log_end_offset):
        return end
    found = log.segments[index].find(upto_offset)
    return end if found is None else found[0]


def corrupt(error: CorruptLogError) -> KafkaError:
    """What a reader is told about a file that is not as it should be."""
    logger.error("corrupt log: %s", error)
    return KafkaError(ErrorCode.CORRUPT_MESSAGE, str(error))


def aborted_in(
    log: LogState, offset: int, records: Slice, upto_offset: int
) -> list[tuple[int, int]]:
    """(producer id, first offset) of the aborted transactions that a reader of `records` has to
    know, which `read_slice` gave for `offset` and `upto_offset`; or of some more.

    Source: Kafka's LocalLog.addAbortedTransactions.
    """
    segments = log.segments
    index = max(0, segments.floor(offset))
    while segments[index].path != records.path:
        index += 1
    found = []
    end = -1
    try:
        for later in range(index, len(segments)):
            for transaction in aborted_from(log, segments[later], offset):
                if end < 0:
                    end = min(upto_offset, _end_of(log, index, records))
                if transaction.first_offset < end:
                    found.append((transaction.producer_id, transaction.first_offset))
                if transaction.last_stable_offset >= end:
                    return found
    except CorruptLogError as error:
        raise corrupt(error) from error
    except OSError as error:
        raise log.disk_error(error, "reading from") from error
    return found


def _end_of(log: LogState, index: int, records: Slice) -> int:
    """The offset where `records` of the segment at `index` end, or one a little behind."""
    behind = log.segments[index].offsets.offset_behind(records.position + records.size)
    return log.segments.end_of(index, log.log_end_offset) if behind is None else behind
