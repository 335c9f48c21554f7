"""What the engine costs by itself: appends, reads, opening and recovery, without a broker.

    python bench/engine.py [--directory DIR] [--scale 1] [--output bench/results/engine.json]

Each figure is the median of several runs. The first pass over a segment pays for memory that the
system hands out page by page, so appends are given for fresh files and, by truncating the log and
appending again, for pages that are there already. Beside them stands their physical limit, measured
in turn with them: one copy of the batch into a mapped file, and one CRC-32C over it.
"""

from __future__ import annotations

import argparse
import mmap
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stored import store

from kstore._native.batch import crc32c
from kstore._native.validate import validate_batch
from kstore.configs import LogConfig
from kstore.log.log import Log
from kstore.log.records import build_batch
from kstore.log.store import Store

RUNS = 7
SEGMENT_BYTES = 1 << 30


@contextmanager
def open_log(directory: Path, **config: int) -> Iterator[Log]:
    with Store.open(directory, config=LogConfig(**config)) as store:
        yield store.create("topic")
    shutil.rmtree(directory)


def median_us(run: Callable[[], None], count: int) -> float:
    """Microseconds for one of the `count` operations that `run` does."""
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        taken.append((time.perf_counter() - start) / count * 1e6)
    return round(statistics.median(taken), 2)


@contextmanager
def preallocated(directory: Path, size: int) -> Iterator[memoryview]:
    """A map to copy into, as that of an active segment."""
    with tempfile.TemporaryFile(dir=directory) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        with mmap.mmap(file.fileno(), size) as map, memoryview(map) as view:
            yield view


def appends(directory: Path, batch: bytes, count: int) -> dict[str, float]:
    now_ms = time.time_ns() // 1_000_000
    checked = memoryview(batch)[21:]
    taken: dict[str, list[float]] = {}
    with (
        open_log(directory, segment_bytes=SEGMENT_BYTES) as log,
        preallocated(directory, count * len(batch)) as target,
    ):

        def append() -> None:
            for _ in range(count):
                log.append(batch, now_ms=now_ms)

        def again() -> None:
            log.truncate_to(0)
            started = time.process_time()
            append()
            note("append_us", started)

        def note(name: str, started: float) -> None:
            taken.setdefault(name, []).append((time.process_time() - started) / count * 1e6)

        def copy_and_crc() -> None:
            started = time.process_time()
            end = 0
            for _ in range(count):
                crc32c(checked)
                start, end = end, end + len(batch)
                target[start:end] = batch
            note("copy_and_crc_us", started)

        def check() -> None:
            started = time.process_time()
            for _ in range(count):
                validate_batch(batch, log.rules, now_ms, True)
            note("check_us", started)

        fresh_us = median_us(append, count)
        for _ in range(3 * RUNS):
            again()
            copy_and_crc()
            check()
    found = {name: round(statistics.median(each), 3) for name, each in taken.items()}
    found["share_of_limit"] = round(found["copy_and_crc_us"] / found["append_us"], 2)
    return {"append_to_new_pages_us": fresh_us, **found}


def idempotent_appends(directory: Path, count: int) -> float:
    now_ms = time.time_ns() // 1_000_000
    with open_log(directory) as log:
        sequence = 0

        def run() -> None:
            nonlocal sequence
            for batch in batches:
                log.append(batch, now_ms=now_ms)

        taken = []
        for _ in range(RUNS):
            batches = [
                build_batch(
                    [(None, b"x" * 30)],
                    timestamp_ms=now_ms,
                    producer_id=1,
                    producer_epoch=0,
                    base_sequence=sequence + number,
                )
                for number in range(count)
            ]
            sequence += count
            start = time.perf_counter()
            run()
            taken.append((time.perf_counter() - start) / count * 1e6)
        return round(statistics.median(taken), 2)


def reads(directory: Path, count: int) -> dict[str, float]:
    """Slices at offsets all over the active segment, and over one that is sealed."""
    now_ms = time.time_ns() // 1_000_000
    batch = build_batch([(None, b"x" * 30)] * 10, timestamp_ms=now_ms)
    found = {}
    with open_log(directory) as log:
        for _ in range(10 * count):
            log.append(batch, now_ms=now_ms)
        end = log.log_end_offset
        offsets = [number * 7919 % end for number in range(count)]

        def run() -> None:
            for offset in offsets:
                log.read(offset, 10_000, upto_offset=end)

        def run_at_end() -> None:
            for _ in range(count):
                log.read(end - 10, 10_000, upto_offset=end)

        found["read_lookup_newest_us"] = median_us(run_at_end, count)
        found["read_lookup_active_us"] = median_us(run, count)
        log.roll()
        found["read_lookup_sealed_us"] = median_us(run, count)
    return found


def rolls(directory: Path, count: int) -> float:
    now_ms = time.time_ns() // 1_000_000
    batch = build_batch([(None, b"x" * 900)], timestamp_ms=now_ms)
    with open_log(directory, segment_bytes=1000) as log:

        def run() -> None:
            for _ in range(count):
                log.append(batch, now_ms=now_ms)

        return median_us(run, count)


def openings(directory: Path, megabytes: int) -> dict[str, float]:
    now_ms = time.time_ns() // 1_000_000
    batch = build_batch([(None, b"x" * 1000)] * 16, timestamp_ms=now_ms)
    found = {}
    with Store.open(directory) as store:
        log = store.create("topic")
        while log.size < megabytes << 20:
            log.append(batch, now_ms=now_ms)
    for name, clean in (("open_clean_ms", True), ("recovery_mb_per_s", False)):
        taken = []
        for _ in range(RUNS):
            if not clean:
                (directory / ".kafka_cleanshutdown").unlink()
                (directory / "recovery-point-offset-checkpoint").unlink()
            start = time.perf_counter()
            with Store.open(directory):
                taken.append(time.perf_counter() - start)
        middle = statistics.median(taken)
        found[name] = round(middle * 1e3, 2) if clean else round(megabytes * 1.048576 / middle)
    shutil.rmtree(directory)
    return found


def partitions(directory: Path, count: int) -> float:
    with Store.open(directory) as store:
        start = time.perf_counter()
        for number in range(count):
            store.create("topic", number)
        taken = time.perf_counter() - start
    shutil.rmtree(directory)
    return round(count / taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--directory", type=Path, help="where to make the stores")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each to do")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()

    def scaled(count: int) -> int:
        return max(10, round(count * options.scale))

    with tempfile.TemporaryDirectory(dir=options.directory) as place:
        directory = Path(place) / "data"
        one_small = build_batch([(None, b"x" * 32)])
        large_records = build_batch([(None, b"x" * 1003)] * 16)
        small_records = build_batch([(b"key-%06d" % 1, b"x" * 86)] * 150)
        results: dict[str, object] = {
            "append_1_small_record": appends(directory, one_small, scaled(20_000)),
            "append_16_records_of_1_KB": appends(directory, large_records, scaled(1_000)),
            "append_150_records_of_100_bytes": appends(directory, small_records, scaled(1_000)),
            "append_idempotent_us": idempotent_appends(directory, scaled(10_000)),
            **reads(directory, scaled(5_000)),
            "roll_with_sync_us": rolls(directory, scaled(20)),
            **openings(directory, scaled(128)),
            "partitions_made_per_s": partitions(directory, scaled(100)),
        }
    store(results, options.output)


if __name__ == "__main__":
    main()
