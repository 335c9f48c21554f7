"""What a run measures while it goes on: requests done, and what the broker's process cost.

Counted in intervals, a hundred or two of a long run, so that a run is also a picture over time.
Before `begin` nothing is counted: that is the warm-up. Times are ns of `perf_counter_ns`. One
thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kstore.cli.bench.broker_process import BrokerProcess, ProcessCost
from kstore.cli.bench.histogram import Histogram

__all__ = ["Interval", "Recorder"]

_MAX_COUNT = 240


@dataclass(slots=True)
class Interval:
    """What was done between two moments of a run; `start_ns` counts from its beginning."""

    start_ns: int
    end_ns: int = 0
    request_count: int = 0
    record_count: int = 0
    batch_size: int = 0
    latency: Histogram = field(default_factory=Histogram)
    cost: ProcessCost | None = None

    def join(self, later: Interval) -> Interval:
        """This interval, with the one after it become part of it."""
        self.end_ns = later.end_ns
        self.cost = later.cost
        self.request_count += later.request_count
        self.record_count += later.record_count
        self.batch_size += later.batch_size
        self.latency.merge(later.latency)
        return self


class Recorder:
    """`intervals` are those that are over; `on_interval` is told of each."""

    def __init__(
        self,
        *,
        interval_s: float = 0.1,
        process: BrokerProcess | None = None,
        on_interval: Callable[[Interval], None] | None = None,
    ) -> None:
        """`interval_s` is doubled, and intervals are joined in pairs, when there are many."""
        self._interval_ns = int(interval_s * 1e9)
        self._process = process
        self._on_interval = on_interval
        self._began_ns: int | None = None
        self._current = Interval(0)
        self._load_began_s = 0.0
        self.load_processor_s = 0.0
        self.cost_before: ProcessCost | None = None
        self.intervals: list[Interval] = []

    def begin(self, now_ns: int) -> None:
        """Counts what was to be sent from now on."""
        self._began_ns = now_ns
        self.cost_before = self._process.cost() if self._process else None
        self._load_began_s = time.process_time()

    def done(self, intended_ns: int, now_ns: int, record_count: int, batch_size: int) -> None:
        """Counts a request whose answer came now, and which was to be sent at `intended_ns`."""
        if self._began_ns is None or intended_ns < self._began_ns:
            return
        interval = self._current
        interval.request_count += 1
        interval.record_count += record_count
        interval.batch_size += batch_size
        interval.latency.record(now_ns - intended_ns)

    def turn(self, now_ns: int) -> None:
        """Closes the interval if it is over."""
        if self._began_ns is not None:
            elapsed_ns = now_ns - self._began_ns
            if elapsed_ns - self._current.start_ns >= self._interval_ns:
                self._close(elapsed_ns)

    def end(self, now_ns: int) -> None:
        """Closes the last interval; a short one becomes part of the one before."""
        if self._began_ns is not None:
            elapsed_ns = max(now_ns - self._began_ns, self._current.start_ns + 1)
            if self.intervals and elapsed_ns - self._current.start_ns < self._interval_ns // 2:
                self._current = self.intervals.pop().join(self._current)
            self._close(elapsed_ns)
            self.load_processor_s = time.process_time() - self._load_began_s

    def _close(self, elapsed_ns: int) -> None:
        interval, self._current = self._current, Interval(elapsed_ns)
        interval.end_ns = elapsed_ns
        interval.cost = self._process.cost() if self._process else None
        self.intervals.append(interval)
        if len(self.intervals) == _MAX_COUNT:
            pairs = zip(self.intervals[::2], self.intervals[1::2], strict=True)
            self.intervals = [first.join(second) for first, second in pairs]
            self._interval_ns *= 2
        if self._on_interval is not None:
            self._on_interval(interval)
