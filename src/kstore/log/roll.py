"""Rolling: the active segment is sealed, a new one begins.

The old segment gets its last time index entry, its indexes are written out, its file is trimmed to
what is written; all that is synced in a worker, and only then the recovery point passes it. A
snapshot of the producers is left where the new segment begins. If the disk is full at any of these
steps, the log is as good as before and the next append tries again.

Runs on the thread of the log. Source: Kafka's UnifiedLog.roll, LocalLog.roll.
"""

from __future__ import annotations

import logging

from kstore.log.flush import flush_in_worker
from kstore.log.segment import Segment
from kstore.log.snapshots import write_snapshot
from kstore.log.state import LogState

__all__ = ["roll"]

logger = logging.getLogger("kstore.log")


def roll(log: LogState, base_offset: int, now_ms: int) -> None:
    """Begins a segment at `base_offset`, which is at or above the log's end. Raises OSError."""
    old = log.segments.active
    assert base_offset > old.base_offset, f"{old} can't be followed by one at {base_offset}"
    old.seal()
    log.writer = None
    new = Segment.create(log.handles, log.directory, base_offset, now_ms)
    log.segments.add(new)
    logger.debug("rolled %s at offset %d", log.name, base_offset)
    snapshot = log.handles.get(write_snapshot(log, base_offset))
    flush_in_worker(log, base_offset, also=snapshot)
