"""What a power cut did to the log once, each as a test of its own; the searches that found it are
`test_crash_points` and `test_log_machine`."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kstore.configs import LogConfig
from kstore.errors import KafkaError
from kstore.log import flush as flushing
from kstore.log.log import Log
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    build_batch,
    build_end_transaction_marker,
)
from kstore.log.retention import remove_files
from kstore.log.store import Store
from kstore.log.transaction_index import read_aborted
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, batch, make_log, open_store, values


@pytest.fixture
def store(tmp_path: Path, files: FaultyFiles) -> Iterator[Store]:
    store = open_store(tmp_path / "data", files=files)
    yield store
    store.abandon()


def append(log: Log, *sent: bytes) -> None:
    for value in sent:
        log.append(batch(value), now_ms=NOW_MS)


def after_cuts(files: FaultyFiles, tmp_path: Path, count: int = 20) -> Iterator[Store]:
    """What the store is after a power cut: the worst one, and some others."""
    for number in range(count):
        choose = random.Random(number) if number else None
        copy = tmp_path / f"cut-{number}"
        files.after_power_cut(tmp_path / "data", copy, choose)
        with open_store(copy) as left:
            yield left


def test_what_was_truncated_does_not_come_back(
    tmp_path: Path, store: Store, files: FaultyFiles
) -> None:
    """Segments were deleted and the directory was not synced: they came back behind new batches."""
    log = make_log(store, segment_bytes=200)
    append(log, *[b"old %d" % number * 10 for number in range(9)])
    log.flush()
    log.truncate_to(4)
    append(log, b"new")
    log.flush()
    for left in after_cuts(files, tmp_path):
        assert values(left.logs["topic", 0])[4:] == [b"new"]


def test_a_recovery_point_from_before_a_truncation_is_not_believed(
    tmp_path: Path, store: Store, files: FaultyFiles
) -> None:
    """It said that what was appended afterwards need not be looked at."""
    log = make_log(store, segment_bytes=300)
    append(log, *[b"old %d" % number * 20 for number in range(12)])
    log.flush()
    store.checkpoint()
    log.truncate_to(2)
    assert b"topic 0 2" in (tmp_path / "data" / "recovery-point-offset-checkpoint").read_bytes()


def test_a_truncation_touches_no_file_before_the_recovery_point_is_lowered(
    tmp_path: Path, store: Store, files: FaultyFiles
) -> None:
    """Stopped in between, the next start took the room behind the cut for finished."""
    log = make_log(store, segment_bytes=300)
    append(log, *[b"old %d" % number * 20 for number in range(12)])
    log.flush()
    store.checkpoint()
    found = []

    def look(_: str, path: Path | None) -> None:
        if path is not None and path.parent == log.directory:
            found.append((tmp_path / "data" / "recovery-point-offset-checkpoint").read_bytes())

    files.after_call = look
    log.truncate_to(2)
    files.after_call = None
    assert found
    assert all(b"topic 0 2" in one for one in found)


def test_what_is_appended_after_a_truncation_is_compacted(tmp_path: Path) -> None:
    """It counted as clean, as what had these offsets before was."""
    config = LogConfig(cleanup_policy=frozenset({"compact"}))
    with open_store(tmp_path / "data", config=config) as store:
        log = store.create("topic")
        for number in range(6):
            log.append_records([(b"%d" % number, b"first")], now_ms=NOW_MS)
        log.roll()
        log.compact(NOW_MS)
        assert log.cleaned_offset == 6
        log.truncate_to(1)
        for _ in range(6):
            log.append_records([(b"key", b"second")], now_ms=NOW_MS)
        log.roll()
        log.compact(NOW_MS)
        assert values(log) == [b"first", b"second"]


def test_indexes_that_recovery_has_built_are_synced_at_a_clean_stop(
    tmp_path: Path, files: FaultyFiles
) -> None:
    """A clean start believes them, but nobody had synced them: all times were 0 then."""
    config = LogConfig(index_interval_bytes=0, segment_bytes=2000)
    with open_store(tmp_path / "data", files=files, config=config) as store:
        log = store.create("topic")
        for number in range(8):
            log.append(batch(b"x", timestamp_ms=NOW_MS + number), now_ms=NOW_MS)
    for path in (tmp_path / "data").rglob("*index"):
        path.write_bytes(b"")
    (tmp_path / "data" / ".kafka_cleanshutdown").unlink()
    files = FaultyFiles()
    open_store(tmp_path / "data", files=files, config=config).close()
    for left in after_cuts(files, tmp_path):
        log = left.logs["topic", 0]
        assert left.clean_start
        assert [log.offset_for_timestamp(NOW_MS + n) for n in range(8)] == [
            (NOW_MS + n, n, 0) for n in range(8)
        ]


@pytest.mark.parametrize("kind", ["kill", "cut"])
def test_a_roll_just_at_the_recovery_point(tmp_path: Path, files: FaultyFiles, kind: str) -> None:
    """The segment before counted as finished: its tail was zeros, its time index an old one."""
    runtime = ManualRuntime()
    store = open_store(tmp_path / "data", files=files, runtime=runtime)
    log = make_log(store)
    for number in range(5):
        log.append(batch(b"x", timestamp_ms=NOW_MS + number), now_ms=NOW_MS)
    log.flush()
    store.checkpoint()
    log.roll()
    copy = tmp_path / "copy"
    if kind == "kill":
        shutil.copytree(tmp_path / "data", copy)
    else:
        files.sync_directory(log.directory)
        files.after_power_cut(tmp_path / "data", copy)
    store.abandon()
    with open_store(copy) as left:
        log = left.logs["topic", 0]
        assert values(log) == [b"x"] * 5
        for number in range(5):
            assert log.offset_for_timestamp(NOW_MS + number) == (NOW_MS + number, number, 0)


def test_leader_epochs_whose_file_came_to_the_disk_empty(
    tmp_path: Path, store: Store, files: FaultyFiles
) -> None:
    log = make_log(store, segment_bytes=200)
    append(log, *[b"old %d" % number * 10 for number in range(9)])
    log.flush()
    store.checkpoint()
    log.assign_leader_epoch(5)
    append(log, b"new")
    for left in after_cuts(files, tmp_path):
        log = left.logs["topic", 0]
        assert [log.leader_epoch_of(offset) for offset in range(9)] == [0] * 9


def test_what_recovery_has_cut_off_does_not_come_back(tmp_path: Path, files: FaultyFiles) -> None:
    """Segments behind damage were set aside, and a second crash brought them back."""
    with open_store(tmp_path / "data") as store:
        log = make_log(store, segment_bytes=200)
        append(log, *[b"old %d" % number * 10 for number in range(9)])
        middle = log.segments[3]
    with middle.path.open("r+b") as file:
        file.seek(70)
        file.write(b"damage")
    (tmp_path / "data" / ".kafka_cleanshutdown").unlink()
    (tmp_path / "data" / "recovery-point-offset-checkpoint").unlink()
    store = open_store(tmp_path / "data", files=files)
    found = values(store.logs["topic", 0])
    assert len(found) == middle.base_offset
    for left in after_cuts(files, tmp_path):
        assert values(left.logs["topic", 0]) == found
    store.abandon()


def test_a_new_data_directory_lasts(tmp_path: Path, files: FaultyFiles) -> None:
    """Its own name was not synced, nor those above it."""
    directory = tmp_path / "volume" / "logs" / "data"
    directory.parent.parent.mkdir()
    store = open_store(directory, files=files)
    append(make_log(store), b"x")
    store.flush()
    files.after_power_cut(tmp_path / "volume", tmp_path / "left")
    store.close()
    with open_store(tmp_path / "left" / "logs" / "data") as left:
        assert values(left.logs["topic", 0]) == [b"x"]


def test_a_compaction_does_not_build_on_what_is_not_synced(
    tmp_path: Path, files: FaultyFiles
) -> None:
    """An old value went for a newer one, which a power cut then took."""
    runtime = ManualRuntime()
    config = LogConfig(cleanup_policy=frozenset({"compact"}), index_interval_bytes=0)
    store = open_store(tmp_path / "data", files=files, config=config, runtime=runtime)
    log = store.create("topic")
    log.append_records([(b"key", b"old")], now_ms=NOW_MS)
    log.flush()
    log.roll()
    log.append_records([(b"key", b"new")], now_ms=NOW_MS)
    log.roll()
    log.compact(NOW_MS)
    files.after_power_cut(tmp_path / "data", tmp_path / "left")
    store.abandon()
    with open_store(tmp_path / "left", config=config) as left:
        assert values(left.logs["topic", 0])[-1] in (b"old", b"new")


def test_a_fault_of_ours_in_a_sync_leaves_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = ManualRuntime()
    with open_store(tmp_path / "data", runtime=runtime) as store:
        log = make_log(store, kstore_acks_all_flush=True)
        append(log, b"x")
        synced = log.when_synced(1)

        def broken(_: flushing.SyncJob) -> None:
            raise ValueError("a fault of ours")

        monkeypatch.setattr(flushing.SyncJob, "_work", broken)
        runtime.run_soon()
        runtime.run_workers()
        assert synced.done
        assert isinstance(synced.error, KafkaError)
        assert log.failed is not None


def test_a_transaction_that_the_start_of_the_log_cuts_is_still_aborted(tmp_path: Path) -> None:
    """Recovery replayed from the start on, met the marker alone and forgot what it had aborted."""
    with open_store(tmp_path / "data") as store:
        log = make_log(store)
        for number in range(2):
            log.append_verbatim(
                build_batch(
                    [(None, b"aborted")],
                    base_offset=number,
                    leader_epoch=0,
                    producer_id=1,
                    producer_epoch=0,
                    base_sequence=number,
                    transactional=True,
                )
            )
        log.append_verbatim(
            build_end_transaction_marker(
                EndTransactionMarker(ControlType.ABORT, 0),
                producer_id=1,
                producer_epoch=0,
                timestamp_ms=NOW_MS,
                base_offset=2,
                leader_epoch=0,
            )
        )
        log.advance_log_start(1)
        store.checkpoint()
        shutil.copytree(tmp_path / "data", tmp_path / "killed")
    with open_store(tmp_path / "killed") as left:
        log = left.logs["topic", 0]
        assert log.log_start_offset == 1
        (entry,) = read_aborted(log.files, log.segments.first.paths()[3])
        assert (entry.producer_id, entry.first_offset, entry.last_offset) == (1, 0, 2)


def gone_but_held(directory: Path) -> list[str]:
    """Files below a directory that have no name any more, but are open or mapped."""
    links = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue
    maps = Path("/proc/self/maps").read_text().splitlines()
    return [
        line for line in [*links, *maps] if str(directory) in line and line.endswith(" (deleted)")
    ]


def test_removed_files_are_held_by_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room that was to be made ahead kept the file of a segment, and its map, after retention."""
    monkeypatch.setattr("kstore.log.segment._AHEAD_CAPACITY", 4 << 10)
    runtime = ManualRuntime()
    with open_store(tmp_path / "data", runtime=runtime) as store:
        log = make_log(store, segment_bytes=300_000)
        while not runtime.work_count:
            append(log, b"x" * 500)
        log.roll()
        log.advance_log_start(log.log_end_offset)
        taken = log.take_below_start()
        assert taken
        remove_files(log, taken)
        del taken
        assert gone_but_held(tmp_path) == []
        runtime.run_workers()
