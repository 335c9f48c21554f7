"""One broker while a case measures it: its process, its topics, the load on it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.brokers.kind import Broker, Kind
from bench.compare import load
from bench.compare.results import Round
from bench.processes import PeakMemory, cost

GIGABYTE = 1e9
MEGABYTE = 1e6


@dataclass(frozen=True)
class Size:
    """How long the rounds are: 1 for figures, a small share for a look."""

    scale: float

    def seconds(self, full: float) -> float:
        return max(full * self.scale, 0.2)

    def bytes(self, full: float) -> int:
        return max(int(full * self.scale), 20_000_000)

    def count(self, full: int) -> int:
        return max(int(full * self.scale), 10)


class Running:
    """A broker of one kind in a directory of its own, which is removed with it."""

    def __init__(
        self,
        kind: Kind,
        directory: Path,
        size: Size,
        settings: Mapping[str, object],
        environment: Mapping[str, str],
    ) -> None:
        self.kind = kind
        self.size = size
        self.broker: Broker = kind.make(directory, settings, environment)

    @property
    def address(self) -> str:
        return self.broker.bootstrap_servers

    def prepare(self) -> None:
        self.broker.prepare()

    def start(self) -> None:
        self.broker.start()

    def close(self) -> None:
        """Ends the process, whatever it does, and removes its data."""
        if self.broker.process is not None:
            self.broker.kill()
        shutil.rmtree(self.broker.directory, ignore_errors=True)

    def check_alive(self) -> None:
        process = self.broker.process
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{self.kind.name} ended with {process.poll()}: {self.said()}")

    def said(self) -> str:
        return self.broker.output().strip()[-1500:]

    def create(self, topic: str, partitions: int = 1, configs: Mapping[str, str] = {}) -> None:
        told = ",".join(f"{name}={value}" for name, value in configs.items())
        load.run("create", self.address, topic=topic, partitions=partitions, configs=told)

    def delete(self, topic: str) -> None:
        load.run("delete", self.address, topic=topic)

    def measure(self, subcommand: str, **options: object) -> Round:
        """Runs a load and says what it cost the broker."""
        before = self.processor_s()
        with PeakMemory(self.broker.pid) as watch:
            found = load.run(subcommand, self.address, **options)
        used = self.processor_s() - before
        return Round(
            {
                **rates(found, used),
                "resident_mb": watch.resident_size / MEGABYTE,
                "anonymous_mb": watch.anonymous_size / MEGABYTE,
            },
            found.get("quantiles", []),
        )

    def processor_s(self) -> float:
        """What the broker has used so far."""
        return cost(self.broker.pid).processor_s

    def memory_mb(self) -> dict[str, float]:
        found = cost(self.broker.pid)
        return {
            "resident_mb": found.resident_size / MEGABYTE,
            "anonymous_mb": found.anonymous_size / MEGABYTE,
        }


def rates(found: Mapping[str, Any], used_s: float) -> dict[str, float]:
    """The metrics of what a load printed and the processor time of its broker."""
    metrics = {
        "errors": found["errors"],
        "requests_per_s": found["requests"] / found["seconds"],
        "gb_per_s": found["bytes"] / found["seconds"] / GIGABYTE,
        "processor_cores": used_s / found["seconds"],
    }
    if found["requests"]:
        metrics["processor_us_per_request"] = used_s / found["requests"] * 1e6
    if found["bytes"]:
        metrics["processor_s_per_gb"] = used_s / found["bytes"] * GIGABYTE
    for name, value in found.get("latency_us", {}).items():
        metrics[f"{name}_us"] = value
    return metrics
