"""What retention and compaction do to those who produce meanwhile.

    python bench/beside.py [--pairs 5] [--segments 10000] [--gb 2] [--seconds 4] [--quick]
                           [--directory DIR] [--output bench/results/beside.json]

A broker of ours is started on a copy of a data directory that was made before: with a topic of so
many small segments, or with a topic that is all dirty. A synchronous producer (`bench/load`:
100-byte records, one a request, acks=1) is measured first while nothing else goes on; then a config
of that topic is changed so that its segments go, or are compacted flat out, and the same is
measured again. Each pair has a broker and a copy of its own. A trial before finds `busy_s`:
how long the work takes, from the change of the config to the last change in the topic's directory.
The load of a pair lasts as long, but no longer than --seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.brokers.kstore import KIND
from bench.compare import load as go_load
from bench.compare.stage import Running, Size
from bench.linked import linked_copy
from bench.stored import store
from kstore.cli.bench.upkeep import fill_keyed
from kstore.cli.bench.workloads import Load
from kstore.configs import LogConfig
from kstore.log.records import build_batch
from kstore.log.store import Store
from tests.conformance.support.broker import kstore_command

ROOT = Path(__file__).resolve().parent.parent
OLD = "old"
SETTINGS: dict[str, object] = {
    "log.retention.check.interval.ms": 200,
    "log.cleaner.backoff.ms": 100,
    "log.cleaner.dedupe.buffer.size": 512 << 20,
}
SETTLE_S = 0.3  # nothing changed for so long: the work is over
WORK_DEADLINE_S = 120


@dataclass(frozen=True)
class Work:
    """`configs` keep the broker from beginning, `begin` has it begin."""

    name: str
    configs: dict[str, str]
    begin: str
    fill: Callable[[Path, argparse.Namespace], None]


def fill_segments(directory: Path, options: argparse.Namespace) -> None:
    """So many segments of one batch each, and an active one behind them."""
    old_ms = time.time_ns() // 1_000_000 - 3_600_000
    batch = build_batch([(None, b"x" * 1000)] * 10, timestamp_ms=old_ms)
    with Store.open(directory) as opened:
        log = opened.logs[OLD, 0]
        for _ in range(options.segments):
            log.append(batch, now_ms=old_ms)
            log.roll()


def fill_dirty(directory: Path, options: argparse.Namespace) -> None:
    keys = max(100, int(options.gb * 1e9 / 124 / 4))
    load = Load(record_size=100, keys=keys, segments=max(2, round(options.gb * 2)))
    config = LogConfig(cleanup_policy=frozenset({"compact"}))
    with Store.open(directory, config=config) as opened:
        fill_keyed(opened.logs[OLD, 0], load, 1, lambda count: None)


WORKS = (
    Work(
        "retention",
        {"retention.ms": "-1", "file.delete.delay.ms": "0"},
        "retention.ms=60000",
        fill_segments,
    ),
    Work(
        "compaction",
        # The share that is dirty is never above 1.
        {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "1"},
        "min.cleanable.dirty.ratio=0",
        fill_dirty,
    ),
)


class Stage:
    """The data directory that is copied, and brokers on copies of it."""

    def __init__(self, directory: Path, work: Work, options: argparse.Namespace) -> None:
        self._directory = directory
        self._work = work
        self._count = 0
        self._source = directory / "source"
        running = self._running(self._source)
        try:
            running.start()
            running.create(OLD, 1, work.configs)
            running.broker.stop()
        finally:
            if running.broker.process is not None:
                running.broker.kill()
        work.fill(self._source / "data", options)

    def _running(self, directory: Path) -> Running:
        return Running(KIND, directory, Size(1), SETTINGS, {})

    def pair(self, seconds: float, *, to_the_end: bool = False) -> dict[str, float]:
        """A round without the work, and one beside it; `busy_s` if that is waited for."""
        self._count += 1
        there = self._directory / f"pair-{self._count}"
        linked_copy(self._source, there)
        os.sync()
        running = self._running(there)
        try:
            running.start()
            running.create("load", 1)
            self._produce(running, min(1.0, seconds))  # warm
            without = self._produce(running, seconds)
            time.sleep(SETTLE_S)
            began = time.time()
            self._begin(running.address)
            beside = self._produce(running, seconds)
            busy_s = 0.0
            if to_the_end:
                busy_s = self._wait(running, there / "data" / f"{OLD}-0", began)
        finally:
            running.close()
            shutil.rmtree(there, ignore_errors=True)
        return {
            "seconds": seconds,
            "busy_s": round(busy_s, 3),
            **{f"without_{name}": round(value, 1) for name, value in without.items()},
            **{f"beside_{name}": round(value, 1) for name, value in beside.items()},
            "p99_ratio": round(beside["p99_us"] / without["p99_us"], 3),
        }

    def _produce(self, running: Running, seconds: float) -> dict[str, float]:
        metrics = running.measure("produce", topic="load", seconds=seconds).metrics
        assert metrics["errors"] == 0, metrics
        return {name: metrics[name] for name in ("p50_us", "p99_us", "requests_per_s")}

    def _begin(self, address: str) -> None:
        change = ("--alter", "--topic", OLD, "--add-config", self._work.begin)
        subprocess.run(
            [*kstore_command(), "configs", "--bootstrap-server", address, *change],
            check=True,
            capture_output=True,
            timeout=30,
        )

    def _wait(self, running: Running, directory: Path, began: float) -> float:
        """How long the work took: until nothing has changed for a while."""
        deadline = time.monotonic() + WORK_DEADLINE_S
        while True:
            changed = directory.stat().st_mtime
            if changed > began and time.time() - changed > SETTLE_S and self._is_done(directory):
                return changed - began
            running.check_alive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._work.name} did not end: {running.said()}")
            time.sleep(0.05)

    def _is_done(self, directory: Path) -> bool:
        names = os.listdir(directory)
        if any(name.endswith((".cleaned", ".swap", ".deleted")) for name in names):
            return False
        return self._work.name != "retention" or sum(one.endswith(".log") for one in names) == 1


def measure(work: Work, options: argparse.Namespace, directory: Path) -> dict[str, object]:
    stage = Stage(directory, work, options)
    trial = stage.pair(options.seconds, to_the_end=True)
    seconds = max(0.2, min(options.seconds, trial["busy_s"]))
    rounds = []
    for _ in range(options.pairs):
        rounds.append(stage.pair(seconds))
        print(f"  {work.name}: {rounds[-1]}", file=sys.stderr, flush=True)
    return {
        "rounds": rounds,
        "busy_s": trial["busy_s"],
        "p99_ratio": statistics.median(one["p99_ratio"] for one in rounds),
        **{
            name: statistics.median(one[name] for one in rounds)
            for name in ("without_p99_us", "beside_p99_us")
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--pairs", type=int, help="of measurements (5)")
    parser.add_argument("--works", default="retention,compaction")
    parser.add_argument("--segments", type=int, help="that retention removes (10,000)")
    parser.add_argument("--gb", type=float, help="of the log that is compacted (2)")
    parser.add_argument("--seconds", type=float, help="of a load, at most (4)")
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "beside")
    parser.add_argument("--quick", action="store_true", help="a look: small, one pair")
    options = parser.parse_args()
    full = {"pairs": (5, 1), "segments": (10_000, 1_000), "gb": (2.0, 0.1), "seconds": (4.0, 1.0)}
    for name, (value, quick) in full.items():
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else value)
    if reason := go_load.why_unavailable():
        sys.exit(reason)
    options.directory.mkdir(parents=True, exist_ok=True)
    results = {}
    for work in [one for one in WORKS if one.name in options.works.split(",")]:
        with tempfile.TemporaryDirectory(dir=options.directory, prefix=f"{work.name}-") as name:
            results[work.name] = measure(work, options, Path(name))
    store(results, options.output)


if __name__ == "__main__":
    main()
