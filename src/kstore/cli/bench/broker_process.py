"""What a broker's process costs, from /proc: any broker on this machine, by its process id."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kstore.cli.errors import CommandError

__all__ = ["BrokerProcess", "ProcessCost"]

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessCost:
    """User and system time so far, and memory now: resident bytes, and those of no file."""

    processor_s: float
    resident_size: int
    anonymous_size: int


class BrokerProcess:
    """A process by its id."""

    def __init__(self, pid: int) -> None:
        """Raises `CommandError` if there is none."""
        self.pid = pid
        self.cost()

    def cost(self) -> ProcessCost:
        """Raises `CommandError` if the process has ended."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            raise CommandError(f"--broker-pid {self.pid}: there is no such process") from None
        # The name of the command, in brackets, may hold spaces; utime and stime are fields 14, 15.
        fields = stat.rpartition(")")[2].split()
        sizes = dict(line.partition(":")[::2] for line in status.splitlines())
        return ProcessCost(
            (int(fields[11]) + int(fields[12])) / _TICKS,
            _kilobytes(sizes.get("VmRSS")),
            _kilobytes(sizes.get("RssAnon")),
        )


def _kilobytes(text: str | None) -> int:
    return int(text.split()[0]) * 1024 if text else 0
