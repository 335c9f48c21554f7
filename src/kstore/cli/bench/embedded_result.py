"""What a benchmark of the embedded engine comes to: a row for programs, a line for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from kstore.cli.bench.histogram import Histogram
from kstore.cli.bench.result import latency_row
from kstore.cli.bench.workloads import Load

__all__ = ["EmbeddedResult"]


@dataclass(slots=True)
class EmbeddedResult:
    """Operations of one kind, and how long they took.

    Figures per second count only the time inside operations. `limit` is what the same bytes take at
    the least, measured in turns with this.
    """

    benchmark: str
    workload: str
    part: str
    operations: str  # what they are called
    load: Load
    seed: int
    operations_per_stamp: int = 1
    latency: Histogram = field(default_factory=Histogram)  # ns of one operation
    busy_ns: int = 0
    record_count: int = 0
    size: int = 0
    limit: EmbeddedResult | None = None

    def add(self, stamps: list[int], record_count: int, size: int) -> None:
        """Counts operations that followed each other: when the first began, when each ended."""
        count = self.operations_per_stamp
        for begin_ns, end_ns in pairwise(stamps):
            self.latency.record((end_ns - begin_ns) // count, count)
        self.busy_ns += stamps[-1] - stamps[0]
        self.record_count += record_count
        self.size += size

    @property
    def bytes_per_s(self) -> float:
        return self.size / self.busy_ns * 1e9 if self.busy_ns else 0.0

    @property
    def share_of_limit(self) -> float | None:
        """How much of the limit's throughput this has."""
        return None if self.limit is None else self.bytes_per_s / self.limit.bytes_per_s

    @property
    def operation_ns(self) -> float:
        """Nanoseconds of one operation, on average."""
        return self.busy_ns / max(1, self.latency.count)

    def row(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {
            "benchmark": self.benchmark,
            "part": self.part,
            "workload": self.workload,
            "load": asdict(self.load),
            "seed": self.seed,
            "operations": self.latency.count,
            "records": self.record_count,
            "bytes": self.size,
            "busy_s": self.busy_ns / 1e9,
            "ns_per_operation": self.operation_ns,
            "records_per_s": self.record_count / self.busy_ns * 1e9 if self.busy_ns else 0.0,
            "bytes_per_s": self.bytes_per_s,
            "share_of_limit": self.share_of_limit,
            "latency_ms": latency_row(self.latency),
        }

    def text(self) -> str:
        """A line for people."""
        latency = self.latency
        text = (
            f"{self.part}: {latency.count} {self.operations}, {_time_text(self.operation_ns)} each "
            f"({_time_text(latency.percentile(50))} 50th, {_time_text(latency.percentile(99))} "
            f"99th, {_time_text(latency.max)} max)"
        )
        if self.size:
            records_per_s = self.record_count / self.busy_ns * 1e9
            text += f", {records_per_s:,.0f} records/sec ({self.bytes_per_s / 1e6:,.0f} MB/sec)"
        if self.share_of_limit is not None:
            text += f", {self.share_of_limit:.0%} of copy + CRC"
        return f"{text}."


def _time_text(ns: float) -> str:
    if ns < 1000:
        return f"{ns:.0f} ns"
    return f"{ns / 1e3:.2f} µs" if ns < 1e6 else f"{ns / 1e6:.2f} ms"
