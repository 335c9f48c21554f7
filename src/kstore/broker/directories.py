"""Directories of partitions made and removed in workers, one job after the other.

The order matters: a topic that is deleted and made again at once has its old directory renamed
before the new one is made. The loop only opens the gate and takes the result.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from kstore.configs import LogConfig
from kstore.log.retention import remove_files
from kstore.log.segment import Segment
from kstore.log.store import Store
from kstore.metadata.image import TopicImage
from kstore.runtime import Later, Runtime, Timer

__all__ = ["Directories"]

log = logging.getLogger("kstore.directories")


class Directories:
    """The jobs on partition directories of one store."""

    def __init__(self, runtime: Runtime, store: Store) -> None:
        self._runtime = runtime
        self._store = store
        self._jobs: deque[tuple[Callable[[], Any], Later[Any]]] = deque()
        self._running = False
        self._purge: Timer | None = None

    def make(self, topics: list[TopicImage], configs: Mapping[str, LogConfig]) -> Later[None]:
        """Makes what is missing of the partitions of `topics`; done when their logs are open."""

        def work() -> list[Any]:
            return [
                self._store.prepare(topic.name, image.index, topic.topic_id, configs[topic.name])
                for topic in topics
                for image in topic.partitions
                if (topic.name, image.index) not in self._store.logs
            ]

        def adopt(prepared: list[Any]) -> None:
            for opened in prepared:
                self._store.adopt(opened)

        return self._enqueue(work).map(adopt)

    def remove(self, topics: list[TopicImage], delay_ms: int) -> Later[None]:
        """Closes the logs of `topics` and renames their directories; files go after `delay_ms`."""
        logs = [
            self._store.logs.pop((topic.name, image.index))
            for topic in topics
            for image in topic.partitions
            if (topic.name, image.index) in self._store.logs
        ]

        def work() -> None:
            for opened in logs:
                self._store.discard(opened)

        if self._purge is None:
            self._purge = self._runtime.call_later(delay_ms, self._remove_files)
        return self._enqueue(work)

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
