"""What it costs to find an offset: in an index, and among the segments of a log.

    python bench/lookups.py [--output bench/results/lookups.json] [--count 20000]

Indexes of many sizes are made as files, with an entry for every 4 KiB of log, and asked for random
offsets, as `OffsetIndex.lookup` is by a fetch; so are rows of segments. Figures are the best of
seven rounds, in nanoseconds, with the call from Python: of the native search, and of `lookup`
around it.
"""

from __future__ import annotations

import argparse
import random
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stored import store

from kstore._native.index import BaseOffsets, find_position
from kstore.log.files import Files
from kstore.log.handles import Handles
from kstore.log.index import OffsetIndex

ROUNDS = 7
INTERVAL = 4096
RECORDS = 32
"""Records of 128 bytes for an entry."""
SEGMENT_SIZES_MB = (1, 16, 128, 1024)
SEGMENT_COUNTS = (1, 100, 1_000, 10_000)


def best_ns(work: Callable[[int], object], targets: list[int]) -> float:
    """Nanoseconds of one call, in the best of the rounds, loop and call included."""

    def round_ns(call: Callable[[int], object]) -> float:
        started = time.perf_counter()
        for target in targets:
            call(target)
        return (time.perf_counter() - started) / len(targets) * 1e9

    return min(round_ns(work) for _ in range(ROUNDS))


def in_index(directory: Path, size_mb: int, count: int, chosen: random.Random) -> dict[str, float]:
    """Lookups in the index of a segment of that size."""
    entries = (size_mb << 20) // INTERVAL
    handles = Handles(Files())
    index = OffsetIndex(handles, directory, 0, None)
    index.path.write_bytes(
        b"".join(struct.pack(">ii", RECORDS * at, INTERVAL * at) for at in range(1, entries))
    )
    targets = [chosen.randrange(RECORDS * entries) for _ in range(count)]
    for target in targets[:100]:
        assert index.lookup(target) == target // RECORDS * INTERVAL
    file, in_file = index.entries(), index.file_count
    found = {
        "native": best_ns(lambda target: find_position(file, in_file, None, target), targets),
        "lookup": best_ns(index.lookup, targets),
    }
    handles.clear()
    return found


def among_segments(segments: int, count: int, chosen: random.Random) -> dict[str, float]:
    """Which of so many segments holds an offset?"""
    bases = BaseOffsets()
    for number in range(segments):
        bases.add(1000 * number)
    targets = [chosen.randrange(1000 * segments) for _ in range(count)]
    return {"native": best_ns(bases.floor, targets)}


def measure(count: int, seed: int) -> dict[str, dict[str, float]]:
    chosen = random.Random(seed)
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        for size_mb in SEGMENT_SIZES_MB:
            name = f"in the index of a segment of {size_mb} MB"
            found[name] = in_index(Path(directory), size_mb, count, chosen)
    for segments in SEGMENT_COUNTS:
        found[f"among {segments:,} segments"] = among_segments(segments, count, chosen)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    store(measure(options.count, options.seed), options.output)


if __name__ == "__main__":
    main()
