"""Retention: segments that are no longer part of a log, and their files.

What is too old or too much for a log (`expiry` chooses) moves the log's start; segments that lie
wholly below the start are taken out of the log at once, and their files follow in a worker: renamed
to `.deleted`, which nobody loads, and removed later, or removed outright. Only whole segments go,
and only from the front; there is always an active one. Files are renamed and removed from the
oldest segment on, each log before its indexes, so that a crash leaves a log without a hole.

Source: Kafka's UnifiedLog.deleteOldSegments, LocalLog.deleteSegmentFiles.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from kstore.log.expiry import choose_expired
from kstore.log.roll import roll
from kstore.log.segment import Segment
from kstore.log.state import LogState
from kstore.log.truncate import advance_log_start

__all__ = ["remove_files", "set_aside", "take_below_start", "take_expired"]

logger = logging.getLogger("kstore.log")


def take_expired(log: LogState, high_watermark: int, now_ms: int, limit: int) -> list[Segment]:
    """Takes out what retention lets go, and what lies below the log's start; thread of the log.

    At most about `limit` segments in one call, so more may be left. Only a `cleanup.policy` with
    `delete` lets anything go. An active segment that is older than `segment.ms` is followed by a
    new one, though nobody appends. Raises KafkaError KAFKA_STORAGE_ERROR.
    """
    log.check_usable()
    if "delete" in log.config.cleanup_policy:
        _move_start(log, high_watermark, now_ms, limit)
        _roll_if_old(log, now_ms)
    return take_below_start(log)


def _move_start(log: LogState, high_watermark: int, now_ms: int, limit: int) -> None:
    config = log.config
    try:
        expired = choose_expired(
            log.segments.all(),
            log.log_end_offset,
            size=log.segments.size,
            log_start_offset=log.log_start_offset,
            high_watermark=high_watermark,
            retention_bytes=config.retention_bytes,
            retention_ms=config.retention_ms,
            now_ms=now_ms,
            limit=limit,
        )
    except OSError as error:
        raise log.disk_error(error, "asking for the age of") from error
    if expired.by_size or expired.by_time:
        start = log.segments.end_of(expired.total - 1, log.log_end_offset)
        logger.info(
            "%s starts at %d now: %d segments are beyond retention.bytes=%d, "
            "%d older than retention.ms=%d",
            log.name,
            start,
            expired.by_size,
            config.retention_bytes,
            expired.by_time,
            config.retention_ms,
        )
        advance_log_start(log, start)


def _roll_if_old(log: LogState, now_ms: int) -> None:
    """Ends an active segment by the clock, where nobody appends who would end it.

    Kafka goes by the timestamps alone, and only at an append. Here both must be old, the segment
    and its first timestamp: old records that are copied in don't get a segment each time.
    """
    active = log.segments.active
    if active.size and now_ms - active.began_ms > log.roll_ms:
        _try_roll(log, now_ms)


def _try_roll(log: LogState, now_ms: int) -> None:
    try:
        roll(log, log.log_end_offset, now_ms)
    except OSError as error:
        logger.warning("%s", log.disk_error(error, "rolling").message)


def take_below_start(log: LogState) -> list[Segment]:
    """Takes out the segments that lie wholly below the log's start; thread of the log.

    A log of which nothing is left begins a new segment first. After DeleteRecords Kafka keeps the
    old one until it is rolled by time or size; here its room is wanted, most of all on a full disk.
    If there is no room to roll it stays here too. While the log is being compacted nothing is taken
    out. Raises KafkaError KAFKA_STORAGE_ERROR.
    """
    log.check_usable()
    if log.compaction is not None:
        return []
    if log.log_start_offset == log.log_end_offset > log.segments.active.base_offset:
        _try_roll(log, log.runtime.time_ms())
    below = log.segments.take_first(log.segments.floor(log.log_start_offset))
    if below:
        logger.info(
            "removing %d segments of %s, from %d on, which are below its start %d",
            len(below),
            log.name,
            below[0].base_offset,
            log.log_start_offset,
        )
    return below


def set_aside(log: LogState, segments: Iterable[Segment]) -> None:
    """Renames the files of segments that were taken out, so that none is loaded again.

    `remove_files` is to follow. What workers are yet to do with the files is done first: it would
    make some of them anew. Any thread, but not after the log's directory was given to another one.
    Raises OSError.
    """
    log.finish_jobs()
    for segment in segments:
        segment.set_aside()


def remove_files(log: LogState, segments: Iterable[Segment]) -> None:
    """Removes the files of segments that were taken out; slices of them stay readable.

    Their room is free on return, but for such slices: a sync that still holds the files, as that
    of a roll may, is finished first. Any thread, but not after the log's directory was given to
    another one, unless they were set aside before. Raises OSError.
    """
    log.finish_jobs()
    for segment in segments:
        segment.delete()
