"""The next step of a segment and the next segment, made before they are needed."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

import pytest

from kstore._native.segment import touch
from kstore.errors import ErrorCode, KafkaError
from kstore.log import ahead
from kstore.log import segment as segments
from kstore.log.log import Log
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, batch, make_log, offsets, open_store

BIG = batch(b"x" * 3000)
SEGMENT_BYTES = 64 << 10
NEXT = [f"next{suffix}.deleted" for suffix in (".index", ".log", ".timeindex")]


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitions are busy early, so that tests need no megabytes."""
    monkeypatch.setattr(segments, "_AHEAD_CAPACITY", 8 << 10)
    monkeypatch.setattr(ahead, "_SECOND_STEP", 8 << 10)


@pytest.fixture
def log(waiting: Store) -> Log:
    return make_log(waiting, segment_bytes=SEGMENT_BYTES)


def append_upto(log: Log, size: int) -> None:
    """Appends until the active segment has so many bytes or more."""
    while log.segments.active.size < size:
        log.append(BIG, now_ms=NOW_MS)


def capacity(log: Log) -> int:
    assert log.writer is not None
    return log.writer.capacity


def names(log: Log) -> list[str]:
    return sorted(path.name for path in log.directory.iterdir() if "next" in path.name)


def fill(log: Log, runtime: ManualRuntime) -> None:
    """Writes until the next segment is asked for; a worker is yet to make it."""
    while log.next_segment is None:
        runtime.run_workers()
        log.append(BIG, now_ms=NOW_MS)


def test_a_worker_makes_the_next_step(log: Log, files: FaultyFiles, runtime: ManualRuntime) -> None:
    append_upto(log, 13 << 10)
    assert capacity(log) == 16 << 10
    assert runtime.work_count == 1
    runtime.run_workers()
    assert log.segments.active.path.stat().st_size == 32 << 10
    before = files.calls["preallocate"]
    append_upto(log, 17 << 10)
    assert capacity(log) == 32 << 10
    assert files.calls["preallocate"] == before
    assert offsets(log) == list(range(log.log_end_offset))


def test_a_step_that_is_needed_earlier_is_made_at_once(log: Log, runtime: ManualRuntime) -> None:
    append_upto(log, 17 << 10)
    assert runtime.work_count == 1
    size = log.segments.active.path.stat().st_size
    assert capacity(log) == size == 32 << 10
    runtime.run_workers()
    assert log.segments.active.path.stat().st_size == size
    append_upto(log, 30 << 10)
    assert offsets(log) == list(range(log.log_end_offset))


