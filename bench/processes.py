"""What a broker costs with its children: processor time, memory, and the peak of its memory."""

from __future__ import annotations

import threading
from pathlib import Path

from kstore.cli.bench.broker_process import BrokerProcess, ProcessCost
from kstore.cli.errors import CommandError


def cost(pid: int) -> ProcessCost:
    """Of the process and all below it. Raises `CommandError` if it has ended."""
    found = [BrokerProcess(one).cost() for one in tree(pid)]
    return ProcessCost(
        sum(one.processor_s for one in found),
        sum(one.resident_size for one in found),
        sum(one.anonymous_size for one in found),
    )


def tree(pid: int) -> list[int]:
    """The process and those that its threads, or theirs, started and that still run."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += tree(int(child))
    return found


class PeakMemory:
    """The most memory that a process had while this ran; a thread looks every 50 ms."""

    PERIOD_S = 0.05

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.resident_size = 0
        self.anonymous_size = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            try:
                seen = cost(self.pid)
            except (CommandError, OSError):  # it has ended, which its load tells
                return
            self.resident_size = max(seen.resident_size, self.resident_size)
            self.anonymous_size = max(seen.anonymous_size, self.anonymous_size)
            if self._done.wait(self.PERIOD_S):
                return
