"""Getting a log onto the disk: by request, after a roll, and as the flush configs say.

A sync covers everything up to an offset, which then becomes the recovery point: what recovery need
not read again. Rolled segments are synced in a worker; `flush.messages` syncs within the append, as
in Kafka, so that what is acknowledged is on the disk; `flush.ms` by a timer and a worker. A sync
that failed is never repeated: the system may have dropped the pages that it could not write, and
would call the next one a success. The log is failed then.

Runs on the thread of the log, but for what a `SyncJob` does.
"""

from __future__ import annotations

from pathlib import Path

from kstore.errors import ErrorCode, KafkaError
from kstore.log.epochs import LeaderEpochs
from kstore.log.files import NO_HANDLE_ERRNOS
from kstore.log.handles import Handle, Handles
from kstore.log.state import LogState
from kstore.log.tasks import Task
from kstore.runtime import Later

__all__ = [
    "SyncJob",
    "advance",
    "flush",
    "flush_at_close",
    "flush_if_due",
    "flush_in_worker",
    "run_in_worker",
    "sync_failed",
    "sync_job",
]

_NEVER = (1 << 63) - 1


class SyncJob(Task):
    """What has to be done and synced for everything below `offset` to be on the disk."""

    __slots__ = ("_cache", "_directories", "_epochs", "_handles", "_tasks", "offset")

    def __init__(
        self,
        cache: Handles,
        offset: int,
        *,
        tasks: list[Task],
        handles: list[Handle],
        epochs: LeaderEpochs,
        directories: list[Path],
    ) -> None:
        """First the `tasks` are done; `directories` are those with new names."""
        super().__init__()
        self.offset = offset
        self._cache = cache
        self._tasks = tasks
        self._handles = handles
        self._epochs = epochs
        self._directories = directories

    def _work(self) -> None:
        # The job may outlive the need for open files, which keep the room of deleted ones.
        handles, self._handles = self._handles, []
        for task in self._tasks:
            task.run()
        for handle in handles:
            self._cache.files.sync(handle.descriptor)
        self._cache.with_descriptor(self._epochs.sync)
        for directory in self._directories:
            self._cache.sync_directory(directory)


def sync_job(
    log: LogState,
    offset: int,
    start: int,
    *,
    also: Handle | None = None,
    before: Task | None = None,
) -> SyncJob:
    """Syncs the segments that hold `start` up to `offset`, and the file `also`, after `before`."""
    if log.epochs.unwritten:
        log.epochs.write()
    segments = [
        segment
        for segment in log.segments.from_offset(start)
        if segment.base_offset < offset or segment is log.segments.first
    ]
    is_new = any(segment.base_offset >= start for segment in segments)
    tasks: list[Task] = [] if before is None else [before]
    tasks += [segment.trim for segment in segments if segment.trim is not None]
    handles = [handle for segment in segments for handle in segment.open_files()]
    if also is not None:
        handles.append(also)
    return SyncJob(
        log.handles,
        offset,
        tasks=tasks,
        handles=handles,
        epochs=log.epochs,
        directories=[log.directory] if is_new else [],
    )


def run_in_worker(log: LogState, job: SyncJob) -> Later[None]:
    """Has a worker do `job`, which is among the log's `jobs` until then."""
    log.jobs.append(job)
    done = log.runtime.run_in_worker(job.run)
    done.then(lambda _: log.jobs.remove(job))
    return done


def flush(log: LogState) -> None:
    """Returns when all that was appended is on the disk. Raises KafkaError KAFKA_STORAGE_ERROR."""
    log.check_usable()
    if log.log_end_offset > log.recovery_point or log.epochs.unwritten:
        _sync(log, log.recovery_point)


def flush_at_close(log: LogState, snapshot: Handle) -> None:
    """As `flush`, with what closing has changed: the last segment's size and indexes, and the
    snapshot. Raises KafkaError KAFKA_STORAGE_ERROR."""
    _sync(log, min(log.recovery_point, log.segments.active.base_offset), snapshot)


def _sync(log: LogState, start: int, also: Handle | None = None) -> None:
    try:
        job = sync_job(log, log.log_end_offset, start, also=also)
        job.run()
    except OSError as error:
        raise sync_failed(log, error) from error
    log.recovery_point = job.offset


def advance(log: LogState, offset: int) -> None:
    """All bytes below `offset` are on the disk. The recovery point stays before a segment that was
    sealed meanwhile: it is to be trimmed yet, and its indexes synced."""
    log.recovery_point = max(log.recovery_point, min([offset, *log.sealing]))


def flush_in_worker(
    log: LogState, offset: int, *, sealed: int | None = None, before: Task | None = None
) -> None:
    """Syncs everything below `offset` in a worker, once `before` is done. Raises OSError.

    `sealed` is the base offset of the segment that was just sealed, if one was.
    """
    if sealed is not None:
        log.recovery_point = min(log.recovery_point, sealed)
    job = sync_job(log, offset, log.recovery_point, before=before)
    if sealed is not None:
        log.sealing.append(sealed)
    truncations = log.truncations

    def finish(done: Later[None]) -> None:
        error = done.error
        if sealed is not None:
            log.sealing.remove(sealed)
        if isinstance(error, OSError):
            if not log.closed:
                sync_failed(log, error)
        elif error is not None:
            raise error
        elif truncations == log.truncations:
            advance(log, job.offset)

    run_in_worker(log, job).then(finish)


def flush_if_due(log: LogState) -> None:
    """What flush.messages and flush.ms ask for after an append. Raises KafkaError."""
    if log.log_end_offset - log.recovery_point >= log.config.flush_messages:
        flush(log)
    elif log.flush_timer is None and log.config.flush_ms < _NEVER:
        log.flush_timer = log.runtime.call_later(log.config.flush_ms, _flush_by_time, log)


def _flush_by_time(log: LogState) -> None:
    # Closing leaves the timer alone, as that may be done on another thread: see Log.stop_timer.
    log.flush_timer = None
    if log.closed or log.failed is not None or log.log_end_offset <= log.recovery_point:
        return
    try:
        flush_in_worker(log, log.log_end_offset)
    except OSError as error:
        log.disk_error(error, "flushing")


def sync_failed(log: LogState, error: Exception) -> KafkaError:
    """Takes the log offline: nobody knows what is on its disk.

    But not for want of a descriptor: then nothing was written down, the recovery point stays, and
    the next sync covers it all.
    """
    failure = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"syncing {log.name} failed: {error}")
    if isinstance(error, OSError) and error.errno in NO_HANDLE_ERRNOS:
        return failure
    log.fail(failure)
    if isinstance(error, OSError):
        log.on_disk_error(error)
    return failure
