"""A crash at every call that the log makes of the file system, also of its workers.

The directory is copied before each call, as a kill would leave it. Every copy opens and has all
that was acknowledged, and nothing is left of what was made ahead of need.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from kstore.log import segment as segments
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, batch, make_log, open_store, values

APPENDS = 70


class CrashingFiles(FaultyFiles):
    """Copies `directory` before every call that changes it."""

    def __init__(self, directory: Path, copies: Path) -> None:
        super().__init__()
        self.directory = directory
        self.copies = copies
        self.acknowledged: list[int] = []
        self.count = 0

    def _step(self, method: str, path: Path | None) -> None:
        if method not in ("read", "sync", "sync_directory"):
            shutil.copytree(self.directory, self.copies / str(len(self.acknowledged)))
            self.acknowledged.append(self.count)
        super()._step(method, path)


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("KSTORE_TEST_SEED") or random.randrange(1 << 32))
    print(f"KSTORE_TEST_SEED={chosen}")
    return chosen


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_AHEAD_CAPACITY", 4 << 10)
    monkeypatch.setattr(segments, "_SECOND_STEP", 4 << 10)


@pytest.mark.parametrize("through_file", [False, True])
def test_a_crash_at_every_call(tmp_path: Path, seed: int, through_file: bool) -> None:
    choose = random.Random(seed)
    runtime = ManualRuntime()
    (tmp_path / "copies").mkdir()
    files = CrashingFiles(tmp_path / "data", tmp_path / "copies")
    (tmp_path / "data").mkdir()
    store = open_store(tmp_path / "data", files=files, runtime=runtime)
    log = make_log(
        store, segment_bytes=20_000, index_interval_bytes=2000, kstore_acks_all_flush=through_file
    )
    shutil.rmtree(tmp_path / "copies")
    (tmp_path / "copies").mkdir()
    files.acknowledged.clear()
    sent = []
    for number in range(APPENDS):
        value = b"%d " % number * choose.randrange(1, 600)
        log.append(batch(value), now_ms=NOW_MS)
        sent.append(value)
        files.count += 1
        runtime.run_workers(choose.randrange(4))
    runtime.run_workers()
    store.close()
    assert len(log.segments) > 2
    assert any("next" in path.name for path in (tmp_path / "copies").rglob("*.deleted"))
    for number, acknowledged in enumerate(files.acknowledged):
        copy = tmp_path / "copies" / str(number)
        with open_store(copy) as left:
            found = values(left.logs["topic", 0])
            assert left.logs["topic", 0].faults == []
        # The batch of which nobody was told yet may be there.
        assert acknowledged <= len(found) <= acknowledged + 1, number
        assert found == sent[: len(found)]
        assert not list(copy.rglob("*.deleted"))
