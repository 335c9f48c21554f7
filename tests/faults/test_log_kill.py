"""kill -9 while a process appends: everything it was told to be in the log is there afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.faults.log_writer import BATCH_COUNT, value
from tests.support.logs import open_store

ROUNDS = 5
ROOT = Path(__file__).parents[2]


def append_and_kill(directory: Path, acknowledgements: int) -> int:
    """Kills the writer after so many acknowledgements; the last of them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.log_writer", str(directory)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment,
    ) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledgements):
            last = writer.stdout.readline()
        writer.kill()
        # What it wrote until the kill came was acknowledged too; the last line may be cut.
        rest = writer.stdout.read().split(b"\n")
        return int(rest[-2] if len(rest) > 1 else last)


def test_acknowledged_batches_survive_kills(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    for round_number in range(ROUNDS):
        acknowledged = append_and_kill(directory, 50 + 177 * round_number)
        with open_store(directory) as store:
            log = store.logs["topic", 0]
            assert not store.clean_start
            # A batch may be in the log of which nobody was told; none may be missing.
            assert acknowledged <= log.log_end_offset <= acknowledged + BATCH_COUNT
            for number, record in enumerate(log.records()):
                assert record.offset == number
                assert record.value == value(number // BATCH_COUNT)
            assert number + 1 == log.log_end_offset
