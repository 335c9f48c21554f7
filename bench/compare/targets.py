"""What kstore wants to reach in each case, as figures and ratios, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.compare.results import Result

KSTORE = "kstore"


@dataclass(frozen=True)
class Target:
    """A bound of kstore's own figure, or, with `beside`, of its ratio to that contestant's.

    `to_metric` is the other figure of a ratio where it is not the same one.
    """

    case: str
    metric: str
    beside: str = ""
    at_most: float | None = None
    at_least: float | None = None
    to_metric: str = ""

    def figure(self, result: Result) -> float | None:
        """kstore's figure or ratio; None if one side of it was not measured."""
        if not self.beside:
            return result.median(KSTORE, self.metric)
        return result.ratio(KSTORE, self.metric, self.beside, self.to_metric)

    def is_met(self, result: Result) -> bool | None:
        figure = self.figure(result)
        if figure is None:
            return None
        if self.at_most is not None:
            return figure <= self.at_most
        assert self.at_least is not None, self
        return figure >= self.at_least


def _pipelined(case: str) -> list[Target]:
    cost = "processor_us_per_request"
    return [
        Target(case, cost, at_most=15),
        Target(case, cost, "kafka", at_most=1 / 4),
        Target(case, cost, "tansu", at_most=1),
        Target(case, cost, "crabka", at_most=1),
    ]


def _latency(case: str, tail: str, tail_at_most: float) -> list[Target]:
    return [
        Target(case, "p50_us", "kafka", at_most=1 / 3),
        Target(case, tail, "kafka", at_most=tail_at_most),
    ]


def _produce(case: str) -> list[Target]:
    return [
        Target(case, "processor_s_per_gb", "kafka", at_most=1 / 2),
        Target(case, "gb_per_s", "kafka", at_least=1),
    ]


def _fetch(case: str) -> list[Target]:
    return [
        Target(case, "processor_s_per_gb", "kafka", at_most=1),
        Target(case, "processor_s_per_gb", "sendfile", at_most=1.3),
        Target(case, "gb_per_s", "kafka", at_least=1),
    ]


def _codec(codec: str) -> Target:
    # "As uncompressed": within what two rounds of the same load differ by.
    metric = f"{codec}_processor_s_per_gb"
    return Target("codecs", metric, KSTORE, at_most=1.1, to_metric="none_processor_s_per_gb")


TARGETS: tuple[Target, ...] = (
    *_pipelined("pipelined"),
    *_pipelined("pipelined-8"),
    *_produce("produce-1"),
    *_produce("produce-50"),
    *_fetch("fetch-1"),
    *_fetch("fetch-50"),
    _codec("lz4"),
    _codec("zstd"),
    *_latency("sync-1", "p99_us", 1 / 4),
    *_latency("sync-all", "p99_us", 1 / 4),
    *_latency("end-to-end-1000", "p99.9_us", 1 / 5),
    *_latency("end-to-end-20000", "p99.9_us", 1 / 5),
    Target("crowd", "errors", at_most=0),
    Target("crowd", "p99_us", "kafka", at_most=1),
    Target("crowd", "resident_mb", "kafka", at_most=1 / 4),
    Target("group-commit-1", "requests_per_s", "kafka", at_least=5),
    Target("group-commit-16", "requests_per_s", "kafka", at_least=5),
    Target("transactions", "processor_us_per_request", "kafka", at_most=1 / 2),
    Target("transactions", "p99_us", "kafka", at_most=1 / 3),
    Target(
        "committed",
        "committed_processor_s_per_gb",
        KSTORE,
        at_most=1.1,
        to_metric="uncommitted_processor_s_per_gb",
    ),
    Target("start", "ready_s", at_most=0.5),
    Target("start", "ready_s", "kafka", at_most=1 / 5),
    Target("start", "first_acknowledged_s", at_most=0.5),
    Target("start", "first_acknowledged_s", "kafka", at_most=1 / 5),
    Target("start", "resident_mb", at_most=70),
    Target("start", "resident_mb", "kafka", at_most=1 / 5),
    Target("memory", "anonymous_mb", at_most=120),
    Target("memory", "anonymous_mb", "kafka", at_most=1 / 5),
)


def counts(results: Mapping[str, Result]) -> tuple[int, int, int]:
    """How many targets are met, missed, and not measured."""
    found = [
        target.is_met(results[target.case]) if target.case in results else None
        for target in TARGETS
    ]
    return found.count(True), found.count(False), found.count(None)
