"""Kills, restarts and checks a broker for minutes, each round with choices drawn from a seed.

`make torture SEED=1 MINUTES=10`. A round that fails ends the run; it names its seed and keeps its
directory, and `--seed` with that number begins with the same round.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path

from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.clients import CODECS
from tests.faults.kill_stream import KillStream, Plan


def run_round(seed: int) -> None:
    """One broker, one stream, as the seed has it."""
    choices = random.Random(seed)
    kill_count = choices.randint(1, 8)
    plan = Plan(
        record_count=choices.randint(5, 15) * 1_000 * (kill_count + 1),
        kill_count=kill_count,
        partition_count=choices.randint(1, 6),
        value_size=choices.choice((0, 20, 200, 1_000)),
        codec=choices.choice(CODECS),
    )
    settings = {
        "log.segment.bytes": choices.choice((1 << 20, 1 << 22, 1 << 30)),
        "log.index.interval.bytes": choices.choice((0, 1024, 4096)),
    }
    print(f"seed {seed}: {plan} {settings}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix=f"kstore-torture-{seed}-"))
    try:
        with BrokerProcess(directory, settings) as broker:
            KillStream(broker, plan).run()
        run_kstore("check", str(broker.data_dir))
    except BaseException:
        print(f"seed {seed} failed; its directory is {directory}", flush=True)
        raise
    shutil.rmtree(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    end = time.monotonic() + options.minutes * 60
    seed = options.seed
    while time.monotonic() < end:
        run_round(seed)
        seed += 1
    print(f"{seed - options.seed} rounds passed")


if __name__ == "__main__":
    main()
