"""A runtime whose clock, timers and workers stand still until a test moves them.

Rooms that decide are given a `Runtime`; given this one they can be walked through minutes in
microseconds, and every step is the same on each run. All of it runs on the test's own thread.

`ManualLog` is the coordinators' log of such a test: it keeps what was appended, and commits at
once, when told, or not at all.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from kstore.coordinator.pending import Pending
from kstore.coordinator.runtime import InTransaction
from kstore.errors import ErrorCode, KafkaError
from kstore.log.records import ControlType, EndTransactionMarker
from kstore.runtime import Later, Timer

__all__ = ["ManualLog", "ManualRuntime"]

T = TypeVar("T")

START_MS = 1_700_000_000_000


class _ManualTimer:
    __slots__ = ("args", "at_ms", "callback", "number")

    def __init__(
        self, at_ms: float, number: int, callback: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self.at_ms = at_ms
        self.number = number
        self.callback: Callable[..., Any] | None = callback
        self.args = args

    def __lt__(self, other: _ManualTimer) -> bool:
        return (self.at_ms, self.number) < (other.at_ms, other.number)

    def cancel(self) -> None:
        self.callback = None


class ManualRuntime:
    """`Runtime` for tests; time passes in `advance` only.

    Both clocks start at `start_ms` and move together.
    """

    def __init__(self, start_ms: int = START_MS) -> None:
        self._now_ms = float(start_ms)
        self._timers: list[_ManualTimer] = []
        self._soon: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._work: deque[Callable[[], None]] = deque()
        self._number = 0

    def time_ms(self) -> int:
        return int(self._now_ms)

    def monotonic_ms(self) -> float:
        return self._now_ms

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self._soon.append((callback, args))

    def call_on_loop(self, callback: Callable[..., Any], *args: Any) -> None:
        self._soon.append((callback, args))

    def call_later(self, delay_ms: float, callback: Callable[..., Any], *args: Any) -> Timer:
        self._number += 1
        timer = _ManualTimer(self._now_ms + max(delay_ms, 0), self._number, callback, args)
        heapq.heappush(self._timers, timer)
        return timer

    def run_in_worker(self, work: Callable[[], T]) -> Later[T]:
        later: Later[T] = Later()

        def run() -> None:
            try:
                value = work()
            except Exception as error:
                later.fail(error)
            else:
                later.complete(value)

        self._work.append(run)
        return later

    @property
    def timer_count(self) -> int:
        """How many timers are yet to fire."""
        return sum(1 for timer in self._timers if timer.callback is not None)

    @property
    def work_count(self) -> int:
        """How many pieces of work no worker has taken yet."""
        return len(self._work)

    def run_soon(self) -> None:
        """Runs what `call_soon` has put off, also what that puts off in turn."""
        while self._soon:
            callback, args = self._soon.popleft()
            callback(*args)

    def run_workers(self, count: int | None = None) -> int:
        """Does the next `count` pieces of work (all, and what they lead to, without it).

        Returns how many were done.
        """
        done = 0
        while self._work and (count is None or done < count):
            self._work.popleft()()
            self.run_soon()
            done += 1
        return done

    def advance(self, ms: float) -> None:
        """Lets `ms` milliseconds pass; timers fire in their order, each at its own time."""
        self.run_soon()
        end_ms = self._now_ms + ms
        while self._timers and self._timers[0].at_ms <= end_ms:
            timer = heapq.heappop(self._timers)
            if timer.callback is None:
                continue
            self._now_ms = max(self._now_ms, timer.at_ms)
            timer.callback(*timer.args)
            self.run_soon()
        self._now_ms = end_ms


class ManualLog:
    """A `TransactionalLog` in memory. `records` are those that count; `pending` those of open
    transactions.

    Commits at once, unless `hold` is set: then `commit_next` and `fail_next` say what becomes of
    each append, the oldest first. `fail_with` makes every new append fail at once.
    """

    def __init__(self) -> None:
        self.records: dict[int, list[tuple[bytes, bytes | None]]] = {}
        self.hold = False
        self.fail_with: ErrorCode | None = None
        self.pending: dict[int, Pending[bytes, bytes]] = {}
        self._held: deque[tuple[Callable[[], int], Later[int]]] = deque()

    def append(
        self,
        partition: int,
        records: list[tuple[bytes, bytes | None]],
        transaction: InTransaction | None = None,
    ) -> Later[int]:
        pending = self.pending.setdefault(partition, Pending())
        kept = self.records.setdefault(partition, [])

        def commit() -> int:
            for key, value in records:
                if transaction is not None:
                    pending.add(transaction.producer_id, key, value)
                    continue
                kept.append((key, value))
                if value is None:
                    pending.forget(key)
                else:
                    pending.supersede(key)
            return len(kept)

        return self._append(commit)

    def append_marker(
        self,
        partition: int,
        marker: EndTransactionMarker,
        producer_id: int,
        producer_epoch: int,
        transaction_version: int,
    ) -> Later[int]:
        def commit() -> int:
            pending = self.pending.setdefault(partition, Pending())
            kept = self.records.setdefault(partition, [])
            kept.extend(pending.end(producer_id, commit=marker.type is ControlType.COMMIT))
            return len(kept)

        return self._append(commit)

    def _append(self, commit: Callable[[], int]) -> Later[int]:
        if self.fail_with is not None:
            return Later.failed(KafkaError(self.fail_with))
        later: Later[int] = Later()
        if self.hold:
            self._held.append((commit, later))
        else:
            later.complete(commit())
        return later

    @property
    def held_count(self) -> int:
        """How many appends wait for `commit_next` or `fail_next`."""
        return len(self._held)

    def commit_next(self) -> None:
        """Commits the oldest append that waits."""
        commit, later = self._held.popleft()
        later.complete(commit())

    def fail_next(self, code: ErrorCode) -> None:
        """Fails the oldest append that waits; its records are in no log."""
        self._held.popleft()[1].fail(KafkaError(code))
