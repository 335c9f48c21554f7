"""A crash at every call that the log makes of the file system, also of its workers.

The directory is copied before each call, as a kill would leave it. Every copy opens and has all
that was acknowledged, but for what retention has let go, and nothing is left of what was made ahead
of need or was on its way out.
"""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kstore.log import ahead
from kstore.log import segment as segments
from kstore.log.log import Log
from kstore.log.retention import remove_files, set_aside
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, QuickFiles, batch, make_log, open_store, values

APPENDS = 90


class CrashingFiles(QuickFiles, FaultyFiles):
    """Copies `directory` before every call that changes it."""

    def __init__(self, directory: Path, copies: Path) -> None:
        super().__init__()
        self.directory = directory
        self.copies = copies
        self.crashes: list[tuple[int, int, int]] = []
        """For each copy: records that were acknowledged, the start that is on disk for good, and
        the start of the log."""
        self.count = self.kept_start = 0
        self.log: Log | None = None

    def _step(self, method: str, path: Path | None) -> None:
        if method not in ("read", "sync", "sync_directory"):
            shutil.copytree(self.directory, self.copies / str(len(self.crashes)))
            start = 0 if self.log is None else self.log.log_start_offset
            self.crashes.append((self.count, self.kept_start, start))
        super()._step(method, path)


def let_go(store: Store, log: Log, files: CrashingFiles, size: int) -> None:
    """A pass of retention, as the broker makes it, down to `size` bytes."""
    log.reconfigure(replace(log.config, retention_bytes=size))
    taken = log.take_expired(log.log_end_offset, NOW_MS, 3)
    set_aside(log, taken)
    store.checkpoint()
    files.kept_start = log.log_start_offset
    remove_files(log, taken)


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("KSTORE_TEST_SEED") or random.randrange(1 << 32))
    print(f"KSTORE_TEST_SEED={chosen}")
    return chosen


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_AHEAD_CAPACITY", 4 << 10)
    monkeypatch.setattr(ahead, "_SECOND_STEP", 4 << 10)


@pytest.mark.parametrize("write_from", [0, 600, 1 << 20])
def test_a_crash_at_every_call(
    tmp_path: Path, seed: int, write_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "WRITE_FROM", write_from)
    choose = random.Random(seed)
    runtime = ManualRuntime()
    (tmp_path / "copies").mkdir()
    files = CrashingFiles(tmp_path / "data", tmp_path / "copies")
    (tmp_path / "data").mkdir()
    store = open_store(tmp_path / "data", files=files, runtime=runtime)
    log = make_log(store, segment_bytes=20_000, index_interval_bytes=2000)
    shutil.rmtree(tmp_path / "copies")
    (tmp_path / "copies").mkdir()
    files.crashes.clear()
    files.log = log
    sent = []
    for number in range(APPENDS):
        value = b"%d " % number * choose.randrange(1, 600)
        log.append(batch(value), now_ms=NOW_MS)
        sent.append(value)
        files.count += 1
        # Often enough idle that something is made ahead and taken into use, whatever the seed.
        runtime.run_workers(choose.randrange(4) if number % 5 else None)
        if number > 50 and choose.random() < 0.2:
            let_go(store, log, files, choose.choice([0, 10_000, 30_000, 50_000]))
    runtime.run_workers()
    store.close()
    left_over = [path.name for path in (tmp_path / "copies").rglob("*.deleted")]
    assert any(name.startswith("next") for name in left_over)
    assert any(name.startswith("0") for name in left_over)
    for number, (acknowledged, kept_start, start) in enumerate(files.crashes):
        copy = tmp_path / "copies" / str(number)
        with open_store(copy) as left:
            found = values(left.logs["topic", 0])
            first = left.logs["topic", 0].log_start_offset
            assert left.logs["topic", 0].faults == []
        assert kept_start <= first <= start, number
        # The batch of which nobody was told yet may be there.
        assert acknowledged <= first + len(found) <= acknowledged + 1, number
        assert found == sent[first : first + len(found)]
        assert not list(copy.rglob("*.deleted"))
