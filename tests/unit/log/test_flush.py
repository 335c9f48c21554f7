"""When a log is synced, and what the recovery point says afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, batch, make_log, open_store


@pytest.fixture
def counted(data_dir: Path, files: FaultyFiles, runtime: ManualRuntime) -> Store:
    return open_store(data_dir, files=files, runtime=runtime)


def test_nothing_is_synced_unasked(counted: Store, files: FaultyFiles) -> None:
    log = make_log(counted)
    before = files.calls["sync"]
    for _ in range(100):
        log.append(batch(), now_ms=NOW_MS)
    assert files.calls["sync"] == before
    assert log.recovery_point == 0
    log.flush()
    assert log.recovery_point == 100
    after = files.calls["sync"]
    assert after > before
    log.flush()
    assert files.calls["sync"] == after
    counted.close()


def test_flush_messages(counted: Store) -> None:
    log = make_log(counted, flush_messages=3)
    points = []
    for _ in range(7):
        log.append(batch(), now_ms=NOW_MS)
        points.append(log.recovery_point)
    assert points == [0, 0, 3, 3, 3, 6, 6]
    counted.close()


def test_flush_ms(counted: Store, runtime: ManualRuntime) -> None:
    log = make_log(counted, flush_ms=1000)
    assert runtime.timer_count == 0
    log.append(batch(), now_ms=NOW_MS)
    log.append(batch(), now_ms=NOW_MS)
    assert runtime.timer_count == 1
    runtime.advance(1000)
    runtime.run_workers()
    assert log.recovery_point == 2
    assert runtime.timer_count == 0
    log.append(batch(), now_ms=NOW_MS)
    runtime.advance(999)
    runtime.run_workers()
    assert log.recovery_point == 2
    runtime.advance(1)
    runtime.run_workers()
    assert log.recovery_point == 3
    counted.close()


def test_a_timer_outlived_by_its_log(counted: Store, runtime: ManualRuntime) -> None:
    log = make_log(counted, flush_ms=1000)
    log.append(batch(), now_ms=NOW_MS)
    counted.delete("topic")
    runtime.advance(1000)
    runtime.run_workers()
    assert log.failed is None
    counted.close()


def test_a_sync_that_a_truncation_overtook_says_nothing(
    counted: Store, runtime: ManualRuntime
) -> None:
    log = make_log(counted, segment_bytes=200)
    for _ in range(5):
        log.append(batch(b"x" * 30), now_ms=NOW_MS)
    log.truncate_to(1)
    for _ in range(4):
        log.append(batch(b"y" * 30), now_ms=NOW_MS)
    waiting = runtime.work_count
    runtime.run_workers(waiting // 2)
    assert log.recovery_point <= 1
    runtime.run_workers()
    assert log.recovery_point == log.segments.active.base_offset
    counted.close()
