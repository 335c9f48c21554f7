"""Group commit: those who wait until what they appended is on the disk share one sync.

At most one such sync of a log runs, in a worker; those who come meanwhile gather and share the
next one. Nobody waits for a timer: the slower the disk, the more share a sync. As everywhere a sync
that failed is not repeated: all who wait are refused, and the log is failed.

Invariant: while somebody waits, a sync runs or is about to. Thread: that of the log.
"""

from __future__ import annotations

from kstore.errors import ErrorCode, KafkaError
from kstore.log.flush import SyncJob, advance, run_in_worker, sync_failed, sync_job
from kstore.log.state import LogState
from kstore.runtime import Later

__all__ = ["synced_elsewhere", "when_synced"]


def when_synced(log: LogState, offset: int) -> Later[None]:
    """Done once everything below `offset`, which is in the log, is on the disk.

    Completed in the order of the calls. Fails with KafkaError KAFKA_STORAGE_ERROR if that can't be
    said any more, NOT_LEADER_OR_FOLLOWER if it was truncated meanwhile.
    """
    if offset <= log.recovery_point:
        return Later.of(None)
    synced: Later[None] = Later()
    log.sync_waiters.append((offset, synced))
    if not log.syncing:
        log.syncing = True
        # After what runs now: the appends of one turn of the loop share the sync.
        log.runtime.call_soon(_begin, log)
    return synced


def synced_elsewhere(log: LogState) -> None:
    """All that is in the log is on the disk in a copy of it: nobody has to wait any more."""
    log.recovery_point = log.log_end_offset
    waiters = list(log.sync_waiters)
    log.sync_waiters.clear()
    for _, synced in waiters:
        synced.complete(None)


def _begin(log: LogState) -> None:
    try:
        log.check_usable()
        job = sync_job(log, log.log_end_offset, log.recovery_point)
    except KafkaError as error:
        _refuse_all(log, error)
    except OSError as error:
        _refuse_all(log, log.disk_error(error, "flushing"))
    except Exception as error:
        _refuse_all(log, sync_failed(log, error))
        raise
    else:
        truncations = log.truncations
        run_in_worker(log, job).then(lambda done: _finish(log, job, truncations, done))


def _finish(log: LogState, job: SyncJob, truncations: int, done: Later[None]) -> None:
    try:
        done.result()
        log.check_usable()
        if truncations != log.truncations:
            raise KafkaError(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"{log.name} was truncated")
    except KafkaError as error:
        _refuse_all(log, error)
        return
    except Exception as error:
        # Of any other kind than OSError it is a fault of ours; who waits is told all the same.
        _refuse_all(log, sync_failed(log, error))
        if not isinstance(error, OSError):
            raise
        return
    advance(log, job.offset)
    synced_offset = max(log.recovery_point, job.offset)
    while log.sync_waiters and log.sync_waiters[0][0] <= synced_offset:
        log.sync_waiters.popleft()[1].complete(None)
    if log.sync_waiters:
        _begin(log)
    else:
        log.syncing = False


def _refuse_all(log: LogState, error: KafkaError) -> None:
    log.syncing = False
    waiters = list(log.sync_waiters)
    log.sync_waiters.clear()
    for _, synced in waiters:
        synced.fail(error)
