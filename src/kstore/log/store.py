"""A data directory and the logs in it.

A store is opened by one process at a time (`.lock`), loads the logs of all partitions, several at a
time, and closes them all. `logs` belongs to the loop (or the embedding program), and so do the
methods, but for those that say that any thread may call them: they do the slow part of making and
deleting partitions.

Source: Kafka's LogManager.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from uuid import UUID

from kstore.configs import LogConfig
from kstore.errors import DirectoryFailure, ErrorCode, KafkaError, StoreError
from kstore.log.checkpoints import (
    CLEANER_OFFSETS,
    HIGH_WATERMARKS,
    LOG_START_OFFSETS,
    RECOVERY_POINTS,
    format_offsets,
)
from kstore.log.directory import (
    DirectoryLock,
    identify,
    mark_clean,
    read_offsets,
    remove_unfinished,
    take_mark,
)
from kstore.log.files import FILE_ERRNOS, TEMPORARY_ERRNOS, Files
from kstore.log.handles import Handles
from kstore.log.loading import LogLoad
from kstore.log.log import Log
from kstore.log.names import (
    PartitionName,
    check_partition,
    deletion_name,
    future_name,
    parse_directory,
    partition_name,
    stray_name,
)
from kstore.log.properties import (
    MOVED_FROM,
    PARTITION_METADATA,
    format_partition_metadata,
    random_uuid,
)
from kstore.log.segment import Segment
from kstore.log.startup import load_all, share_out
from kstore.log.state import LogState
from kstore.runtime import Runtime, SynchronousRuntime

__all__ = ["Store", "Volume"]

logger = logging.getLogger("kstore.log")

_NO_TOPIC_ID = UUID(int=0)
_Partition = tuple[str, int]


class Volume(NamedTuple):
    """Bytes of the file system under a data directory: all, and those that may be written."""

    total: int
    usable: int


class Store:
    """An open data directory; `open` makes one, `close` ends it.

    `cluster_id`, `node_id` and `directory_id` say whose it is, `clean_start` whether it was closed
    cleanly before, `logs` maps (topic, partition) to the `Log`, `futures` to the copy that is
    yet to take the place of one in another store; `unfinished` names the directories of those that
    were futures in the last run.
    `failure` is the error that says that the directory's disk has failed; `on_failure` is called
    with the first one, on any thread. What follows from it is decided by who set `on_failure`: logs
    that met no error go on.
    """

    def __init__(
        self,
        directory: Path,
        lock: DirectoryLock,
        *,
        config_of: Callable[[str], LogConfig],
        runtime: Runtime,
        files: Files,
        threads: int,
    ) -> None:
        """Use `open`."""
        self.failure: OSError | None = None
        self.on_failure: Callable[[], None] | None = None
        self.directory = directory
        self.logs: dict[_Partition, Log] = {}
        self.futures: dict[_Partition, Log] = {}
        self.unfinished: dict[_Partition, str] = {}
        self.cluster_id = self.directory_id = ""
        self.node_id = -1
        self.clean_start = False
        self._lock = lock
        self._config_of = config_of
        self._runtime = runtime
        self._files = files
        self._handles = Handles(files)
        self._closed = False
        self._threads = threads
        # Checkpoints are written in workers, each file over a name of its own: one at a time.
        self._checkpointing = threading.Lock()
        self._in_checkpoints: set[_Partition] = set()
        self._checkpointed: tuple[dict[_Partition, int], dict[_Partition, int]] = {}, {}
        self._written: dict[str, bytes] = {}

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        node_id: int | None = None,
        cluster_id: str | None = None,
        config: LogConfig | None = None,
        config_of: Callable[[str], LogConfig] | None = None,
        runtime: Runtime | None = None,
        files: Files | None = None,
        lock: DirectoryLock | None = None,
        load_threads: int = 2,
    ) -> Store:
        """Opens `directory`, which is made if it is not there, and all logs in it.

        `config_of` gives the configs of a topic, `config` those of all topics. A new directory
        becomes that of `node_id` (1) and `cluster_id` (a random one); an old one must be theirs.
        `lock` is one that the caller holds already; the store releases it. `load_threads` open
        the logs, and close them. Any thread may call this. Raises StoreError, whose text is one
        line for a person; DirectoryFailure if the system refused something.
        """
        files = files or Files()
        common = config or LogConfig()
        path = Path(directory)
        store = cls(
            path,
            lock or cls.lock(path, files=files),
            config_of=config_of or (lambda topic: common),
            runtime=runtime or SynchronousRuntime(),
            files=files,
            threads=load_threads,
        )
        try:
            store._load(cluster_id, node_id)
        except OSError as error:
            store._lock.release()
            raise DirectoryFailure(f"the data directory {path} can't be opened: {error}") from error
        except BaseException:
            store._lock.release()
            raise
        return store

    @staticmethod
    def lock(directory: str | Path, *, files: Files | None = None) -> DirectoryLock:
        """Takes a data directory without opening it yet. Raises StoreError if it is in use."""
        return DirectoryLock(files or Files(), Path(directory))

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Opening

    def _load(self, cluster_id: str | None, node_id: int | None) -> None:
        meta = identify(self._files, self.directory, cluster_id, node_id)
        self.cluster_id, self.node_id = meta.cluster_id, meta.node_id
        self.directory_id = meta.directory_id
        remove_unfinished(self._files, self.directory)
        self.clean_start = take_mark(self._files, self.directory)
        recovery_points = read_offsets(self._files, self.directory / RECOVERY_POINTS)
        log_starts = read_offsets(self._files, self.directory / LOG_START_OFFSETS)
        self._in_checkpoints = recovery_points.keys() | log_starts.keys()
        self._checkpointed = recovery_points, log_starts
        cleaned = read_offsets(self._files, self.directory / CLEANER_OFFSETS)
        self._written[CLEANER_OFFSETS] = format_offsets(cleaned)

        logs = [
            self._new_log(
                self.directory / name, topic, partition, _NO_TOPIC_ID, self._config_of(topic)
            )
            for name, (topic, partition, _) in self._find_partitions()
        ]
        loads = [
            LogLoad(
                log,
                clean=self.clean_start,
                recovery_point=recovery_points.get((log.topic, log.partition), 0),
                log_start_offset=log_starts.get((log.topic, log.partition), 0),
            )
            for log in logs
        ]
        load_all(self.directory, loads, threads=self._threads, failed=self._load_failed)
        for log in logs:
            cleaned_offset = cleaned.get((log.topic, log.partition), 0)
            log.cleaned_offset = min(cleaned_offset, log.log_end_offset)
            self.logs[log.topic, log.partition] = log
        self._lower_recovery_points()

    def _lower_recovery_points(self) -> None:
        """Kafka writes them down where `LogState.recovered_from` tells why not to."""
        written, _ = self._checkpointed
        sound = [(key, log) for key, log in self.logs.items() if log.failed is None]
        if any(written.get(key, 0) > log.recovered_from for key, log in sound):
            with suppress(StoreError):  # a full disk; nothing can be rolled on it either
                self.checkpoint()

    def _load_failed(self, log: LogState, error: Exception) -> None:
        """A log that can't be read is there, but failed. Any thread."""
        if isinstance(error, OSError):
            self.report(error)
        text = f"loading {log.directory.name} failed: {error}"
        log.fail(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, text))

    def _find_partitions(self) -> list[tuple[str, PartitionName]]:
        found = []
        for name in self._files.directories(self.directory):
            parsed = parse_directory(name)
            if parsed is not None and not parsed.mark:
                found.append((name, parsed))
                continue
            if parsed is not None and parsed.mark == "future":
                self.unfinished[parsed.topic, parsed.partition] = name
            if parsed is None or parsed.mark != "delete":
                logger.warning("left alone %s, no partition of ours", self.directory / name)
        return found

    def _new_log(
        self, directory: Path, topic: str, partition: int, topic_id: UUID, config: LogConfig
    ) -> Log:
        return Log(
            directory,
            topic,
            partition,
            topic_id,
            config=config,
            handles=self._handles,
            runtime=self._runtime,
            on_disk_error=self.report,
            on_truncation=self._write_down,
        )

    # Failing

    def report(self, error: OSError) -> None:
        """Takes note of an error of the system, if it speaks of the disk and not of one file.

        That the directory is no longer the one that was locked says so too. Any thread.
        """
        if self.failure is not None or self._closed or error.errno in TEMPORARY_ERRNOS:
            return
        if error.errno in FILE_ERRNOS and self._is_there():
            return
        self.failure = error
        if self.on_failure is not None:
            self.on_failure()

    def _is_there(self) -> bool:
        try:
            self._lock.check()
        except OSError:
            return False
        return True

    def abandon(self) -> None:
        """Lets everything go without writing anything: the disk has failed. Slices that are out
        stay readable as far as the disk lets them be read."""
        self._closed = True
        for log in [*self.logs.values(), *self.futures.values()]:
            log.stop_timer()
            log.abandon()
        self._handles.clear()
        self._lock.release()

    # Partitions

    def list(self) -> list[_Partition]:
        """All (topic, partition), sorted."""
        return sorted(self.logs)

    def create(
        self,
        topic: str,
        partition: int = 0,
        *,
        topic_id: UUID | None = None,
        config: LogConfig | None = None,
    ) -> Log:
        """A new, empty log. Raises KafkaError TOPIC_ALREADY_EXISTS, INVALID_TOPIC_EXCEPTION,
        KAFKA_STORAGE_ERROR."""
        if (topic, partition) in self.logs:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"{topic}-{partition} exists already")
        log = self.prepare(
            topic, partition, topic_id or random_uuid(), config or self._config_of(topic)
        )
        log.assign_leader_epoch(0)
        return self.adopt(log)

    def prepare(self, topic: str, partition: int, topic_id: UUID, config: LogConfig) -> Log:
        """Makes the directory of a partition, durably. Any thread; `adopt` the log afterwards.

        It is made under the name of a deleted one and then renamed, so that a crash leaves all of
        it or nothing. Raises KafkaError.
        """
        check_partition(topic, partition)
        name = partition_name(topic, partition)
        return self._make(name, topic, partition, topic_id, config, 0)

    def prepare_future(self, source: Log, config: LogConfig, start_offset: int) -> Log:
        """Makes the directory of what is to become the copy of a log in another store, from an
        offset on, in place of an unfinished one. Any thread; put the log into `futures` afterwards.
        Raises KafkaError."""
        topic, partition = source.topic, source.partition
        name = future_name(topic, partition)
        unfinished = self.unfinished.pop((topic, partition), None)
        if unfinished is not None:
            hidden = self.directory / deletion_name(topic, partition)
            try:
                self._files.rename(self.directory / unfinished, hidden)
            except OSError as error:
                self.report(error)
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error
        return self._make(name, topic, partition, source.topic_id, config, start_offset)

    def _make(
        self,
        name: str,
        topic: str,
        partition: int,
        topic_id: UUID,
        config: LogConfig,
        start_offset: int,
    ) -> Log:
        self._forget_offsets_of(topic, partition)
        files = self._files
        directory = self.directory / name
        hidden = self.directory / deletion_name(topic, partition)
        now_ms = self._runtime.time_ms()
        try:
            files.make_directory(hidden)
            log = self._new_log(hidden, topic, partition, topic_id, config)
            log.segments.add(Segment.create(self._handles, hidden, start_offset, now_ms))
            log.log_start_offset = log.log_end_offset = log.recovery_point = start_offset
            files.replace_file(hidden / PARTITION_METADATA, format_partition_metadata(topic_id))
            self._rename(log, directory)
        except OSError as error:
            self.report(error)
            raise KafkaError(
                ErrorCode.KAFKA_STORAGE_ERROR, f"making {directory} failed: {error}"
            ) from error
        return log

    def _forget_offsets_of(self, topic: str, partition: int) -> None:
        """The checkpointed offsets of a deleted partition must not become those of a new one."""
        if (topic, partition) in self._in_checkpoints:
            try:
                self.checkpoint()
            except StoreError as error:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error

    def adopt(self, log: Log) -> Log:
        """Takes a prepared log into `logs`."""
        self.logs[log.topic, log.partition] = log
        return log

    def mark_complete(self, future: Log, source: Store) -> None:
        """Notes in a copy that is complete whose place it takes: from when it has its name on,
        what is found in `source` is not the partition any more. Any thread. Raises OSError."""
        self._files.replace_file(future.directory / MOVED_FROM, source.directory_id.encode())

    def moved_from(self, log: Log) -> str | None:
        """The id of the directory that a log was moved from, if that was not finished. OSError."""
        data = self._files.read_file(log.directory / MOVED_FROM)
        return None if data is None else data.decode("ascii", "replace")

    def promote(self, future: Log) -> None:
        """Gives a complete copy the name of its partition, and takes it into `logs`. OSError."""
        key = future.topic, future.partition
        self._rename(future, self.directory / partition_name(*key))
        del self.futures[key]
        self.logs[key] = future

    def finish_move(self, log: Log) -> None:
        """Forgets what `mark_complete` has noted. Any thread. Raises OSError."""
        self._files.delete(log.directory / MOVED_FROM, missing_ok=True)

    def delete(self, topic: str, partition: int = 0) -> None:
        """Deletes a log: its directory is renamed at once, `remove_deleted` removes the files.

        Raises KafkaError UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR.
        """
        log = self.logs.pop((topic, partition), None)
        if log is None:
            raise KafkaError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"{topic}-{partition} is not in this store"
            )
        self.discard(log)

    def discard(self, log: Log) -> None:
        """Renames the directory of a log that is no longer in `logs`. Any thread. Slices of it
        stay readable. Raises KafkaError KAFKA_STORAGE_ERROR."""
        log.abandon()
        try:
            self._rename(log, self.directory / deletion_name(log.topic, log.partition))
        except OSError as error:
            raise log.disk_error(error, "deleting") from error

    def set_aside(self, log: Log) -> None:
        """Renames the directory of a log that belongs to nobody here; its files are kept.

        Any thread. Raises KafkaError KAFKA_STORAGE_ERROR. Kafka's LogManager does so with what it
        calls a stray partition.
        """
        directory = self.directory / stray_name(log.topic, log.partition)
        logger.warning("set aside %s as %s", log.directory, directory.name)
        log.abandon()
        try:
            self._rename(log, directory)
        except OSError as error:
            raise log.disk_error(error, "setting aside") from error

    def _rename(self, log: Log, directory: Path) -> None:
        if not log.closed:
            log.settle()
        self._handles.forget_directory(log.directory)
        self._files.rename(log.directory, directory)
        self._handles.forget_directory(log.directory)
        log.moved(directory)
        self._handles.sync_directory(self.directory)

    def remove_deleted(self) -> int:
        """Removes the files of deleted partitions; returns how many partitions. Any thread.

        What can't be removed is logged, and tried again next time.
        """
        removed = 0
        for name in self._find_deleted():
            directory = self.directory / name
            try:
                for file, _ in self._files.scan(directory):
                    self._files.delete(directory / file, missing_ok=True)
                self._files.remove_directory(directory)
                removed += 1
            except OSError as error:
                self.report(error)
                logger.warning("%s can't be removed yet: %s", directory, error)
        return removed

    def _find_deleted(self) -> Sequence[str]:
        try:
            names = self._files.directories(self.directory)
        except OSError as error:
            self.report(error)
            logger.warning("%s can't be read: %s", self.directory, error)
            return []
        return [
            name
            for name in names
            if (parsed := parse_directory(name)) is not None and parsed.mark == "delete"
        ]

    # Keeping

    def volume(self) -> Volume:
        """The file system that holds the directory. Any thread. Raises OSError."""
        return Volume(*self._files.volume(self.directory))

    def flush(self) -> None:
        """Returns when all logs are on the disk. Raises KafkaError of the first that fails."""
        for log in list(self.logs.values()):
            log.flush()

    def checkpoint(self, high_watermarks: Mapping[_Partition, int] | None = None) -> None:
        """Writes down up to where logs are synced, where they start, and, if given, up to where
        they are committed. What has not changed is not written again. Any thread. Raises
        StoreError.
        """
        with self._checkpointing:
            recovery_points, log_starts = self._offsets_to_write()
            self._in_checkpoints |= recovery_points.keys()
            try:
                self._lock.check()
                self._write_offsets(RECOVERY_POINTS, recovery_points)
                self._write_offsets(LOG_START_OFFSETS, log_starts)
                self._write_offsets(CLEANER_OFFSETS, self._cleaned_offsets())
                self._in_checkpoints = recovery_points.keys() | log_starts.keys()
                self._checkpointed = recovery_points, log_starts
                if high_watermarks is not None:
                    self._write_offsets(HIGH_WATERMARKS, high_watermarks)
            except OSError as error:
                self.report(error)
                raise StoreError(f"the checkpoints of {self.directory} failed: {error}") from error

    def _write_down(self, log: LogState) -> None:
        """A log is truncated: what is appended then is not covered by the old recovery point."""
        key = log.topic, log.partition
        if self.logs.get(key) is log and self._checkpointed[0].get(key, 0) > log.recovery_point:
            self.checkpoint()

    def _write_offsets(self, name: str, offsets: Mapping[_Partition, int]) -> None:
        data = format_offsets(offsets)
        if self._written.get(name) != data:
            # Of a write that fails nobody knows what it left.
            self._written.pop(name, None)
            self._files.replace_file(self.directory / name, data)
            self._written[name] = data

    def _cleaned_offsets(self) -> dict[_Partition, int]:
        """Where the compaction of logs has ended, of those that were ever compacted."""
        return {
            key: log.cleaned_offset for key, log in [*self.logs.items()] if log.cleaned_offset > 0
        }

    def _offsets_to_write(self) -> tuple[dict[_Partition, int], dict[_Partition, int]]:
        """Recovery points and log start offsets. Of a log that has failed, those written before:
        records that were deleted must not come back when its disk does."""
        recovery_points: dict[_Partition, int] = {}
        log_starts: dict[_Partition, int] = {}
        for key, log in [*self.futures.items(), *self.logs.items()]:
            if log.failed is not None:
                for now, before in zip(
                    (recovery_points, log_starts), self._checkpointed, strict=True
                ):
                    if key in before:
                        now[key] = before[key]
                continue
            recovery_points[key] = log.recovered_from
            # Also where it is the first segment's: the files of those before it may still be here.
            if log.log_start_offset > 0:
                log_starts[key] = log.log_start_offset
        return recovery_points, log_starts

    def close(self, high_watermarks: Mapping[_Partition, int] | None = None) -> None:
        """Closes all logs, writes the checkpoints and marks the directory as cleanly closed.

        Without a high watermark given, a log's is its end. Idempotent. If a log can't be closed
        the others still are, but there is no mark, and the first error is raised at the end.
        """
        if self._closed:
            return
        self._closed = True
        failures: Sequence[KafkaError] = ()
        try:
            for future in self.futures.values():
                future.abandon()
            self.futures.clear()
            failures = self._close_logs()
            ends = {key: log.log_end_offset for key, log in self.logs.items()}
            self.checkpoint(ends if high_watermarks is None else high_watermarks)
            if not failures and all(log.failed is None for log in self.logs.values()):
                mark_clean(self._files, self.directory)
        except OSError as error:
            raise StoreError(f"closing {self.directory} failed: {error}") from error
        finally:
            self._handles.clear()
            self._lock.release()
        if failures:
            raise failures[0]

    def _close_logs(self) -> Sequence[KafkaError]:
        closed = []
        failures = []

        def close(log: Log) -> None:
            try:
                log.close()
            except KafkaError as error:
                failures.append(error)
            closed.append(log)

        share_out(
            close,
            self.logs.values(),
            self._threads,
            lambda: logger.info(
                "closing %s: %d of %d partitions", self.directory, len(closed), len(self.logs)
            ),
        )
        return failures
