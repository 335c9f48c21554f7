"""What retention takes out of a log, by time and by size, and what stays of it on disk."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

from kstore.configs import LogConfig
from kstore.errors import ErrorCode, KafkaError
from kstore.log.log import Log
from kstore.log.retention import remove_files, set_aside
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from tests.support.logs import NOW_MS, PromptRuntime, batch, make_log, offsets, open_store

COUNT = 10
STEP_MS = 1_000
VALUE = bytes(200)
BASES = [0, 3, 6, 9]
SIZE = len(batch(VALUE))


def filled(store: Store, **config: Any) -> Log:
    """Ten records, a second between them, three in a segment."""
    settings = {"segment_bytes": 3 * SIZE, "retention_ms": -1, **config}
    log = make_log(store, **settings)
    for number in range(COUNT):
        log.append(batch(VALUE, timestamp_ms=NOW_MS + number * STEP_MS), now_ms=NOW_MS)
    assert bases(log) == BASES
    return log


def bases(log: Log) -> list[int]:
    return [segment.base_offset for segment in log.segments.all()]


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.mark.parametrize(
    ("age_ms", "left"),
    [(0, BASES), (2_001, [3, 6, 9]), (5_001, [6, 9]), (8_001, [9]), (9_000, [9]), (9_001, [10])],
)
def test_by_time(data_dir: Path, age_ms: int, left: list[int]) -> None:
    """The active segment goes too, when its last record is too old."""
    with open_store(data_dir) as store:
        log = filled(store, retention_ms=100)
        log.assign_leader_epoch(4)
        gone = [*BASES, COUNT].index(left[0])
        assert log.apply_retention(NOW_MS + 100 + age_ms) == gone
        assert bases(log) == left
        assert (log.log_start_offset, log.log_end_offset) == (left[0], COUNT)
        assert offsets(log) == list(range(left[0], COUNT))
        on_disk = {int(name[:20]) for name in names(log.directory) if name.endswith(".log")}
        assert on_disk == set(left)
        if left[0] > 0:
            assert log.epochs.entries()[0][1] == left[0]
            assert not [name for name in names(log.directory) if name.startswith("0" * 20)]
        assert log.apply_retention(NOW_MS + 100 + age_ms) == 0
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        assert offsets(log) == list(range(left[0], COUNT))
        log.append(batch(b"next"), now_ms=NOW_MS)
        assert offsets(log)[-1] == COUNT


@pytest.mark.parametrize(
    ("size", "left"), [(10, BASES), (8, BASES), (7, [3, 6, 9]), (4, [6, 9]), (1, [9]), (0, [10])]
)
def test_by_size(store: Store, size: int, left: list[int]) -> None:
    log = filled(store, retention_bytes=size * SIZE)
    log.apply_retention(NOW_MS)
    assert bases(log) == left
    assert offsets(log) == list(range(left[0], COUNT))


@pytest.mark.parametrize("policy", [{"compact"}, set()])
def test_only_what_is_to_be_deleted_goes(store: Store, policy: set[str]) -> None:
    log = filled(store)
    config = LogConfig(
        cleanup_policy=frozenset(policy), retention_bytes=0, retention_ms=0, segment_ms=1
    )
    log.reconfigure(config)
    assert log.apply_retention(NOW_MS + 1_000_000) == 0
    assert bases(log) == BASES


def test_compacted_and_deleted_is_deleted(store: Store) -> None:
    log = filled(store)
    config = LogConfig(cleanup_policy=frozenset({"compact", "delete"}), retention_bytes=0)
    log.reconfigure(config)
    assert log.apply_retention(NOW_MS) == 4


@pytest.mark.parametrize("high_watermark", range(COUNT + 1))
def test_what_is_not_committed_stays(store: Store, high_watermark: int) -> None:
    log = filled(store, retention_bytes=0)
    taken = log.take_expired(high_watermark, NOW_MS, 100)
    assert log.log_start_offset <= high_watermark
    assert len(taken) == sum(end <= high_watermark for end in (3, 6, 9, 10))


def test_a_segment_ends_by_the_clock_without_traffic(data_dir: Path) -> None:
    runtime = PromptRuntime()
    with open_store(data_dir, runtime=runtime) as store:
        log = filled(store, segment_ms=60_000)
        runtime.advance(69_000)
        assert log.apply_retention() == 0
        assert bases(log) == BASES, "the newest segment began with a record of the ninth second"
        runtime.advance(1)
        assert log.apply_retention() == 0
        assert bases(log) == [*BASES, COUNT]
        runtime.advance(1_000_000)
        log.apply_retention()
        assert bases(log) == [*BASES, COUNT], "an empty segment does not end"
        assert offsets(log) == list(range(COUNT))


def test_old_records_do_not_end_a_segment_that_is_new(data_dir: Path) -> None:
    runtime = PromptRuntime()
    with open_store(data_dir, runtime=runtime) as store:
        log = make_log(store, segment_ms=60_000, retention_ms=-1)
        for _ in range(3):
            runtime.advance(10_000)
            log.append(batch(VALUE, timestamp_ms=NOW_MS - 10**9), now_ms=runtime.time_ms())
            log.apply_retention()
        assert bases(log) == [0]


def test_no_more_than_asked_for_at_once(store: Store) -> None:
    log = filled(store, retention_bytes=0)
    assert [len(log.take_expired(COUNT, NOW_MS, 1)) for _ in range(5)] == [1, 1, 1, 1, 0]
    assert bases(log) == [COUNT]


def test_files_set_aside_are_removed_at_the_next_start_at_the_latest(data_dir: Path) -> None:
    store = open_store(data_dir)
    log = filled(store, retention_bytes=3 * SIZE)
    slice_ = log.read(0, 1 << 20, upto_offset=COUNT)
    assert slice_ is not None
    before = slice_.read()
    taken = log.take_expired(COUNT, NOW_MS, 100)
    set_aside(log, taken)
    found = names(log.directory)
    for base in (0, 3):
        assert {f"{base:020d}{end}.deleted" for end in (".log", ".index", ".timeindex")} <= found
        assert not [name for name in found if name.startswith(f"{base:020d}") and "del" not in name]
    copy = data_dir.with_name("killed")
    shutil.copytree(data_dir, copy)
    assert slice_.read() == before
    remove_files(log, taken)
    assert not [name for name in names(log.directory) if "deleted" in name]
    assert slice_.read() == before
    slice_.release()
    store.close()
    with open_store(copy) as killed:
        log = killed.logs["topic", 0]
        assert (log.faults, log.log_start_offset) == ([], 6)
        assert offsets(log) == [6, 7, 8, 9]
        assert not [name for name in names(log.directory) if "deleted" in name]


def test_removing_what_was_set_aside_spares_a_new_partition_of_the_name(store: Store) -> None:
    old = filled(store, retention_bytes=0)
    taken = old.take_expired(COUNT, NOW_MS, 100)
    set_aside(old, taken)
    store.delete("topic")
    log = filled(store)
    remove_files(old, taken)
    assert offsets(log) == list(range(COUNT))


def test_a_reader_under_way_goes_on_where_the_log_begins_now(store: Store) -> None:
    log = filled(store, retention_bytes=4 * SIZE)
    reader = log.records()
    assert next(reader).offset == 0
    log.apply_retention(NOW_MS)
    assert [record.offset for record in reader] == [6, 7, 8, 9]


def test_a_full_disk_keeps_the_active_segment_until_there_is_room(data_dir: Path) -> None:
    files = FaultyFiles()
    with open_store(data_dir, files=files) as store:
        log = filled(store, retention_bytes=0)
        files.fail("open", errno.ENOSPC)
        assert log.apply_retention(NOW_MS) == 3
        assert (bases(log), log.log_start_offset, log.failed) == ([9], COUNT, None)
        files.heal()
        assert log.apply_retention(NOW_MS) == 1
        assert bases(log) == [COUNT]


def test_a_disk_that_fails_is_told(data_dir: Path) -> None:
    files = FaultyFiles()
    with open_store(data_dir, files=files) as store:
        log = filled(store, retention_bytes=4 * SIZE)
        files.fail("delete", errno.EIO)
        with pytest.raises(KafkaError, match="removing") as caught:
            log.apply_retention(NOW_MS)
        assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        assert log.failed is not None
        files.heal()


def test_new_configs_hold_from_the_next_pass_on(store: Store) -> None:
    log = filled(store)
    assert log.apply_retention(NOW_MS + 10**9) == 0
    log.reconfigure(LogConfig(retention_ms=10))
    assert log.apply_retention(NOW_MS + 5_000) == 1
