"""What a case found: its file in bench/results/, and the medians and ratios in it.

Absolute figures of a shared machine drift, so a ratio is taken within each round, of neighbours in
time, and the median of these is what counts.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIGNIFICANT_DIGITS = 5


@dataclass
class Round:
    """What one round of one contestant gave: numbers by name, the unit at the name's end, and
    the distribution of the latency as pairs of a share and µs."""

    metrics: dict[str, float]
    quantiles: list[list[float]] = field(default_factory=list)


@dataclass
class Result:
    """`rounds[broker]` are in the order of time; a failed round ends a broker's part in a case."""

    case: str
    title: str
    run: dict[str, Any]
    brokers: dict[str, str]
    left_out: dict[str, str] = field(default_factory=dict)
    rounds: dict[str, list[Round]] = field(default_factory=dict)

    def median(self, broker: str, metric: str) -> float | None:
        found = self.values(broker, metric)
        return statistics.median(found) if found else None

    def values(self, broker: str, metric: str) -> list[float]:
        rounds = self.rounds.get(broker, [])
        return [one.metrics[metric] for one in rounds if metric in one.metrics]

    def ratio(self, broker: str, metric: str, to_broker: str, to_metric: str = "") -> float | None:
        """The median of the rounds' ratios; None where one side has no figures, or nothing."""
        pairs = zip(
            self.values(broker, metric), self.values(to_broker, to_metric or metric), strict=False
        )
        ratios = [one / other for one, other in pairs if other]
        return statistics.median(ratios) if ratios else None

    def quantiles(self, broker: str) -> list[tuple[float, float]]:
        """The distribution of the latency: at each share the median of the rounds, in µs."""
        by_share: dict[float, list[float]] = {}
        for one in self.rounds.get(broker, []):
            for share, latency_us in one.quantiles:
                by_share.setdefault(share, []).append(latency_us)
        return [(share, statistics.median(found)) for share, found in sorted(by_share.items())]

    def write(self, directory: Path) -> Path:
        """One line a round, so that the file reads and its changes show."""
        head = {
            "case": self.case,
            "title": self.title,
            "run": self.run,
            "brokers": self.brokers,
            "left_out": self.left_out,
        }
        lines = [
            json.dumps(
                {
                    "broker": broker,
                    "metrics": {name: _short(value) for name, value in one.metrics.items()},
                    "quantiles": [[share, _short(us)] for share, us in one.quantiles],
                }
            )
            for broker, rounds in self.rounds.items()
            for one in rounds
        ]
        body = ",\n  ".join(lines)
        text = json.dumps(head, indent=1)[:-2] + f',\n "rounds": [\n  {body}\n ]\n}}\n'
        directory.mkdir(parents=True, exist_ok=True)
        path = path_of(directory, self.case)
        partial = path.with_suffix(".partial")
        partial.write_text(text)
        partial.rename(path)
        return path


def path_of(directory: Path, case: str) -> Path:
    return directory / f"compare-{case}.json"


def read(path: Path) -> Result:
    stored = json.loads(path.read_text())
    rounds: dict[str, list[Round]] = {}
    for one in stored.pop("rounds"):
        rounds.setdefault(one["broker"], []).append(Round(one["metrics"], one["quantiles"]))
    return Result(rounds=rounds, **stored)


def read_all(directory: Path) -> dict[str, Result]:
    found = map(read, sorted(directory.glob("compare-*.json")))
    return {result.case: result for result in found}


def _short(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
