"""Rolling: the active segment is sealed, a new one begins.

The old segment gets its last time index entry, and its indexes are written out. A worker trims its
file to what is written, leaves a snapshot of the producers where the new segment begins, and syncs
all that; only then the recovery point passes it. The new segment was made ahead of need if the log
is busy (`ahead`), else it is made now. If the disk is full at any of these steps, the log is as
good as before and the next append tries again.

Runs on the thread of the log. Source: Kafka's UnifiedLog.roll, LocalLog.roll.
"""

from __future__ import annotations

import logging

from kstore.log.flush import flush_in_worker
from kstore.log.segment import Segment
from kstore.log.snapshots import snapshot_task
from kstore.log.state import LogState
from kstore.log.tasks import Task

__all__ = ["make_ahead", "roll"]

logger = logging.getLogger("kstore.log")


def roll(log: LogState, base_offset: int, now_ms: int) -> None:
    """Begins a segment at `base_offset`, which is at or above the log's end. Raises OSError."""
    old = log.segments.active
    assert base_offset > old.base_offset, f"{old} can't be followed by one at {base_offset}"
    old.seal()
    log.writer = None
    # Before there is a new one: see `LogState.recovered_from`.
    log.recovery_point = min(log.recovery_point, old.base_offset)
    log.segments.add(_new_segment(log, base_offset, now_ms))
    logger.debug("rolled %s at offset %d", log.name, base_offset)
    before = snapshot_task(log, base_offset)
    flush_in_worker(log, base_offset, sealed=old.base_offset, before=before)


def _new_segment(log: LogState, base_offset: int, now_ms: int) -> Segment:
    ahead, log.next_segment = log.next_segment, None
    if ahead is not None:
        new = Segment.take(log.handles, log.directory, base_offset, now_ms, ahead)
        if new is not None:
            log.writer = new.activate(log.config, log.roll_ms)
            return new
    return Segment.create(log.handles, log.directory, base_offset, now_ms)


def make_ahead(log: LogState) -> None:
    """Has a worker make what the active segment needs next: more room, or the next segment.

    Memory is not asked for where batches don't go through the map, nor where syncs are frequent:
    they would write all of it.
    """
    touched = not (log.flushes or (log.writer is not None and log.writer.wrote_last))
    try:
        task: Task | None = log.segments.active.room_ahead(touched=touched)
    except OSError:
        return  # its file can't be opened; that is met at need
    if task is None and log.next_segment is None:
        task = log.next_segment = log.segments.active.next_ahead(touched=touched)
    if task is not None:
        log.runtime.run_in_worker(task.run)
