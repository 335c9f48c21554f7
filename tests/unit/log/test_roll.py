"""When segments end, how files grow meanwhile, and what is in them afterwards."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from kstore.configs import LogConfig
from kstore.log.log import Log
from kstore.log.store import Store
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, PromptRuntime, altered, batch, make_log, offsets, open_store


def bases(log: Log) -> list[int]:
    return [segment.base_offset for segment in log.segments.all()]


def index_entries(log: Log, number: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    segment = log.segments[number]
    return (
        list(struct.iter_unpack(">ii", segment.offsets.path.read_bytes())),
        list(struct.iter_unpack(">qi", segment.times.path.read_bytes())),
    )


def test_a_segment_ends_when_the_next_batch_does_not_fit(store: Store) -> None:
    data = batch(b"x" * 30)
    log = make_log(store, segment_bytes=3 * len(data))
    for _ in range(7):
        log.append(data, now_ms=NOW_MS)
    assert bases(log) == [0, 3, 6]
    assert [segment.path.stat().st_size for segment in log.segments.all()[:2]] == [
        3 * len(data)
    ] * 2
    assert offsets(log) == list(range(7))


def test_a_segment_whose_batches_are_all_synced_is_trimmed_when_it_ends(data_dir: Path) -> None:
    data = batch(b"x" * 30)
    with open_store(data_dir) as store:
        log = make_log(store)
        log.append(data, now_ms=NOW_MS)
        log.flush()
        log.roll()
        assert log.segments.first.path.stat().st_size == len(data)
    with open_store(data_dir) as store:
        assert offsets(store.logs["topic", 0]) == [0]


def test_a_segment_ends_by_time_of_its_first_batch(store: Store) -> None:
    log = make_log(store, segment_ms=1000, message_timestamp_after_max_ms=1 << 40)
    for delta_ms in (0, 1000, 1001, 500, 2001, 2002):
        log.append(batch(timestamp_ms=NOW_MS + delta_ms), now_ms=NOW_MS)
    assert bases(log) == [0, 2, 5]


def test_a_segment_without_timestamps_ends_by_the_clock(data_dir: Path) -> None:
    runtime = PromptRuntime()
    with open_store(data_dir, runtime=runtime) as store:
        log = make_log(store, segment_ms=1000)
        for delta_ms in (0, 999, 1000, 1001):
            log.append(batch(timestamp_ms=-1), now_ms=NOW_MS + delta_ms)
        assert bases(log) == [0, 3]


def test_jitter_makes_segments_end_earlier(store: Store) -> None:
    log = make_log(store, segment_ms=1000, segment_jitter_ms=500)
    assert 500 < log.roll_ms <= 1000
    log.append(batch(timestamp_ms=NOW_MS - 1001), now_ms=NOW_MS)
    log.append(batch(), now_ms=NOW_MS)
    assert bases(log) == [0, 1]


def test_a_segment_ends_when_an_index_is_full(store: Store) -> None:
    log = make_log(store, index_interval_bytes=0, segment_index_bytes=72)
    for _ in range(22):
        log.append(batch(), now_ms=NOW_MS)
    # The first batch of a segment has no entry, so ten batches make nine entries.
    assert bases(log) == [0, 10, 20]
    assert len(index_entries(log, 0)[0]) == 9
    log.reconfigure(LogConfig(index_interval_bytes=0, segment_index_bytes=72))
    for number in range(12):
        log.append(batch(timestamp_ms=NOW_MS + number), now_ms=NOW_MS)
    # A time index keeps one place for the entry that it gets when the segment ends.
    assert bases(log)[3:] == [27, 33]
    assert len(index_entries(log, 3)[1]) == 5


def test_an_index_without_room_for_an_entry_still_lets_batches_in(store: Store) -> None:
    log = make_log(store, segment_index_bytes=4)
    for _ in range(3):
        log.append(batch(), now_ms=NOW_MS)
    assert offsets(log) == [0, 1, 2]


def test_the_entries_of_both_indexes(store: Store) -> None:
    """Kafka's cadence: an entry once more than index.interval.bytes went by since the last."""
    data = batch(b"x" * 932)
    assert len(data) == 1002
    log = make_log(store, index_interval_bytes=2003, segment_bytes=len(data) * 10)
    times = [5, 3, 9, 9, 8, 2, 7, 30, 1, 40]
    for time in times:
        log.append(batch(b"x" * 932, timestamp_ms=NOW_MS + time), now_ms=NOW_MS)
    log.append(data, now_ms=NOW_MS)
    assert bases(log) == [0, 10]
    assert index_entries(log, 0) == (
        [(2, 2004), (4, 4008), (6, 6012), (8, 8016)],
        [(NOW_MS + 9, 2), (NOW_MS + 30, 7), (NOW_MS + 40, 9)],
    )


def test_index_entries_move_to_their_files_page_by_page(store: Store) -> None:
    log = make_log(store, index_interval_bytes=0)
    for number in range(1400):
        log.append(batch(timestamp_ms=NOW_MS + number), now_ms=NOW_MS)
    segment = log.segments.active
    assert segment.offsets.path.stat().st_size == 2 * 4096
    assert segment.times.path.stat().st_size == 2 * 512 * 12
    assert (segment.offsets.count, segment.times.count) == (1399, 1399)
    for offset in range(1400):
        found = segment.find(offset)
        assert found is not None
        assert segment.offsets.lookup(offset) == (found[0] if offset else 0)
        assert segment.times.lookup(NOW_MS + offset) == (
            (NOW_MS + offset, offset) if offset else (-1, 0)
        )
    segment.seal()
    log.writer = None
    assert len(index_entries(log, 0)[0]) == 1399
    for offset in range(0, 1400, 7):
        found = segment.find(offset)
        assert found is not None
        assert segment.offsets.lookup(offset) == (found[0] if offset else 0)


