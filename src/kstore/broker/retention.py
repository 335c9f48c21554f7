"""The pass of retention: all partitions are looked through, and what goes is removed.

No timer or thread per partition: one pass goes through all of them in short turns of the loop, a
few segments of a partition at a time. What is taken out of a log is gone for readers at once. Then
workers rename the files, the new starts are written down, and after file.delete.delay.ms workers
remove the files. Each name that changes holds the interpreter for a moment, and nobody waits for
it: so that is done a few segments at a time, with pauses; ten thousand take a minute. A stop that
comes early leaves files that the next start removes. Thread: the loop.

Source: Kafka's LogManager.cleanupLogs.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
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

SEGMENTS_AT_ONCE = 8
"""Segments that are taken out of a log between two looks at the clock."""

FILES_AT_ONCE = 16
"""Segments whose files are renamed or removed between two pauses."""
PAUSE_MS = 50

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
        self._timers: dict[int, Timer] = {}
        self._numbers = count()

    def run(self) -> None:
        """Begins a pass, unless one is under way."""
        if not self._running and not self._closed:
            self._running = True
            in_turns(self._runtime, self._steps()).then(lambda _: self._rename_taken())

    def close(self) -> None:
        """Nothing begins any more."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

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

    def _rename_taken(self) -> None:
        taken, self._taken = self._taken, []
        self._spread(taken, self._directories.set_segments_aside).then(
            lambda done: self._finish(taken, done.result())
        )

    def _finish(self, taken: _Taken, failed: set[Log]) -> None:
        self._running = False
        if not taken or self._closed:
            return
        waiting: dict[int, _Taken] = defaultdict(list)
        for opened, segments in taken:
            if opened not in failed:
                waiting[opened.config.file_delete_delay_ms].append((opened, segments))
        for delay_ms, renamed in waiting.items():
            self._later(delay_ms, partial(self._remove, renamed))
        self._checkpoints.write().then(_told)

    def _remove(self, taken: _Taken) -> None:
        def work(some: _Taken) -> Later[set[Log]]:
            return self._runtime.run_in_worker(lambda: self._log_dirs.remove_segments(some))

        self._spread(taken, work)

    def _spread(self, taken: _Taken, work: Callable[[_Taken], Later[set[Log]]]) -> Later[set[Log]]:
        """Has `work` done to some segments after the others, with pauses; the logs where it failed.

        Never fails. A log that was closed meanwhile is left out: its directory may be another's.
        """
        done: Later[set[Log]] = Later()
        failed: set[Log] = set()
        parts = _parts(taken)

        def begin(part: _Taken) -> None:
            work([one for one in part if not one[0].closed]).then(lambda told: end(part, told))

        def end(part: _Taken, told: Later[set[Log]]) -> None:
            _told(told)
            failed.update(
                {opened for opened, _ in part} if told.error is not None else told.result()
            )
            following = next(parts, None)
            if following is None:
                done.complete(failed)
            elif not self._closed:
                self._later(PAUSE_MS, lambda: begin(following))

        first = next(parts, None)
        if first is None:
            done.complete(failed)
        else:
            begin(first)
        return done

    def _later(self, delay_ms: float, work: Callable[[], None]) -> None:
        """`work` after a while, unless the broker is closed by then."""
        number = next(self._numbers)

        def due() -> None:
            del self._timers[number]
            work()

        self._timers[number] = self._runtime.call_later(delay_ms, due)


def _parts(taken: _Taken) -> Iterator[_Taken]:
    """`FILES_AT_ONCE` segments at a time."""
    part: _Taken = []
    size = 0
    for opened, segments in taken:
        for at in range(0, len(segments), FILES_AT_ONCE):
            some = segments[at : at + FILES_AT_ONCE]
            if size + len(some) > FILES_AT_ONCE:
                yield part
                part, size = [], 0
            part.append((opened, some))
            size += len(some)
    if part:
        yield part


def _told(done: Later[set[Log]]) -> None:
    if done.error is not None:
        log.error("retention is not on disk reason=%s", done.error)
