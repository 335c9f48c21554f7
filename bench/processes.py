"""What /proc says of a process and its children: processor time and memory."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """Bytes in memory: all that is resident, and the part that no file stands behind."""

    resident: int
    anonymous: int


def processor_s(pid: int, proc: Path = PROC) -> float:
    """User and system time of all threads so far, children included, ended or not."""
    fields = _stat_fields(pid, proc)
    own = sum(int(fields[index]) for index in (11, 12, 13, 14)) / TICKS
    return own + sum(processor_s(child, proc) for child in children(pid, proc))


def memory(pid: int, proc: Path = PROC) -> Memory:
    """Of the process and its children."""
    found = {"VmRSS": 0, "RssAnon": 0}
    for line in (proc / str(pid) / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in found:
            found[name] = int(value.split()[0]) * 1024
    below = [memory(child, proc) for child in children(pid, proc)]
    return Memory(
        found["VmRSS"] + sum(one.resident for one in below),
        found["RssAnon"] + sum(one.anonymous for one in below),
    )


def children(pid: int, proc: Path = PROC) -> list[int]:
    """Process ids of the children that all threads of `pid` started."""
    found: list[int] = []
    for task in (proc / str(pid) / "task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return found


def _stat_fields(pid: int, proc: Path) -> list[str]:
    """The fields of `stat` after the command, which may hold spaces and parentheses."""
    return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()


class PeakMemory:
    """The most memory that a process had while this ran; a thread looks every 50 ms."""

    PERIOD_S = 0.05

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.peak = Memory(0, 0)
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
                seen = memory(self.pid)
            except FileNotFoundError:
                return
            self.peak = Memory(
                max(seen.resident, self.peak.resident), max(seen.anonymous, self.peak.anonymous)
            )
            if self._done.wait(self.PERIOD_S):
                return
