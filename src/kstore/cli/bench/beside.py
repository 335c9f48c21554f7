"""Appends and reads beside other work: how long they take while a worker is busy with it.

A log of its own in the same store gets a batch and gives a slice on a fixed schedule, in the thread
of the log, as a broker's loop would; latency is counted from when each was to begin, so whatever
holds the thread up, the GIL or the disk, is in it. One thread, but for the work itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import cycle

from kstore.cli.bench.batches import make_batches
from kstore.cli.bench.histogram import Histogram
from kstore.cli.bench.workloads import Load
from kstore.log.log import Log

__all__ = ["Beside", "Latencies"]

_SLICE_SIZE = 64 << 10
_LATEST_SHARE = 0.5  # of the reads; the others begin anywhere


class Latencies:
    """ns of appends and reads."""

    def __init__(self) -> None:
        self.append = Histogram()
        self.read = Histogram()


class Beside:
    """Appends to `log` and reads from it, `load.beside_rate` times a second each."""

    def __init__(self, log: Log, load: Load, seed: int) -> None:
        self._log = log
        self._batches = cycle(make_batches(load, seed))
        self._chance = random.Random(seed)
        self._step_ns = int(1e9 / load.beside_rate) if load.beside_rate else 0

    def run(
        self,
        is_over: Callable[[], bool],
        latencies: Latencies,
        each_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """Goes on until `is_over`; `each_turn` is called between two appends."""
        due_ns = time.perf_counter_ns()
        while not is_over():
            each_turn()
            now_ns = time.perf_counter_ns()
            if not self._step_ns:
                time.sleep(0.002)
            elif due_ns > now_ns:
                time.sleep((due_ns - now_ns) / 1e9)
            else:
                self._append()
                done_ns = time.perf_counter_ns()
                latencies.append.record(done_ns - due_ns)
                self._read()
                latencies.read.record(time.perf_counter_ns() - done_ns)
                due_ns += self._step_ns

    def _append(self) -> None:
        self._log.append(next(self._batches).data, now_ms=time.time_ns() // 1_000_000)

    def _read(self) -> None:
        log = self._log
        end = log.log_end_offset
        offset = end - 1
        if self._chance.random() > _LATEST_SHARE:
            offset = self._chance.randrange(log.log_start_offset, end)
        found = log.read(offset, _SLICE_SIZE, upto_offset=end)
        if found is not None:
            found.read()
            found.release()
