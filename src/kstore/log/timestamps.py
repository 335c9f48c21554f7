"""Offsets by time: what ListOffsets asks for.

Segments know their largest timestamp, the time index leads close to the batch, and only that batch
is looked into, decompressed if need be. Runs on the thread of the log.

Source: Kafka's UnifiedLog.fetchOffsetByTimestamp, FileRecords.searchForTimestamp.
"""

from __future__ import annotations

from typing import NamedTuple

from kstore._native.batch import parse_header
from kstore.errors import CorruptLogError
from kstore.log.read import corrupt
from kstore.log.records import find_record_by_timestamp, find_record_with_max_timestamp
from kstore.log.search import position_near
from kstore.log.segment import Segment
from kstore.log.state import LogState

__all__ = ["TimestampAndOffset", "find_max_timestamp", "find_offset_for_timestamp"]


class TimestampAndOffset(NamedTuple):
    """A record by its timestamp; `leader_epoch` is -1 if its batch has none."""

    timestamp_ms: int
    offset: int
    leader_epoch: int


def find_offset_for_timestamp(log: LogState, timestamp_ms: int) -> TimestampAndOffset | None:
    """The first record whose timestamp is not before `timestamp_ms`; None if there is none.

    Raises KafkaError: CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
    """
    log.check_usable()
    try:
        for segment in log.segments.all():
            if segment.largest_timestamp() >= timestamp_ms:
                found = _search(log, segment, timestamp_ms)
                if found is not None:
                    return found
    except CorruptLogError as error:
        raise corrupt(error) from error
    except OSError as error:
        raise log.disk_error(error, "reading from") from error
    return None


def _search(log: LogState, segment: Segment, timestamp_ms: int) -> TimestampAndOffset | None:
    start = max(segment.times.lookup(timestamp_ms).offset, log.log_start_offset)
    position = position_near(segment, start)
    while (batch := segment.find_newer(timestamp_ms, position)) is not None:
        position, size = batch
        data = segment.read(position, size)
        header = parse_header(data)
        found = find_record_by_timestamp(
            header, data, timestamp_ms, from_offset=log.log_start_offset
        )
        if found is not None:
            return TimestampAndOffset(*found, max(-1, header.leader_epoch))
        position += size
    return None


def find_max_timestamp(log: LogState) -> TimestampAndOffset | None:
    """The first record with the largest timestamp of the log; None if no record has one.

    Raises KafkaError: CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
    """
    log.check_usable()
    try:
        segment = max(log.segments.all(), key=lambda segment: segment.max_time().timestamp_ms)
        timestamp_ms, offset = segment.max_time()
        if timestamp_ms < 0:
            return None
        batch = segment.find(offset)
        if batch is None:
            return None
        data = segment.read(*batch)
        header = parse_header(data)
        found = find_record_with_max_timestamp(header, data)
    except CorruptLogError as error:
        raise corrupt(error) from error
    except OSError as error:
        raise log.disk_error(error, "reading from") from error
    if found is None:
        return None
    return TimestampAndOffset(*found, max(-1, header.leader_epoch))
