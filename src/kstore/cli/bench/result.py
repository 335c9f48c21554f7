"""What a measured run comes to: a row for programs, and a few lines for people.

Row keys end in their unit. Bytes are those of record batches as they travel and lie on disk,
compressed if they are; MB and GB are powers of ten. Latencies are milliseconds from the intended
send time. The requests of end-to-end are its records: each has a way of its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from kstore.cli.bench.histogram import Histogram
from kstore.cli.bench.recorder import Interval, Recorder
from kstore.cli.bench.workloads import Load

__all__ = ["PERCENTILES", "Outcome", "Result", "latency_row"]

PERCENTILES = (50.0, 95.0, 99.0, 99.9)

# A load that takes more than this share of its processor measures itself.
_BUSY = 0.9


class Outcome(Protocol):
    """What a benchmark gives: a row for programs, a few lines for people."""

    def row(self) -> dict[str, Any]: ...

    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Result:
    """One measured run."""

    benchmark: str
    workload: str
    load: Load
    seed: int
    recorder: Recorder
    verb: str  # what was done to records: sent, read
    part: str = ""  # of a benchmark with several runs

    @property
    def intervals(self) -> list[Interval]:
        return self.recorder.intervals

    @property
    def latency(self) -> Histogram:
        """The latencies of the whole run."""
        whole = Histogram()
        for interval in self.intervals:
            whole.merge(interval.latency)
        return whole

    def row(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        return {
            "benchmark": self.benchmark,
            "part": self.part,
            "workload": self.workload,
            "loop": "open" if self.load.rate else "closed",
            "load": asdict(self.load),
            "seed": self.seed,
            **self._totals(),
            "latency_ms": latency_row(self.latency),
            "load_processor_s": self.recorder.load_processor_s,
            "broker": self._broker(),
            "intervals": [_interval_row(one) for one in self.intervals],
        }

    def _totals(self) -> dict[str, Any]:
        elapsed_s = self.intervals[-1].end_ns / 1e9 if self.intervals else 0.0
        records = sum(one.record_count for one in self.intervals)
        size = sum(one.batch_size for one in self.intervals)
        return {
            "elapsed_s": elapsed_s,
            "requests": sum(one.request_count for one in self.intervals),
            "records": records,
            "bytes": size,
            "records_per_s": records / elapsed_s if elapsed_s else 0.0,
            "bytes_per_s": size / elapsed_s if elapsed_s else 0.0,
        }

    def _broker(self) -> dict[str, Any] | None:
        before = self.recorder.cost_before
        costs = [one.cost for one in self.intervals if one.cost is not None]
        if before is None or not costs:
            return None
        processor_s = costs[-1].processor_s - before.processor_s
        totals = self._totals()
        return {
            "processor_s": processor_s,
            "processor_us_per_request": processor_s / max(1, totals["requests"]) * 1e6,
            "processor_s_per_gb": processor_s / max(1, totals["bytes"]) * 1e9,
            "resident_bytes": costs[-1].resident_size,
            "peak_resident_bytes": max(one.resident_size for one in costs),
            "anonymous_bytes": costs[-1].anonymous_size,
        }

    def text(self) -> str:
        """The lines for people; the first is in the style of Kafka's producer-perf."""
        totals = self._totals()
        latency = self.latency
        figures = [f"{latency.mean / 1e6:.2f} ms avg latency", f"{latency.max / 1e6:.2f} ms max"]
        for percent in PERCENTILES:
            figures.append(f"{latency.percentile(percent) / 1e6:.2f} ms {percent:g}th")
        first = f"{self.part}: " if self.part else ""
        first += (
            f"{totals['records']} records {self.verb}, {totals['records_per_s']:.1f} records/sec "
            f"({totals['bytes_per_s'] / 1e6:.2f} MB/sec), {', '.join(figures)}."
        )
        lines = [first, self._loop_text()]
        broker = self._broker()
        if broker is not None:
            what = "record" if self.benchmark == "end-to-end" else "request"
            lines.append(
                f"Broker: {broker['processor_us_per_request']:.1f} µs of processor per {what}, "
                f"{broker['processor_s_per_gb']:.2f} s per GB; "
                f"{broker['peak_resident_bytes'] / 1e6:.0f} MB resident at most, "
                f"{broker['anonymous_bytes'] / 1e6:.0f} MB of it its own at the end."
            )
        if totals["elapsed_s"] and self.recorder.load_processor_s / totals["elapsed_s"] > _BUSY:
            lines.append("The load took a whole processor: the broker may be faster than this.")
        return "\n".join(lines)

    def _loop_text(self) -> str:
        if self.load.rate:
            return (
                f"Fixed schedule of {self.load.rate:g} records/sec: latency is counted from when "
                "each request was to be sent."
            )
        text = "Closed loop: the next request waits for a reply, so a slow broker is asked less"
        if self.verb.startswith("sent"):
            text += "; --rate sends on a fixed schedule"
        return f"{text}."


def latency_row(latency: Histogram) -> dict[str, float]:
    """Mean, percentiles and maximum in ms."""
    row = {"mean": latency.mean / 1e6}
    for percent in PERCENTILES:
        row[f"p{percent:g}"] = latency.percentile(percent) / 1e6
    return {**row, "max": latency.max / 1e6}


def _interval_row(interval: Interval) -> dict[str, Any]:
    return {
        "start_s": interval.start_ns / 1e9,
        "end_s": interval.end_ns / 1e9,
        "requests": interval.request_count,
        "records": interval.record_count,
        "bytes": interval.batch_size,
        "latency_ms": latency_row(interval.latency),
        "broker_processor_s": interval.cost.processor_s if interval.cost else None,
        "broker_resident_bytes": interval.cost.resident_size if interval.cost else None,
    }
