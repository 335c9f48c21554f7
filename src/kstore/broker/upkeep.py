"""What a broker does again and again while it runs: checkpoints, retention, compaction, expiry.

No timer per partition: one tick looks at all of them. A worker writes and syncs
the files. Thread: the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from kstore.broker.broker import Broker
from kstore.broker.turns import in_turns
from kstore.log.log import Log
from kstore.runtime import Later, Timer

__all__ = ["Upkeep"]

log = logging.getLogger("kstore.upkeep")

PRODUCER_EXPIRY_MS = 600_000
"""Kafka's producer.id.expiration.check.interval.ms, which is internal there too."""


INITIAL_TASK_DELAY_MS = 30_000
"""Kafka's log.initial.task.delay.ms, which is internal there too."""


class Upkeep:
    """The recurring work of one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._runtime = broker.runtime
        self._timers: dict[str, Timer] = {}
        self._checkpointing = False

    def start(self) -> None:
        settings = self._broker.settings
        self._every(
            "high watermarks",
            settings["replica.high.watermark.checkpoint.interval.ms"],
            self.checkpoint,
        )
        self._every(
            "recovery points",
            settings["log.flush.offset.checkpoint.interval.ms"],
            self.checkpoint,
        )
        self._every(
            "retention",
            settings["log.retention.check.interval.ms"],
            self._broker.retention.run,
            first_ms=INITIAL_TASK_DELAY_MS,
        )
        self._broker.cleaner.start()
        self._every("producers", PRODUCER_EXPIRY_MS, self.expire_producers)

    def stop(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def checkpoint(self) -> None:
        """Writes recovery points, log start offsets and high watermarks."""
        if self._checkpointing:
            return  # a slow disk: one at a time is enough
        self._checkpointing = True

        def written(done: Later[set[Log]]) -> None:
            self._checkpointing = False
            if done.error is not None:
                log.error("checkpoint failed reason=%s", done.error)

        self._broker.checkpoints.write().then(written)

    def expire_producers(self) -> None:
        """Forgets producers that were silent for producer.id.expiration.ms."""
        now_ms = self._runtime.time_ms()

        def steps() -> Iterator[None]:
            for partition in list(self._broker.partitions):
                partition.log.producers.expire(now_ms)
                yield

        in_turns(self._runtime, steps())

    def _every(
        self, name: str, interval_ms: int, work: Callable[[], None], first_ms: int | None = None
    ) -> None:
        """Does `work` at every interval, the first time no later than after `first_ms`."""

        def tick() -> None:
            self._timers[name] = self._runtime.call_later(interval_ms, tick)
            work()

        first = interval_ms if first_ms is None else min(interval_ms, first_ms)
        self._timers[name] = self._runtime.call_later(first, tick)
