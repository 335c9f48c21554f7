"""Segments that are no longer part of a log: taken out of it at once, their files removed later.

Only whole segments go, and only from the front; the active one stays, so there is always one. Files
are removed from the oldest segment on, each log before its indexes, so that a crash leaves a log
without a hole. Source: Kafka's UnifiedLog.deleteLogStartOffsetBreachedSegments.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from kstore.log.roll import roll
from kstore.log.segment import Segment
from kstore.log.state import LogState

__all__ = ["remove_files", "take_below_start"]

logger = logging.getLogger("kstore.log")


def take_below_start(log: LogState) -> list[Segment]:
    """Takes out the segments that lie wholly below the log's start; thread of the log.

    A log of which nothing is left begins a new segment first. Kafka keeps the old one until it is
    rolled by time or size; here its room is wanted, most of all on a full disk. If there is no room
    to roll it stays here too. Raises KafkaError KAFKA_STORAGE_ERROR.
    """
    log.check_usable()
    if log.log_start_offset == log.log_end_offset > log.segments.active.base_offset:
        try:
            roll(log, log.log_end_offset, log.runtime.time_ms())
        except OSError as error:
            logger.warning("%s", log.disk_error(error, "rolling").message)
    below = log.segments.take_first(log.segments.floor(log.log_start_offset))
    for segment in below:
        logger.info("removing %s, which is below the start %d", segment, log.log_start_offset)
    return below


def remove_files(log: LogState, segments: Iterable[Segment]) -> None:
    """Removes the files of segments that were taken out; slices of them stay readable.

    Their room is free on return, but for such slices: a sync that still holds the files, as that
    of a roll may, is finished first. Any thread, but not after the log's directory was given to
    another one. Raises OSError.
    """
    log.finish_jobs()
    for segment in segments:
        segment.delete()
