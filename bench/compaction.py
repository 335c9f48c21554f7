"""Compaction: ours beside Kafka's cleaner on the same files, and beside what codecs alone take.

    python bench/compaction.py [--gb 4] [--keys 10000000] [--pairs 5] [--cases none-100,...]
                               [--quick] [--directory DIR] [--output bench/results/compaction.json]

Each case makes one log: so many bytes of records before compression (with zstd half as many), with
keys drawn at random of `--keys`, in segments of 1 GiB. Then, in turn, pair after pair, each side
compacts a copy of it with one thread and a map of the same size: ours is `Log.compact`, Kafka's is
its Cleaner in a JVM of its own (`kafka_cleaner`), warmed up on a smaller log of the same kind. What
is timed is the call that cleans, syncs and renames included. Copies share the files of sealed
segments (`linked.py`), so both sides read the same pages of memory.

With zstd ours stands beside the same batches, decompressed and compressed again once, all of them,
at the topic's level and in one thread: measured on a part of the log, in the same turns.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench import kafka_cleaner
from bench.linked import linked_copy
from bench.stored import store
from kstore._native.batch import HEADER_SIZE
from kstore.cli.bench.keyed import KEY_SIZE
from kstore.cli.bench.upkeep import fill_keyed
from kstore.cli.bench.workloads import Load
from kstore.configs import LogConfig
from kstore.log.compression import compress, decompress
from kstore.log.store import Store

TOPIC = "bench"
SEGMENT_BYTES = 1 << 30
SLOT_SIZE = 27  # bytes of map for each key that there is
RECORD_OVERHEAD = KEY_SIZE + 8
LEVEL = 3
LIMIT_SHARE = 0.2  # of the log that the limit is measured on
WARM_UP_SHARE = 0.06
MEGABYTE = 1e6
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Case:
    """`share` of --gb: where codecs take most of the time, less of it tells as much."""

    name: str
    codec: str
    record_size: int
    share: float = 1.0


CASES = {
    case.name: case
    for case in (
        Case("none-100", "none", 100),
        Case("none-1000", "none", 1000),
        Case("zstd-100", "zstd", 100, share=0.5),
        Case("zstd-1000", "zstd", 1000, share=0.5),
    )
}


def load_of(case: Case, size: float, keys: int) -> Load:
    """So many bytes of records, whose keys are drawn evenly of `keys`: not all of them come."""
    count = max(10, int(size / (case.record_size + RECORD_OVERHEAD)))
    met = max(1, int(keys * (1 - math.exp(-count / keys))))
    return Load(
        record_size=case.record_size,
        compression_type=case.codec,
        keys=met,
        overwrite_ratio=1 - met / count,
        segments=max(1, math.ceil(size / (SEGMENT_BYTES * 0.95))),
    )


def config() -> LogConfig:
    return LogConfig(
        cleanup_policy=frozenset({"compact"}),
        segment_bytes=SEGMENT_BYTES,
        compression_zstd_level=LEVEL,
    )


def fill(directory: Path, load: Load, seed: int) -> None:
    with Store.open(directory, config=config()) as store_:
        fill_keyed(store_.create(TOPIC), load, seed, lambda count: None)


class Measured:
    """One case: the log that is copied, and the turns."""

    def __init__(self, directory: Path, case: Case, size: float, keys: int) -> None:
        self.case = case
        self.load = load_of(case, size, keys)
        self.map_size = self.load.keys * SLOT_SIZE + 1024
        self.plain_size = size
        self._directory = directory
        self._source = directory / "source"
        self._warm_source = directory / "warm-source"
        fill(self._source, self.load, seed=1)
        self.log_size = _sealed_size(self._source)
        self.map_bytes_per_key = 0.0
        self.kept_bytes = 0

    def prepare_kafka(self) -> None:
        warm_size = self.plain_size * WARM_UP_SHARE
        fill(self._warm_source, load_of(self.case, warm_size, max(100, self.load.keys // 10)), 2)

    def ours(self) -> float:
        """MB per second of the log as it lies on the disk."""
        with self._copy(self._source) as copy, Store.open(copy, config=config()) as opened:
            log = opened.logs[TOPIC, 0]
            began = time.perf_counter()
            done = log.compact(map_size=self.map_size)
            seconds = time.perf_counter() - began
        assert done.passes == 1, done
        self.map_bytes_per_key = done.map_size / done.keys
        self.kept_bytes = done.bytes_written
        return self.log_size / seconds / MEGABYTE

    def kafkas(self) -> float:
        with self._copy(self._warm_source) as warm, self._copy(self._source) as copy:
            found = kafka_cleaner.clean(
                [warm / f"{TOPIC}-0", copy / f"{TOPIC}-0"],
                map_size=self.map_size,
                segment_bytes=SEGMENT_BYTES,
                zstd_level=LEVEL,
            )[-1]
        assert found["keys"] == self.load.keys, found
        assert abs(found["bytes_written"] / max(1, self.kept_bytes) - 1) < 0.01, found
        return self.log_size / float(found["seconds"]) / MEGABYTE

    def limit(self) -> float:
        """Batches decompressed and compressed again, at the same count."""
        wanted = self.log_size * LIMIT_SHARE
        size = seconds = 0.0
        with self._copy(self._source) as copy, Store.open(copy, config=config()) as opened:
            log = opened.logs[TOPIC, 0]
            for segment in log.segments.all():
                for header in segment.headers():
                    data = memoryview(segment.read(header.position, header.size))
                    began = time.perf_counter()
                    records = decompress(header.codec, data[HEADER_SIZE:])
                    compress(header.codec, records, LEVEL)
                    seconds += time.perf_counter() - began
                    size += header.size
                    if size >= wanted:
                        return size / seconds / MEGABYTE
        return size / seconds / MEGABYTE

    def _copy(self, source: Path) -> _Copy:
        return _Copy(source, self._directory / f"copy-{source.name}")


class _Copy:
    """A copy for the length of a `with` block; the disk is quiet when it begins and ends."""

    def __init__(self, source: Path, target: Path) -> None:
        self._source = source
        self._target = target

    def __enter__(self) -> Path:
        linked_copy(self._source, self._target)
        os.sync()
        return self._target

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._target)
        os.sync()


def _sealed_size(directory: Path) -> int:
    return sum(path.stat().st_size for path in (directory / f"{TOPIC}-0").glob("*.log"))


def measure(case: Case, options: argparse.Namespace, directory: Path) -> dict[str, object]:
    measured = Measured(directory, case, options.gb * case.share * 1e9, options.keys)
    sides: dict[str, Callable[[], float]] = {"kstore": measured.ours}
    left_out = ""
    if case.codec != "none":
        sides["codec"] = measured.limit
    elif options.without_kafka or (left_out := kafka_cleaner.why_unavailable() or ""):
        pass
    else:
        measured.prepare_kafka()
        sides["kafka"] = measured.kafkas
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.pairs):
        for name, side in sides.items():
            found[name].append(round(side(), 1))
            print(f"  {case.name}: {name} {found[name][-1]:,.0f} MB/s", file=sys.stderr, flush=True)
    peer = next((name for name in sides if name != "kstore"), None)
    beside = found[peer] if peer else []
    ratios = [ours / other for ours, other in zip(found["kstore"], beside, strict=False)]
    return {
        "record_size": case.record_size,
        "codec": case.codec,
        "log_bytes": measured.log_size,
        "plain_bytes": int(measured.plain_size),
        "kept_bytes": measured.kept_bytes,
        "keys": measured.load.keys,
        "map_bytes_per_key": round(measured.map_bytes_per_key, 2),
        "mb_per_s": found,
        "ratio": round(statistics.median(ratios), 3) if ratios else None,
        "left_out": left_out,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--gb", type=float, help="of records in each log (4)")
    parser.add_argument("--keys", type=int, help="that are drawn from (10 million)")
    parser.add_argument("--pairs", type=int, help="of measurements (5)")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "compaction")
    parser.add_argument("--quick", action="store_true", help="a look: 0.2 GB, one pair")
    parser.add_argument("--without-kafka", action="store_true", help="ours alone")
    options = parser.parse_args()
    for name, full, quick in (("gb", 4.0, 0.2), ("keys", 10_000_000, 500_000), ("pairs", 5, 1)):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else full)
    options.directory.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in options.cases.split(","):
        with tempfile.TemporaryDirectory(dir=options.directory, prefix=f"{name}-") as directory:
            results[name] = measure(CASES[name], options, Path(directory))
    store(results, options.output)


if __name__ == "__main__":
    main()
