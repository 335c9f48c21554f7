"""What a benchmark of compaction or retention comes to: a row for programs, lines for people."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from kstore.cli.bench.beside import Latencies
from kstore.cli.bench.histogram import Histogram
from kstore.cli.bench.latency_plot import time_text
from kstore.cli.bench.result import latency_row
from kstore.cli.bench.workloads import Load

__all__ = ["Moment", "Sizes", "UpkeepResult"]


@dataclass(frozen=True, slots=True)
class Moment:
    """How far the work was, `at_s` seconds after its begin: amounts by name."""

    at_s: float
    done: dict[str, int]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of each segment of the log, from its start on."""

    before: list[int]
    after: list[int]


@dataclass(slots=True)
class UpkeepResult:
    """One run of the work, with appends and reads of another log `alone` and `beside` it.

    `figures` are what was counted, under names that end in their unit; `text_of_work` tells them to
    people.
    """

    benchmark: str
    workload: str
    load: Load
    seed: int
    elapsed_s: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    sizes: Sizes = field(default_factory=lambda: Sizes([], []))
    alone: Latencies = field(default_factory=Latencies)
    beside: Latencies = field(default_factory=Latencies)
    text_of_work: str = ""

    def row(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {
            "benchmark": self.benchmark,
            "workload": self.workload,
            "load": asdict(self.load),
            "seed": self.seed,
            "elapsed_s": self.elapsed_s,
            **self.figures,
            "latency_ms": {
                f"{name}_{when}": latency_row(latency)
                for when, found in (("alone", self.alone), ("beside", self.beside))
                for name, latency in (("append", found.append), ("read", found.read))
            },
            "segment_bytes": asdict(self.sizes),
            "moments": [{"at_s": one.at_s, **one.done} for one in self.moments],
        }

    def text(self) -> str:
        """A few lines for people."""
        lines = [self.text_of_work]
        for name in ("append", "read"):
            alone, beside = getattr(self.alone, name), getattr(self.beside, name)
            if beside.count:
                lines.append(
                    f"{name} beside it: {_latency_text(beside)}; alone: {_latency_text(alone)}."
                )
        return "\n".join(lines)


def _latency_text(latency: Histogram) -> str:
    values = [f"{time_text(latency.percentile(one) / 1e6)} {one}th" for one in (50, 99)]
    return f"{', '.join(values)}, {time_text(latency.max / 1e6)} max"