def test_no_room_ahead_of_need_is_no_error(
    log: Log, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    append_upto(log, 13 << 10)
    files.room = 0
    runtime.run_workers()
    assert log.failed is None
    assert log.segments.active.path.stat().st_size == 16 << 10
    with pytest.raises(KafkaError) as caught:
        append_upto(log, 20 << 10)
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert log.failed is None
    files.heal()
    append_upto(log, 20 << 10)
    assert offsets(log) == list(range(log.log_end_offset))


def test_a_failing_disk_ahead_of_need_is_met_at_need(
    log: Log, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    append_upto(log, 13 << 10)
    files.fail("preallocate", errno.EIO)
    runtime.run_workers()
    assert log.failed is None
    with pytest.raises(KafkaError):
        append_upto(log, 20 << 10)
    assert log.failed is not None


def test_the_next_segment_is_there_when_it_is_needed(
    log: Log, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    fill(log, runtime)
    assert names(log) == []
    runtime.run_workers()
    assert names(log) == NEXT
    calls = files.calls.copy()
    while len(log.segments) == 1:
        log.append(BIG, now_ms=NOW_MS)
    assert files.calls["preallocate"] == calls["preallocate"]
    assert files.calls["rename"] == calls["rename"] + 3
    assert names(log) == []
    active = log.segments.active
    assert [path.exists() for path in active.paths()] == [True, True, True, False]
    assert capacity(log) == active.path.stat().st_size == 8 << 10
    append_upto(log, 40 << 10)
    runtime.run_workers()
    assert log.recovery_point == active.base_offset
    assert offsets(log) == list(range(log.log_end_offset))


def test_a_worker_that_comes_too_late_makes_nothing(log: Log, runtime: ManualRuntime) -> None:
    fill(log, runtime)
    while len(log.segments) == 1:
        log.append(BIG, now_ms=NOW_MS)
    runtime.run_workers()
    assert names(log) == []


@pytest.mark.parametrize("method", ["open", "preallocate", "truncate"])
def test_a_next_segment_that_can_not_be_made(
    log: Log, files: FaultyFiles, runtime: ManualRuntime, method: str
) -> None:
    fill(log, runtime)
    files.fail(method, errno.ENOSPC)
    runtime.run_workers()
    files.heal()
    assert log.failed is None
    while len(log.segments) == 1:
        log.append(BIG, now_ms=NOW_MS)
    assert names(log) == []
    append_upto(log, 20 << 10)
    assert offsets(log) == list(range(log.log_end_offset))


def test_a_full_disk_is_told_when_the_segment_is_rolled(
    log: Log, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    fill(log, runtime)
    files.room = 0
    runtime.run_workers()
    while log.segments.active.size + len(BIG) <= SEGMENT_BYTES:
        log.append(BIG, now_ms=NOW_MS)
    appended = log.log_end_offset
    with pytest.raises(KafkaError) as caught:
        log.append(BIG, now_ms=NOW_MS)
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert log.failed is None
    assert offsets(log) == list(range(appended))
    files.heal()
    log.append(BIG, now_ms=NOW_MS)
    assert offsets(log) == list(range(appended + 1))


def test_an_idle_partition_owns_nothing_ahead(
    waiting: Store, runtime: ManualRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    log = make_log(waiting, "idle")
    log.append(batch(b"x" * 200_000), now_ms=NOW_MS)
    assert runtime.work_count == 0
    assert log.segments.active.path.stat().st_size < 208_000


def test_a_clean_close_leaves_nothing(
    data_dir: Path, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    store = open_store(data_dir, files=files, runtime=runtime)
    log = make_log(store, segment_bytes=SEGMENT_BYTES)
    fill(log, runtime)
    runtime.run_workers()
    size = log.size
    store.close()
    assert names(log) == []
    assert log.segments.active.path.stat().st_size == size
    with open_store(data_dir) as store:
        assert store.clean_start
        assert offsets(store.logs["topic", 0]) == list(range(log.log_end_offset))


def test_a_kill_leaves_files_that_go_at_the_next_start(
    data_dir: Path, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    store = open_store(data_dir, files=files, runtime=runtime)
    log = make_log(store, segment_bytes=SEGMENT_BYTES)
    fill(log, runtime)
    runtime.run_workers()
    assert names(log) == NEXT
    log.abandon()
    store._lock.release()
    with open_store(data_dir) as store:
        assert names(log) == []
        assert offsets(store.logs["topic", 0]) == list(range(log.log_end_offset))


def test_a_worker_leaves_a_deleted_log_alone(
    waiting: Store, log: Log, runtime: ManualRuntime
) -> None:
    fill(log, runtime)
    waiting.delete("topic")
    again = make_log(waiting, segment_bytes=SEGMENT_BYTES)
    runtime.run_workers()
    assert names(again) == names(log) == []
    assert waiting.remove_deleted() == 1


def test_a_truncation_goes_before_the_trimming_of_a_rolled_segment(
    log: Log, runtime: ManualRuntime
) -> None:
    """What a worker is yet to do to the sealed file must not happen to it once it is active."""
    while len(log.segments) == 1:
        log.append(BIG, now_ms=NOW_MS)
    log.truncate_to(2)
    append_upto(log, 60 << 10)
    runtime.run_workers()
    assert len(log.segments) == 1
    assert offsets(log) == list(range(log.log_end_offset))
    snapshots = [path.name for path in log.directory.glob("*.snapshot")]
    assert snapshots == [f"{2:020d}.snapshot"]


def test_a_segment_that_no_other_could_follow_goes_on(
    log: Log, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    append_upto(log, 40 << 10)
    files.fail("open", errno.ENOSPC)
    with pytest.raises(KafkaError):
        log.roll()
    files.heal()
    append_upto(log, 60 << 10)
    runtime.run_workers()
    assert offsets(log) == list(range(log.log_end_offset))


def test_slices_of_old_steps_stay_readable(log: Log, runtime: ManualRuntime) -> None:
    log.append(BIG, now_ms=NOW_MS)
    early = log.read(0, 10_000, upto_offset=1)
    assert early is not None
    view = early.view()
    assert view is not None
    while len(log.segments) < 3:
        log.append(BIG, now_ms=NOW_MS)
        runtime.run_workers()
    assert bytes(view)[61:] == early.read()[61:] == BIG[61:]


def test_memory_is_made_ahead_only_for_what_goes_through_the_map(
    log: Log, runtime: ManualRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[int] = []
    monkeypatch.setattr(ahead, "touch", lambda map, position: touched.append(position))
    append_upto(log, 13 << 10)
    runtime.run_workers()
    assert touched == [16 << 10]
    monkeypatch.setattr(segments, "WRITE_FROM", len(BIG))
    log.reconfigure(log.config)
    append_upto(log, 30 << 10)
    runtime.run_workers()
    append_upto(log, 33 << 10)
    assert capacity(log) == 64 << 10
    assert touched == [16 << 10]
    assert offsets(log) == list(range(log.log_end_offset))


def test_touching_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    data = os.urandom(5 * 4096)
    path.write_bytes(data)
    with path.open("r+b") as file:
        map = mmap.mmap(file.fileno(), len(data))
        touch(map, 0)
        touch(map, 4096 * 3 + 5)
        touch(map, len(data) + 1)
        assert map[:] == data
        os.truncate(path, 4096)
        with pytest.raises(OSError, match="disk failed"):
            touch(map, 0)
        map.close()


def test_a_directory_is_renamed_between_two_pieces_of_work(
    waiting: Store, log: Log, runtime: ManualRuntime
) -> None:
    """As that of a copy that takes the place of a log in another data directory."""
    while len(log.segments) == 1:
        log.append(BIG, now_ms=NOW_MS)
    while log.next_segment is None:
        log.append(BIG, now_ms=NOW_MS)
    waiting._rename(log, waiting.directory / "topic-0.0123456789abcdef-stray")
    runtime.run_workers()
    assert log.failed is None
    assert log.recovery_point == log.segments.active.base_offset
    while len(log.segments) < 4:
        log.append(BIG, now_ms=NOW_MS)
        runtime.run_workers()
    assert log.failed is None
    assert offsets(log) == list(range(log.log_end_offset))
