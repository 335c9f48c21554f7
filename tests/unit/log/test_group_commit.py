"""Appends that wait for the disk share its syncs."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.log.log import Log
from kstore.log.store import Store
from kstore.runtime import Later, SynchronousRuntime
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, batch, make_log, offsets, open_store, values


def append(log: Log, value: bytes = b"x") -> Later[None]:
    log.append(batch(value), now_ms=NOW_MS)
    return log.when_synced(log.log_end_offset)


def error_of(later: Later[None]) -> ErrorCode:
    assert isinstance(later.error, KafkaError)
    return later.error.code


def test_those_who_come_while_a_sync_runs_share_the_next(
    waiting: Store, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    log = make_log(waiting, kstore_acks_all_flush=True)
    before = files.calls["sync"]
    early = [append(log) for _ in range(5)]
    runtime.run_soon()
    assert runtime.work_count == 1
    late = [append(log) for _ in range(20)]
    runtime.run_soon()
    assert runtime.work_count == 1
    assert not any(one.done for one in early)
    runtime.run_workers(1)
    assert all(one.done for one in early)
    assert not any(one.done for one in late)
    assert log.recovery_point == 5
    assert runtime.work_count == 1
    runtime.run_workers(1)
    assert all(one.done and one.error is None for one in late)
    assert log.recovery_point == 25
    assert runtime.work_count == 0
    # The first sync takes the epochs with it, which are a file of their own.
    assert files.calls["sync"] - before <= 3


def test_what_is_on_disk_already_is_not_waited_for(waiting: Store, runtime: ManualRuntime) -> None:
    log = make_log(waiting, kstore_acks_all_flush=True)
    append(log)
    runtime.run_soon()
    runtime.run_workers()
    assert log.when_synced(1).done
    assert runtime.work_count == 0


def test_a_failed_sync_refuses_all_and_is_never_repeated(
    waiting: Store, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    log = make_log(waiting, kstore_acks_all_flush=True)
    files.fail("sync", errno.EIO, suffix=".log")
    first = append(log)
    runtime.run_soon()
    second = append(log)
    runtime.run_workers()
    assert error_of(first) is error_of(second) is ErrorCode.KAFKA_STORAGE_ERROR
    assert log.failed is not None
    assert log.recovery_point == 0
    files.heal()
    calls = files.calls["sync"]
    third = log.when_synced(1)
    runtime.run_soon()
    assert error_of(third) is ErrorCode.KAFKA_STORAGE_ERROR
    assert runtime.work_count == 0
    assert files.calls["sync"] == calls


def test_who_waits_while_the_log_is_deleted_is_refused(
    waiting: Store, runtime: ManualRuntime
) -> None:
    log = make_log(waiting, kstore_acks_all_flush=True)
    first = append(log)
    runtime.run_soon()
    waiting.delete("topic")
    runtime.run_workers()
    assert error_of(first) is ErrorCode.KAFKA_STORAGE_ERROR


def test_who_waits_for_what_is_truncated_is_refused(waiting: Store, runtime: ManualRuntime) -> None:
    log = make_log(waiting, kstore_acks_all_flush=True)
    append(log)
    second = append(log)
    runtime.run_soon()
    log.truncate_to(1)
    runtime.run_workers()
    assert error_of(second) is ErrorCode.NOT_LEADER_OR_FOLLOWER
    third = append(log)
    runtime.run_soon()
    runtime.run_workers()
    assert third.result() is None


def test_a_sync_covers_the_segments_that_were_rolled(
    tmp_path: Path, waiting: Store, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    log = make_log(waiting, kstore_acks_all_flush=True, segment_bytes=300)
    done = [append(log, b"%d" % number * 50) for number in range(9)]
    assert len(log.segments) > 2
    runtime.run_soon()
    while not done[-1].done:
        assert runtime.run_workers(1)
    files.after_power_cut(log.directory.parent, tmp_path / "left")
    with open_store(tmp_path / "left") as left:
        assert offsets(left.logs["topic", 0]) == list(range(9))


def test_batches_written_through_the_file_are_read_through_the_map(waiting: Store) -> None:
    """Reads of the active segment are the same in both modes, also after a change between them."""
    log = make_log(waiting, kstore_acks_all_flush=True)
    config = log.config
    plain = make_log(waiting, "other").config
    for number in range(60):
        log.reconfigure(config if number % 3 else plain)
        log.append(batch(b"%d" % number * 400, None), now_ms=NOW_MS)
    assert values(log) == [value for n in range(60) for value in (b"%d" % n * 400, None)]
    found = log.read(50, 1 << 20, upto_offset=120)
    assert found is not None
    view = found.view()
    assert view is not None
    assert bytes(view) == found.read()
    assert log.segments.active.path.read_bytes()[found.position :][: found.size] == found.read()


def test_a_failed_write_appends_nothing(waiting: Store, files: FaultyFiles) -> None:
    log = make_log(waiting, kstore_acks_all_flush=True)
    append(log)
    files.fail("write", errno.ENOSPC, suffix=".log")
    with pytest.raises(KafkaError):
        log.append(batch(b"lost"), now_ms=NOW_MS)
    files.heal()
    log.append(batch(b"kept"), now_ms=NOW_MS)
    assert values(log) == [b"x", b"kept"]


def test_what_a_kill_left_is_synced_before_it_is_served(tmp_path: Path, files: FaultyFiles) -> None:
    """It is shown to consumers at once, and a retry of it is answered as done."""
    store = open_store(tmp_path / "data", files=files, runtime=ManualRuntime())
    log = make_log(store, kstore_acks_all_flush=True)
    assert not append(log).done
    log.abandon()
    store._lock.release()
    again = open_store(tmp_path / "data", files=files, config=log.config)
    assert again.logs["topic", 0].recovery_point == 1
    files.after_power_cut(tmp_path / "data", tmp_path / "left")
    with open_store(tmp_path / "left") as left:
        assert offsets(left.logs["topic", 0]) == [0]
    again.close()


def test_the_embedded_engine_syncs_at_once(data_dir: Path) -> None:
    with Store.open(data_dir, runtime=SynchronousRuntime()) as store:
        log = make_log(store, kstore_acks_all_flush=True)
        assert append(log).done
        assert log.recovery_point == 1
