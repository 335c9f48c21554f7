"""The cleaner: compacts the dirtiest logs, a few at a time.

Every log.cleaner.backoff.ms it looks for logs that are dirty enough, and goes on until there is
none; what is found is compacted step by step, the long steps in workers. A log in which something
is damaged is left alone from then on, as it is. Settings are asked for anew each time. Thread: the
loop, but for `Throttle`.

Source: Kafka's LogCleaner, LogCleanerManager.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator

from kstore.broker.checkpoints import Checkpoints
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.broker.turns import in_turns
from kstore.configs import Settings
from kstore.errors import KafkaError
from kstore.log.compaction.run import Compaction, cleanable, fail_step
from kstore.log.log import Log
from kstore.runtime import Later, Runtime, Timer

__all__ = ["Cleaner", "Throttle"]

log = logging.getLogger("kstore.cleaner")

_MAX_MAP_SIZE = (1 << 31) - 1
"""Of one cleaner, as in Kafka."""

_Steps = Generator[Callable[[], None]]


class Throttle:
    """Bytes per second, for all workers together."""

    def __init__(self, runtime: Runtime, limit: Callable[[], float]) -> None:
        self._runtime = runtime
        self._limit = limit
        self._lock = threading.Lock()
        self._free_ms = 0.0

    def __call__(self, size: int) -> float:
        """How many seconds to wait after `size` bytes more."""
        now_ms = self._runtime.monotonic_ms()
        with self._lock:
            self._free_ms = max(self._free_ms, now_ms) + 1000 * size / max(self._limit(), 1.0)
            return (self._free_ms - now_ms) / 1000


class Cleaner:
    """The compactions of one broker."""

    def __init__(
        self,
        runtime: Runtime,
        partitions: Partitions,
        checkpoints: Checkpoints,
        settings: Callable[[], Settings],
    ) -> None:
        self._runtime = runtime
        self._partitions = partitions
        self._checkpoints = checkpoints
        self._settings = settings
        self._throttle = Throttle(
            runtime, lambda: settings()["log.cleaner.io.max.bytes.per.second"]
        )
        self._running: dict[Log, Compaction] = {}
        self._uncleanable: set[Log] = set()
        self._timer: Timer | None = None
        self._due: list[tuple[float, Partition]] = []
        self._looking = False
        self._closed = False

    def start(self) -> None:
        if self._settings()["log.cleaner.enable"]:
            self._wait()

    def close(self) -> None:
        """Nothing begins any more, and what is under way ends, with all files in order."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for opened, compaction in self._running.items():
            try:
                compaction.stop()
            except OSError as error:
                opened.disk_error(error, "compacting")

    def _wait(self) -> None:
        backoff_ms = max(1, self._settings()["log.cleaner.backoff.ms"])
        self._timer = self._runtime.call_later(backoff_ms, self._tick)

    def _tick(self) -> None:
        if not self._closed:
            self._wait()
            self._begin_some()

    def _begin_some(self) -> None:
        """Begins with what was found dirty; if none of that is left, looks for more."""
        while self._due and not self._closed and self._free_count():
            _, partition = self._due.pop()
            # When it was found it could be cleaned.
            if self._may_be_cleaned(partition.log):
                self._begin(partition)
        if not self._looking and not self._closed and self._free_count():
            self._looking = True
            in_turns(self._runtime, self._look()).then(self._looked)

    def _free_count(self) -> int:
        threads: int = self._settings()["log.cleaner.threads"]
        return threads - len(self._running)

    def _look(self) -> Iterator[None]:
        """Notes in `_due` the partitions that are dirty enough, and how dirty they are."""
        now_ms = self._runtime.time_ms()
        for partition in list(self._partitions):
            if self._closed:
                return
            opened = partition.log
            if self._may_be_cleaned(opened) and opened not in self._uncleanable:
                try:
                    part = cleanable(opened, partition.last_stable_offset, now_ms)
                except OSError as error:
                    opened.disk_error(error, "looking for dirty parts of")
                except Exception as error:  # whatever it is, the others are to be looked at
                    self._give_up(opened, error)
                else:
                    if part.is_due(opened.config.min_cleanable_dirty_ratio):
                        self._due.append((part.ratio, partition))
            yield

    @staticmethod
    def _may_be_cleaned(opened: Log) -> bool:
        return (
            "compact" in opened.config.cleanup_policy
            and len(opened.segments) > 1
            and opened.compaction is None
            and not opened.closed
            and opened.failed is None
        )

    def _looked(self, _: Later[None]) -> None:
        self._looking = False
        if self._due:
            self._due.sort(key=lambda item: item[0])
            self._begin_some()

    def _begin(self, partition: Partition) -> None:
        opened = partition.log
        settings = self._settings()
        map_size = settings["log.cleaner.dedupe.buffer.size"] // settings["log.cleaner.threads"]
        try:
            compaction = Compaction(
                opened,
                stable_offset=partition.last_stable_offset,
                now_ms=self._runtime.time_ms(),
                map_size=min(map_size, _MAX_MAP_SIZE),
                throttle=self._throttle,
            )
        except KafkaError as error:
            self._give_up(opened, error)
            return
        self._running[opened] = compaction
        self._go_on(opened, compaction.steps(), None)

    def _go_on(self, opened: Log, steps: _Steps, error: BaseException | None) -> None:
        """One turn of a compaction; `error` is that of the step before."""
        try:
            work = next(steps, None) if error is None else fail_step(steps, error)
        except Exception as failure:  # as before: of this log only
            self._give_up(opened, failure)
            self._ended(opened)
            return
        if work is not None:
            self._runtime.run_in_worker(work).then(
                lambda done: self._go_on(opened, steps, done.error)
            )
            return
        log.info("compacted partition=%s %s", opened.name, self._running[opened].result())
        self._ended(opened)

    def _ended(self, opened: Log) -> None:
        del self._running[opened]
        if not self._closed:
            self._checkpoints.write().then(_told)
            self._begin_some()

    def _give_up(self, opened: Log, error: Exception) -> None:
        there = {partition.log for partition in self._partitions}
        self._uncleanable = (self._uncleanable & there) | {opened}
        log.error(
            "compaction failed partition=%s reason=%s; it is not compacted any more",
            opened.name,
            error,
            exc_info=not isinstance(error, KafkaError),
        )


def _told(done: Later[set[Log]]) -> None:
    if done.error is not None:
        log.error("the ends of compactions are not on disk reason=%s", done.error)
