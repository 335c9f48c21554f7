"""Directories of partitions made and removed in workers, one job after the other.

The order matters: a topic that is deleted and made again at once has its old directory renamed
before the new one is made, and one that is deleted while it is being made is made first. The loop
only opens the gate and takes the result: the next job begins when that of the last one is taken.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from kstore.configs import LogConfig
from kstore.errors import KafkaError
from kstore.log.log import Log
from kstore.log.retention import remove_files
from kstore.log.segment import Segment
from kstore.log.store import Store
from kstore.metadata.image import TopicImage
from kstore.runtime import Later, Runtime, Timer

__all__ = ["Directories", "log_of"]

log = logging.getLogger("kstore.directories")

_NO_TOPIC_ID = UUID(int=0)


def log_of(store: Store, topic: TopicImage, index: int) -> Log | None:
    """The log of a partition; None if there is none, or that of another topic of the same name.

    One whose topic id is not known, as it could not be loaded, counts as the topic's.
    """
    found = store.logs.get((topic.name, index))
    if found is None or found.topic_id not in (topic.topic_id, _NO_TOPIC_ID):
        return None
    return found


class Directories:
    """The jobs on partition directories of one store."""

    def __init__(self, runtime: Runtime, store: Store) -> None:
        self._runtime = runtime
        self._store = store
        self._jobs: deque[tuple[Callable[[], Any], Later[Any]]] = deque()
        self._running = False
        self._purge: Timer | None = None

    def make(
        self, topics: list[TopicImage], configs: Mapping[str, LogConfig]
    ) -> Later[dict[str, KafkaError]]:
        """Makes what is missing of the partitions of `topics`; done when their logs are open.

        The errors of topics of which not all could be made. A log that a deleted topic of the same
        name has left behind, as after a kill, is set aside, never served as the new one's.
        """

        def work() -> tuple[list[Log], dict[str, KafkaError]]:
            made: list[Log] = []
            failed: dict[str, KafkaError] = {}
            for topic in topics:
                try:
                    for image in topic.partitions:
                        if log_of(self._store, topic, image.index) is None:
                            made.append(self._make(topic, image.index, configs[topic.name]))
                except KafkaError as error:
                    log.error("partitions not made topic=%s reason=%s", topic.name, error)
                    failed[topic.name] = error
            return made, failed

        def adopt(done: tuple[list[Log], dict[str, KafkaError]]) -> dict[str, KafkaError]:
            made, failed = done
            for opened in made:
                self._store.adopt(opened)
            return failed

        return self._enqueue(work).map(adopt)

    def _make(self, topic: TopicImage, index: int, config: LogConfig) -> Log:
        left_behind = self._store.logs.get((topic.name, index))
        if left_behind is not None:
            self._store.set_aside(left_behind)
        return self._store.prepare(topic.name, index, topic.topic_id, config)

    def remove(self, topics: list[TopicImage], delay_ms: int) -> Later[None]:
        """Closes the logs of `topics` and renames their directories; files go after `delay_ms`.

        What these logs are is asked when the job's turn comes: they may be being made right now.
        """

        def work() -> list[Log]:
            logs = [
                found
                for topic in topics
                for image in topic.partitions
                if (found := log_of(self._store, topic, image.index)) is not None
            ]
            for found in logs:
                try:
                    self._store.discard(found)
                except KafkaError as error:
                    log.error("directory of a deleted partition not renamed reason=%s", error)
            return logs

        def drop(logs: list[Log]) -> None:
            for found in logs:
                del self._store.logs[found.topic, found.partition]

        self.purge_later(delay_ms)
        return self._enqueue(work).map(drop)

    def purge_later(self, delay_ms: int) -> None:
        """Has the files of deleted partitions removed, also those that an earlier run has left."""
        if self._purge is None:
            self._purge = self._runtime.call_later(delay_ms, self._remove_files)

    def remove_segments(self, segments: list[Segment]) -> Later[None]:
        """Removes the files of segments that were taken out of logs of this store.

        In turn with the other jobs: their directories are still the ones they were in.
        """
        return self._enqueue(lambda: remove_files(segments))

    def close(self) -> None:
        if self._purge is not None:
            self._purge.cancel()

    def _remove_files(self) -> None:
        self._purge = None
        self._enqueue(self._store.remove_deleted)

    def _enqueue(self, work: Callable[[], Any]) -> Later[Any]:
        done: Later[Any] = Later()
        self._jobs.append((work, done))
        self._next()
        return done

    def _next(self) -> None:
        if self._running or not self._jobs:
            return
        self._running = True
        work, done = self._jobs.popleft()

        def finished(result: Later[Any]) -> None:
            self._running = False
            if result.error is not None:
                log.error("work on partition directories failed", exc_info=result.error)
                done.fail(result.error)
            else:
                done.complete(result.result())
            self._next()

        self._runtime.run_in_worker(work).then(finished)
