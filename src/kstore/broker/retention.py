"""The pass of retention: all partitions are looked through, and what goes is removed.

No timer or thread per partition: one pass goes through all of them in short turns of the loop, a
few segments of a partition at a time. What is taken out of a log is gone for readers at once. A
worker renames its files; at the end of the pass the new starts are written down, and after
file.delete.delay.ms a worker removes the files. A start that ends early leaves files that the next
start removes. Thread: the loop.

Source: Kafka's LogManager.cleanupLogs.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from itertools import count

from kstore.broker.checkpoints import Checkpoints
from kstore.broker.directories import Directories
from kstore.broker.log_dirs import LogDirs
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.broker.turns import in_turns
from kstore.errors import KafkaError
from kstore.log.log import Log
from kstore.log.segment import Segment
from kstore.runtime import Later, Runtime, Timer

__all__ = ["Retention"]

log = logging.getLogger("kstore.retention")

SEGMENTS_AT_ONCE = 32
"""Segments that are taken out of a log between two looks at the clock."""

_Taken = list[tuple[Log, list[Segment]]]


class Retention:
    """The passes of one broker: one at a time."""

    def __init__(
        self,
        runtime: Runtime,
        partitions: Partitions,
        log_dirs: LogDirs,
        directories: Directories,
        checkpoints: Checkpoints,
    ) -> None:
        self._runtime = runtime
        self._partitions = partitions
        self._log_dirs = log_dirs
        self._directories = directories
        self._checkpoints = checkpoints
        self._running = False
        self._closed = False
        self._taken: _Taken = []
        self._removals: dict[int, Timer] = {}
        self._numbers = count()

    def run(self) -> None:
        """Begins a pass, unless one is under way."""
        if not self._running and not self._closed:
            self._running = True
            renamed: list[Later[_Taken]] = []
            looked = in_turns(
                self._runtime, self._steps(), after_turn=lambda: self._rename_taken(renamed)
            )
            looked.then(lambda _: Later.all(renamed).then(lambda _: self._finish(renamed)))

    def close(self) -> None:
        """Nothing begins any more."""
        self._closed = True
        for timer in self._removals.values():
            timer.cancel()
        self._removals.clear()

    def _steps(self) -> Iterator[None]:
        for partition in list(self._partitions):
            while not self._closed and self._look_at(partition):
                yield
            if self._closed:
                return
            yield

    def _look_at(self, partition: Partition) -> bool:
        """Takes out some segments; may there be more?"""
        opened = partition.log
        if opened.closed or opened.failed is not None:
            return False
        try:
            taken = partition.apply_retention(self._runtime.time_ms(), SEGMENTS_AT_ONCE)
        except Exception as error:  # whatever it is, the other partitions are to be looked at
            expected = isinstance(error, KafkaError)
            log.error(
                "retention failed partition=%s reason=%s",
                opened.name,
                error,
                exc_info=not expected,
            )
            return False
        if taken:
            self._taken.append((opened, taken))
        return bool(taken)

    def _rename_taken(self, renamed: list[Later[_Taken]]) -> None:
        taken, self._taken = self._taken, []
        if taken:
            done = self._directories.set_segments_aside(taken)
            renamed.append(done.map(lambda failed: [one for one in taken if one[0] not in failed]))

    def _finish(self, renamed: list[Later[_Taken]]) -> None:
        self._running = False
        if not renamed or self._closed:
            return
        waiting: dict[int, _Taken] = defaultdict(list)
        for done in renamed:
            if done.error is None:  # else `Directories` has told of it
                for opened, segments in done.result():
                    waiting[opened.config.file_delete_delay_ms].append((opened, segments))
        for delay_ms, taken in waiting.items():
            number = next(self._numbers)
            self._removals[number] = self._runtime.call_later(delay_ms, self._remove, number, taken)
        self._checkpoints.write().then(_told)

    def _remove(self, number: int, taken: _Taken) -> None:
        del self._removals[number]
        self._runtime.run_in_worker(lambda: self._log_dirs.remove_segments(taken)).then(_told)


def _told(done: Later[set[Log]]) -> None:
    if done.error is not None:
        log.error("retention is not on disk reason=%s", done.error)
