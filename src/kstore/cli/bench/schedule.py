"""When a load means to send, and for how long.

With a rate, the moments are fixed before the run: a broker that pauses makes every request that was
due meanwhile late, and each is counted from when it was to be sent (no coordinated omission).
Without a rate a request is due when its place is free. Times are ns of `perf_counter_ns`.
"""

from __future__ import annotations

from kstore.cli.bench.recorder import Recorder
from kstore.cli.bench.workloads import Load
from kstore.cli.errors import CommandError

__all__ = ["Schedule", "check_backlog"]

_MAX_BACKLOG_COUNT = 1_000_000


def check_backlog(count: int) -> None:
    """Raises `CommandError` if so many due requests without a reply are too many to keep."""
    if count > _MAX_BACKLOG_COUNT:
        raise CommandError(
            f"{count:,} requests are due and not answered; choose a lower --rate, or larger batches"
        )


class Schedule:
    """Deals out requests of `step_count` records; the recorder begins when the warm-up is over."""

    def __init__(self, load: Load, step_count: int, recorder: Recorder) -> None:
        self._step_count = step_count
        self._recorder = recorder
        self._step_ns = step_count / load.rate * 1e9 if load.rate else 0.0
        self._warmup_ns = int(load.warmup_s * 1e9)
        self._duration_ns = int(load.duration_s * 1e9)
        # A number of records stands instead of a duration.
        self._left = load.num_records or None
        self._number = 0
        self._start_ns = 0
        self._is_warm = False

    @property
    def fixed(self) -> bool:
        """Whether there is a rate."""
        return self._step_ns > 0

    @property
    def next_ns(self) -> int:
        """When the next request is to be sent, with a rate."""
        return self._start_ns + int(self._number * self._step_ns)

    def start(self, now_ns: int) -> None:
        """The run, with its warm-up, begins now."""
        self._start_ns = now_ns
        self.turn(now_ns)

    def turn(self, now_ns: int) -> None:
        """Ends the warm-up once it is over; to be called before `due`."""
        if not self._is_warm and now_ns - self._start_ns >= self._warmup_ns:
            self._is_warm = True
            self._recorder.begin(self._start_ns + self._warmup_ns)

    def due(self, now_ns: int) -> tuple[int, int] | None:
        """When the next request was to be sent and its number of records; None: nothing is due."""
        when_ns = self.next_ns if self._step_ns else now_ns
        if when_ns > now_ns or self._is_over(when_ns):
            return None
        self._number += 1
        if self._left is None or not self._is_warm:
            return when_ns, self._step_count
        count = min(self._step_count, self._left)
        self._left -= count
        return when_ns, count

    def is_over(self, now_ns: int) -> bool:
        """Whether nothing will be due any more."""
        return self._is_over(self.next_ns if self._step_ns else now_ns)

    def _is_over(self, when_ns: int) -> bool:
        if self._left is not None:
            return self._left == 0
        return when_ns - self._start_ns >= self._warmup_ns + self._duration_ns
