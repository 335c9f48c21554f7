"""The data directories of this broker: which of them work, and in which one a partition lies.

Nothing else in the broker knows how many there are. Each that works is a `Store`; the rules are
those of Kafka's LogManager (KIP-112):

- a new partition goes to the directory with the fewest partitions; the next one is tried if that
  can't make it, be it that it is full;
- a directory whose disk fails is offline until the next start: its logs are let go, as nobody knows
  what is on the disk, and those who subscribed are told which they were. A full disk is no failure;
- when no directory is left, or the one with the metadata has failed, the broker can't go on: `lost`
  is completed with the reason.

Thread: the loop, but for the methods that say otherwise: those work on files.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from kstore.configs import LogConfig
from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.log.directory import DirectoryLock
from kstore.log.log import Log
from kstore.log.retention import remove_files, set_aside
from kstore.log.segment import Segment
from kstore.log.state import LogState
from kstore.log.store import Store, Volume
from kstore.metadata.image import TopicImage
from kstore.runtime import Later, Runtime

__all__ = ["LogDir", "LogDirs", "next_log_dirs"]

log = logging.getLogger("kstore.log_dirs")

_NO_TOPIC_ID = UUID(int=0)

MAX_PREFERRED = 10_000
"""How many wishes for partitions that don't exist are remembered."""

Listener = Callable[[list[Log]], None]
_Taken = Iterable[tuple[Log, Iterable[Segment]]]


def next_log_dirs(counts: Mapping[Path, int]) -> list[Path]:
    """Where to try to make a new partition, best first; `counts` are those of the partitions."""
    return sorted(counts, key=lambda path: counts[path])


class LogDir(NamedTuple):
    """A data directory: its volume, None if it is offline, the logs in it, and copies of logs of
    other directories that are yet to take their places."""

    path: Path
    volume: Volume | None
    logs: Mapping[tuple[str, int], Log]
    futures: Mapping[tuple[str, int], Log]