def test_files_grow_in_steps_and_never_beyond_the_segment(store: Store) -> None:
    log = make_log(store, segment_bytes=1_000_000)
    sizes = set()
    while len(log.segments) == 1:
        log.append(batch(b"x" * 900), now_ms=NOW_MS)
        sizes.add(log.segments[0].path.stat().st_size)
    trimmed = log.segments[0].size
    assert sorted(sizes - {trimmed}) == [4096, 65536, 131072, 262144, 524288, 1_000_000]
    assert log.segments[0].path.stat().st_size == trimmed


def test_a_batch_larger_than_a_step_gets_its_room(store: Store) -> None:
    log = make_log(store)
    data = batch(b"x" * 300_000)
    log.append(data, now_ms=NOW_MS)
    size = log.segments[0].path.stat().st_size
    assert len(data) <= size < len(data) + 4096


def test_an_idle_partition_takes_no_room(store: Store) -> None:
    log = make_log(store)
    assert sum(path.stat().st_size for path in log.directory.glob("*.*index")) == 0
    assert log.segments[0].path.stat().st_size == 0


def test_a_sealed_segment_is_synced_before_the_recovery_point_passes(data_dir: Path) -> None:
    from kstore.testing.manual import ManualRuntime

    runtime = ManualRuntime()
    store = open_store(data_dir, runtime=runtime)
    log = make_log(store, segment_bytes=100)
    log.append(batch(), now_ms=NOW_MS)
    log.append(batch(), now_ms=NOW_MS)
    assert (len(log.segments), log.recovery_point) == (2, 0)
    runtime.run_workers()
    assert log.recovery_point == 1
    store.close()


def test_a_snapshot_stands_where_a_segment_begins(store: Store) -> None:
    log = make_log(store, segment_bytes=100)
    for sequence in range(3):
        log.append(batch(producer_id=1, producer_epoch=0, base_sequence=sequence), now_ms=NOW_MS)
    assert sorted(path.name for path in log.directory.glob("*.snapshot")) == [
        f"{offset:020d}.snapshot" for offset in (1, 2)
    ]


def test_files_in_the_way_of_a_new_segment_are_replaced(store: Store) -> None:
    log = make_log(store, segment_bytes=100)
    log.append(batch(b"a"), now_ms=NOW_MS)
    (log.directory / f"{1:020d}.log").write_bytes(b"junk" * 100)
    (log.directory / f"{1:020d}.index").write_bytes(b"junk" * 100)
    log.append(batch(b"b"), now_ms=NOW_MS)
    log.append(batch(b"c"), now_ms=NOW_MS)
    assert offsets(log) == [0, 1, 2]


def test_new_configs_hold_from_the_next_append_on(store: Store) -> None:
    log = make_log(store)
    log.append(batch(), now_ms=NOW_MS)
    log.append(batch(), now_ms=NOW_MS)
    log.reconfigure(LogConfig(segment_bytes=100, message_timestamp_type="LogAppendTime"))
    assert log.append(batch(), now_ms=NOW_MS).log_append_time_ms == NOW_MS
    assert bases(log) == [0, 2]


def test_rolling_by_hand(store: Store) -> None:
    log = make_log(store)
    log.roll()
    assert bases(log) == [0]
    log.append(batch(), now_ms=NOW_MS)
    log.roll()
    log.roll()
    assert bases(log) == [0, 1]


def test_offsets_beyond_an_index_entry_get_a_new_segment(store: Store) -> None:
    log = make_log(store)
    log.append_verbatim(altered(batch(), base_offset=2**31 - 1))
    log.append_verbatim(altered(batch(), base_offset=2**31))
    assert bases(log) == [0, 2**31]


def test_a_segment_that_is_not_trimmed_yet_is_recovered(tmp_path: Path) -> None:
    """Also if all its batches were synced, and a checkpoint was written, before a kill."""
    store = open_store(tmp_path / "data", runtime=ManualRuntime())
    log = make_log(store)
    for _ in range(3):
        log.append(batch(b"x" * 1000), now_ms=NOW_MS)
    log.flush()
    log.roll()
    log.append(batch(b"y"), now_ms=NOW_MS)
    assert log.recovery_point == 0
    store.checkpoint()
    shutil.copytree(tmp_path / "data", tmp_path / "killed")
    store.close()
    for directory in ("data", "killed"):
        with open_store(tmp_path / directory) as left:
            found = left.logs["topic", 0]
            assert found.faults == []
            assert len(list(found.records())) == 4
            first = found.segments.first
            assert first.path.stat().st_size == first.size == 3 * len(batch(b"x" * 1000))


def test_a_sync_that_was_under_way_says_nothing_about_a_segment_that_was_sealed_since(
    tmp_path: Path,
) -> None:
    runtime = ManualRuntime()
    with open_store(tmp_path / "data", runtime=runtime) as store:
        log = make_log(store)
        log.append(batch(b"x" * 1000), now_ms=NOW_MS)
        synced = log.when_synced(1)
        runtime.run_soon()
        log.roll()
        runtime.run_workers(1)
        assert synced.done
        assert log.recovery_point == 0
        runtime.run_workers()
        assert log.recovery_point == 1
