"""Directories of partitions made and removed in workers, one job after the other.

The order matters: a topic that is deleted and made again at once has its old directory renamed
before the new one is made, and one that is deleted while it is being made is made first. The loop
only opens the gate and takes the result: the next job begins when that of the last one is taken.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kstore.broker.log_dirs import LogDirs
from kstore.configs import LogConfig
from kstore.errors import ErrorCode, KafkaError
from kstore.log.log import Log
from kstore.log.segment import Segment
from kstore.metadata.image import TopicImage
from kstore.runtime import Later, Runtime, Timer

__all__ = ["Directories"]

T = TypeVar("T")

log = logging.getLogger("kstore.directories")


class Directories:
    """The jobs on partition directories of one broker."""

    def __init__(self, runtime: Runtime, log_dirs: LogDirs) -> None:
        self._runtime = runtime
        self._log_dirs = log_dirs
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

        left_behind: list[Log] = []
        made: list[Log] = []
        failed: dict[str, KafkaError] = {}

        def work() -> None:
            for topic in topics:
                try:
                    for image in topic.partitions:
                        own = self._log_dirs.find(topic, image.index)
                        for other in self._log_dirs.named(topic.name, image.index):
                            if other is not own:
                                self._log_dirs.set_aside(other)
                                left_behind.append(other)
                        if own is None:
                            config = configs[topic.name]
                            made.append(self._log_dirs.prepare(topic, image.index, config))
                except KafkaError as error:
                    log.error("partitions not made topic=%s reason=%s", topic.name, error)
                    failed[topic.name] = error

        def adopt(_: None) -> dict[str, KafkaError]:
            for opened in left_behind:
                self._log_dirs.forget(opened)
            for opened in made:
                if not self._log_dirs.adopt(opened):
                    failed[opened.topic] = KafkaError(
                        ErrorCode.KAFKA_STORAGE_ERROR, f"the directory of {opened.name} has failed"
                    )
            return failed

        return self._enqueue(work).map(adopt)

    def remove(self, topics: list[TopicImage], delay_ms: int) -> Later[None]:
        """Closes the logs of `topics` and renames their directories; files go after `delay_ms`.

        What these logs are is asked when the job's turn comes: they may be being made right now.
        """

        def work() -> list[Log]:
            logs = [
                found
                for topic in topics
                for image in topic.partitions
                if (found := self._log_dirs.find(topic, image.index)) is not None
            ]
            for found in logs:
                try:
                    self._log_dirs.discard(found)
                except KafkaError as error:
                    log.error("directory of a deleted partition not renamed reason=%s", error)
            return logs

        def drop(logs: list[Log]) -> None:
            for found in logs:
                self._log_dirs.forget(found)

        self.purge_later(delay_ms)
        return self._enqueue(work).map(drop)

    def purge_later(self, delay_ms: int) -> None:
        """Has the files of deleted partitions removed, also those that an earlier run has left."""
        if self._purge is None:
            self._purge = self._runtime.call_later(delay_ms, self._remove_files)

    def remove_segments(self, taken: list[tuple[Log, list[Segment]]]) -> Later[set[Log]]:
        """Removes the files of segments that were taken out of logs; the logs where that failed.

        In turn with the other jobs: their directories are still the ones they were in.
        """
        return self._enqueue(lambda: self._log_dirs.remove_segments(taken))

    def set_segments_aside(self, taken: list[tuple[Log, list[Segment]]]) -> Later[set[Log]]:
        """Renames the files of segments that were taken out of logs; the logs where that failed.

        In turn with the other jobs, as `remove_segments`; removing them then is in nobody's turn.
        """
        return self._enqueue(lambda: self._log_dirs.set_segments_aside(taken))

    def set_aside(self, logs: list[Log]) -> Later[None]:
        """Renames the directories of logs that are nobody's here, and forgets them."""

        def work() -> list[Log]:
            renamed = []
            for opened in logs:
                try:
                    self._log_dirs.set_aside(opened)
                    renamed.append(opened)
                except KafkaError as error:
                    log.error("stray partition not set aside reason=%s", error)
            return renamed

        def drop(renamed: list[Log]) -> None:
            for opened in renamed:
                self._log_dirs.forget(opened)

        return self._enqueue(work).map(drop)

    def do(self, work: Callable[[], T]) -> Later[T]:
        """Does something else with directories, in its turn."""
        return self._enqueue(work)

    def close(self) -> None:
        if self._purge is not None:
            self._purge.cancel()

    def _remove_files(self) -> None:
        self._purge = None
        self._enqueue(self._log_dirs.remove_deleted)

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
