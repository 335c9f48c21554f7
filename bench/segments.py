"""How long appends take while segments grow and roll, with what they need made ahead and without.

    python bench/segments.py [--output bench/results/segments.json] [--megabytes 400] [--rounds 5]

Appends batches of 16 KB to a log whose segments end at 16 MB, on the server's own loop and workers,
at most one in 40 µs (400 MB a second). "At need" makes no step and no segment before an append asks
for it. Both are measured in turn, round after round; each figure is the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from kstore.configs import LogConfig
from kstore.log import ahead, segment
from kstore.log.records import build_batch
from kstore.log.store import Store
from kstore_server.main import new_runner
from kstore_server.runtime import AsyncioRuntime

SEGMENT_BYTES = 16 << 20
SPACING_S = 40e-6
NEVER = 1 << 62
MODES = {"made ahead": segment._AHEAD_CAPACITY, "at need": NEVER}


async def appends(directory: Path, size: int) -> dict[str, float]:
    """Microseconds of all appends, of those that went into a new step, of those that rolled."""
    runtime = AsyncioRuntime()
    store = Store.open(directory, runtime=runtime, config=LogConfig(segment_bytes=SEGMENT_BYTES))
    log = store.create("topic")
    now_ms = time.time_ns() // 1_000_000
    batch = build_batch([(None, b"x" * 1003)] * 16, timestamp_ms=now_ms)
    every, grown, rolled = [], [], []
    capacity, segments = 0, 1
    for _ in range(size // len(batch)):
        started = time.perf_counter()
        log.append(batch, now_ms=now_ms)
        taken = (time.perf_counter() - started) * 1e6
        every.append(taken)
        assert log.writer is not None
        if len(log.segments) != segments:
            rolled.append(taken)
        elif log.writer.capacity > max(capacity, ahead.MAX_STEP):
            grown.append(taken)
        capacity, segments = log.writer.capacity, len(log.segments)
        while time.perf_counter() - started < SPACING_S:
            await asyncio.sleep(0)
    await runtime.idle()
    store.close()
    runtime.close()
    shutil.rmtree(directory)
    every.sort()
    return {
        "p50_us": statistics.median(every),
        "p99_us": every[int(len(every) * 0.99)],
        "p99.9_us": every[int(len(every) * 0.999)],
        "new_step_us": statistics.median(grown),
        "roll_us": statistics.median(rolled),
    }


async def measure(directory: Path, size: int, rounds: int) -> dict[str, dict[str, float]]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in MODES}
    gc.disable()
    for _ in range(rounds):
        for name, capacity in MODES.items():
            segment._AHEAD_CAPACITY = capacity
            found[name].append(await appends(directory, size))
    return {
        name: {key: round(statistics.median(one[key] for one in all_), 1) for key in all_[0]}
        for name, all_ in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, new_runner() as runner:
        results = runner.run(measure(Path(name) / "data", options.megabytes << 20, options.rounds))
    stored = {
        "command": "python " + " ".join(["bench/segments.py", *sys.argv[1:]]),
        "machine": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "results": results,
    }
    text = json.dumps(stored, indent=2) + "\n"
    if options.output is not None:
        options.output.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
