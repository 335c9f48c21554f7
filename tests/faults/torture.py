"""All fault suites for minutes, round after round, each with choices drawn from a seed.

`make torture SEED=1 MINUTES=10`. Kinds of rounds take turns: a stream of records and kills,
kills of a broker that compacts and lets go, a crash after every call in the life of a log, failing
calls, a state machine, damaged files. A round that fails ends the run; it names its seed and keeps
its directory, and `SEED` with that number begins with the same round.
"""

from __future__ import annotations

import argparse
import errno
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.clients import CODECS
from tests.conftest import SETTINGS as NO_DELAYS
from tests.faults import busy_kills, damage, life
from tests.faults.kill_stream import KillStream, Plan
from tests.faults.log_machine import LogMachine


def kills(directory: Path, seed: int) -> None:
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
    print(f"  {plan} {settings}", flush=True)
    with BrokerProcess(directory, settings) as broker:
        KillStream(broker, plan).run()
    run_kstore("check", str(broker.data_dir))


def kills_of_a_busy_broker(directory: Path, seed: int) -> None:
    with BrokerProcess(directory, {**NO_DELAYS, **busy_kills.SETTINGS}) as broker:
        busy_kills.BusyKills(broker, seed).run(random.Random(seed).randint(2, 10))
    run_kstore("check", str(broker.data_dir))


def crashes(directory: Path, seed: int) -> None:
    """A crash after every call."""
    for number, flush_messages in enumerate((life.EVERY_APPEND, life.WHEN_ASKED)):
        root = directory / str(number)
        life.live(root, seed, flush_messages, share=1, cuts=3)


def failing_calls(directory: Path, seed: int) -> None:
    choices = random.Random(seed)
    count = life.count_calls(directory / "whole", seed)
    for number in choices.sample(range(1, count + 1), 60):
        code = choices.choice((errno.ENOSPC, errno.EIO, errno.EMFILE))
        life.fail_one_call(directory / str(number), seed, number, code)


def machine(directory: Path, seed: int) -> None:
    """Thousands of steps; what fails is shortened by hypothesis and printed."""

    class Seeded(LogMachine):
        pass

    run_state_machine_as_test(
        hypothesis.seed(seed)(Seeded),
        settings=hypothesis.settings(
            max_examples=30,
            stateful_step_count=150,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )


def damaged_files(directory: Path, seed: int) -> None:
    whole = damage.whole_records(directory / "whole")
    for kind in damage.KINDS:
        root = directory / kind.removeprefix(".")
        root.mkdir()
        damage.damage_some(root, kind, seed, 20, whole)


ROUNDS: list[Callable[[Path, int], None]] = [
    kills,
    crashes,
    machine,
    kills_of_a_busy_broker,
    failing_calls,
    damaged_files,
]


def run_round(seed: int) -> None:
    play = ROUNDS[seed % len(ROUNDS)]
    print(f"seed {seed}: {play.__name__}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix=f"kstore-torture-{seed}-"))
    try:
        play(directory, seed)
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