class LogDirs:
    """The stores of one broker. Made by `opening.open_log_dirs`, or of stores that are open."""

    def __init__(
        self,
        runtime: Runtime,
        stores: Sequence[Store],
        *,
        paths: Sequence[Path] = (),
        metadata_directory: Path | None = None,
        metadata_lock: DirectoryLock | None = None,
    ) -> None:
        """`paths` are all directories that were configured, also those that can't be used;
        `metadata_lock` is held where that directory is none of them."""
        self.paths = tuple(paths) or tuple(store.directory for store in stores)
        self.metadata_directory = metadata_directory or self.paths[0]
        self.cluster_id = stores[0].cluster_id
        self.node_id = stores[0].node_id
        self.clean_start = all(store.clean_start for store in stores)
        self.lost: Later[str] = Later()
        self._stores = tuple(stores)
        self._metadata_lock = metadata_lock
        self._listeners: list[Listener] = []
        self._prepared: Counter[Path] = Counter()
        self._preferred: dict[tuple[str, int], Path] = {}
        for store in stores:
            store.on_failure = partial(runtime.call_on_loop, self._fail, store)

    # What is there

    @property
    def any_offline(self) -> bool:
        """Is there a directory that can't be used?"""
        return len(self._stores) < len(self.paths)

    def check_online(self, path: str) -> None:
        """Raises KafkaError LOG_DIR_NOT_FOUND or KAFKA_STORAGE_ERROR: can't be used."""
        if Path(path) not in self.paths or str(Path(path)) != path:
            raise KafkaError(ErrorCode.LOG_DIR_NOT_FOUND, f"{path} is no data directory")
        if not any(store.directory == Path(path) for store in self._stores):
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"data directory {path} is offline")

    def describe(self) -> list[LogDir]:
        """What each directory is now, in the order of the config. Any thread."""
        stores = {store.directory: store for store in self._stores}
        return [self._describe(path, stores.get(path)) for path in self.paths]

    @staticmethod
    def _describe(path: Path, store: Store | None) -> LogDir:
        if store is not None:
            try:
                return LogDir(path, store.volume(), store.logs.copy(), store.futures.copy())
            except OSError as error:
                log.error("data directory can't be read directory=%s reason=%s", path, error)
                store.report(error)
        return LogDir(path, None, {}, {})

    def __iter__(self) -> Iterator[Log]:
        """All logs. Any thread."""
        for store in self._stores:
            yield from list(store.logs.values())

    def named(self, topic: str, index: int) -> list[Log]:
        """All logs of a partition of this name, of whichever topic id. Any thread."""
        found = (store.logs.get((topic, index)) for store in self._stores)
        return [one for one in found if one is not None]

    def find(self, topic: TopicImage, index: int) -> Log | None:
        """The log of a partition, None if there is none here; not that of another topic of the
        same name. One whose topic id is not known, as it could not be loaded, counts as the
        topic's. Any thread."""
        for one in self.named(topic.name, index):
            if one.topic_id in (topic.topic_id, _NO_TOPIC_ID):
                return one
        return None

    # Partitions that come and go

    def prepare(self, topic: TopicImage, index: int, config: LogConfig) -> Log:
        """Makes a new partition where it is best; `adopt` the log afterwards. Any thread, but one
        at a time. Raises KafkaError."""
        counts = {
            store.directory: len(store.logs) + len(store.futures) + self._prepared[store.directory]
            for store in self._stores
        }
        stores = {store.directory: store for store in self._stores}
        preferred = self._preferred.get((topic.name, index))
        if preferred in counts:
            counts = {preferred: 0}
        failure = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "no data directory is left")
        for number, path in enumerate(next_log_dirs(counts)):
            try:
                made = stores[path].prepare(topic.name, index, topic.topic_id, config)
            except KafkaError as error:
                if error.code is not ErrorCode.KAFKA_STORAGE_ERROR:
                    raise
                failure = failure if number else error
            else:
                self._prepared[path] += 1
                return made
        raise failure

    def adopt(self, opened: Log) -> bool:
        """Takes a prepared log; False if its directory has failed since."""
        path = opened.directory.parent
        self._prepared[path] -= 1
        self._preferred.pop((opened.topic, opened.partition), None)
        for store in self._stores:
            if store.directory == path:
                store.adopt(opened)
                return True
        opened.abandon()
        return False

    def discard(self, opened: Log) -> None:
        """Renames the directory of a deleted log. Any thread. Raises KafkaError."""
        self._owner(opened).discard(opened)

    def set_aside(self, opened: Log) -> None:
        """Renames the directory of a log that is nobody's here. Any thread. Raises KafkaError."""
        self._owner(opened).set_aside(opened)

    def forget(self, opened: Log) -> None:
        """The log is no longer among those that are there."""
        for store in self._stores:
            if store.logs.get((opened.topic, opened.partition)) is opened:
                del store.logs[opened.topic, opened.partition]

    def _owner(self, opened: Log) -> Store:
        for store in self._stores:
            if store.directory == opened.directory.parent:
                return store
        raise KafkaError(
            ErrorCode.KAFKA_STORAGE_ERROR, f"the directory of {opened.name} is offline"
        )

    # Moves between directories

    def prefer(self, topic: str, index: int, path: Path) -> None:
        """Has a partition that is not there yet made in this directory, some day."""
        if len(self._preferred) < MAX_PREFERRED:
            self._preferred[topic, index] = path

    def future_of(self, topic: str, index: int) -> Log | None:
        """The copy of a partition that is being made."""
        for store in self._stores:
            if (topic, index) in store.futures:
                return store.futures[topic, index]
        return None

    def unfinished(self) -> list[tuple[str, int, Path]]:
        """The moves that the last run has not finished: partition, and where to."""
        return [(*key, store.directory) for store in self._stores for key in store.unfinished]

    def prepare_future(self, source: Log, path: Path, config: LogConfig, start_offset: int) -> Log:
        """Makes what is to become the copy of a log. Any thread; `adopt_future` it afterwards.

        Raises KafkaError.
        """
        for store in self._stores:
            if store.directory == path:
                return store.prepare_future(source, config, start_offset)
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"data directory {path} is offline")

    def adopt_future(self, future: Log) -> None:
        """The copy is told of from now on, and begins to be filled. Raises KafkaError."""
        self._owner(future).futures[future.topic, future.partition] = future

    def seal_future(self, source: Log, future: Log) -> None:
        """Syncs a copy and what has to be known of it before `replace`. Any thread. KafkaError."""
        store = self._owner(future)
        future.flush()
        try:
            store.checkpoint()
            store.mark_complete(future, self._owner(source))
        except (OSError, StoreError) as error:
            if isinstance(error, OSError):
                store.report(error)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error

    def replace(self, source: Log, future: Log) -> None:
        """Puts a sealed copy that holds the same in the place of a log; `drop_source` is to follow.

        Syncs on the loop: nothing may be appended meanwhile, and it is done once in a move. Raises
        KafkaError, and then everything is as it was.
        """
        store = self._owner(future)
        try:
            future.flush()
            store.promote(future)
        except OSError as error:
            raise future.disk_error(error, "moving") from error
        self.forget(source)

    def drop_source(self, source: Log, moved: Log) -> None:
        """Renames the directory of a log that was moved away. Any thread. Raises KafkaError."""
        self._owner(source).discard(source)
        try:
            self._owner(moved).finish_move(moved)
        except OSError as error:
            moved.on_disk_error(error)

    def take_future(self, future: Log) -> None:
        """A copy is given up; `discard` it."""
        for store in self._stores:
            if store.futures.get((future.topic, future.partition)) is future:
                del store.futures[future.topic, future.partition]

    # Keeping

    def remove_deleted(self) -> None:
        """Removes the files of deleted partitions. Any thread."""
        for store in self._stores:
            store.remove_deleted()

    def set_segments_aside(self, taken: _Taken) -> set[Log]:
        """Renames the files of segments that were taken out of logs, to be removed; the logs where
        that failed. Any thread."""
        return self._for_segments(set_aside, taken)

    def remove_segments(self, taken: _Taken) -> set[Log]:
        """Removes the files of segments that were taken out of logs; the logs where that failed.

        Any thread.
        """
        return self._for_segments(remove_files, taken)

    @staticmethod
    def _for_segments(
        work: Callable[[LogState, Iterable[Segment]], None], taken: _Taken
    ) -> set[Log]:
        failed = set()
        for opened, segments in taken:
            try:
                work(opened, segments)
            except OSError as error:
                log.error("segments not removed partition=%s reason=%s", opened.name, error)
                opened.on_disk_error(error)
                failed.add(opened)
        return failed

    def checkpoint(self, high_watermarks: Mapping[tuple[str, int], int]) -> set[Log]:
        """Writes the checkpoints of each directory; the logs of those where that failed.

        Any thread.
        """
        failed: set[Log] = set()
        for store in self._stores:
            logs = store.logs.copy()
            try:
                store.checkpoint(
                    {key: high_watermarks[key] for key in logs if key in high_watermarks}
                )
            except StoreError as error:
                log.error("checkpoint failed reason=%s", error)
                failed.update(logs.values())
        return failed

    def close(self) -> None:
        """Closes all logs; each directory without an error is marked as cleanly closed. Any thread.

        Raises the first error, when all are closed.
        """
        failure: Exception | None = None
        for store in self._stores:
            try:
                store.close()
            except (KafkaError, StoreError) as error:
                failure = failure or error
        if self._metadata_lock is not None:
            self._metadata_lock.release()
        if failure is not None:
            raise failure

    # Failing

    def subscribe(self, listener: Listener) -> None:
        """Has `listener` called with the logs of each directory that fails from now on."""
        self._listeners.append(listener)

    def _fail(self, store: Store) -> None:
        if store not in self._stores:
            return
        self._stores = tuple(other for other in self._stores if other is not store)
        gone = list(store.logs.values())
        log.error(
            "data directory offline directory=%s partitions=%d reason=%s",
            store.directory,
            len(gone),
            store.failure,
        )
        store.abandon()
        for listener in self._listeners:
            listener(gone)
        if self.lost.done:
            return
        if not self._stores:
            self.lost.complete(f"all log dirs have failed, the last one by: {store.failure}")
        elif store.directory == self.metadata_directory:
            self.lost.complete(
                f"the metadata log dir {store.directory} has failed: {store.failure}"
            )
