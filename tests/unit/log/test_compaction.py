"""Compaction, case by case; `tests/property/test_compaction.py` has the whole of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kstore.configs import LogConfig
from kstore.errors import ErrorCode, KafkaError
from kstore.log.compaction.choice import choose, group
from kstore.log.compaction.rewrite import StoppedError
from kstore.log.compaction.run import Compaction, fail_step
from kstore.log.log import Log
from kstore.log.records import build_batch
from kstore.log.segment import Segment
from kstore.log.store import Store
from tests.support.damage import patch
from tests.support.logs import open_store

COMPACT = frozenset({"compact"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "data") as store:
        yield store


def compacted(store: Store, **config: Any) -> Log:
    return store.create("topic", config=LogConfig(cleanup_policy=COMPACT, **config))


def put(log: Log, *pairs: tuple[str, str | None], now_ms: int = 1000, **options: Any) -> None:
    records = [(key.encode(), value and value.encode(), now_ms) for key, value in pairs]
    log.append_verbatim(
        build_batch(records, base_offset=log.log_end_offset, leader_epoch=0, **options)
    )


def left(log: Log) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(record.offset, record.key, record.value) for record in log.records()]


def test_the_last_value_of_each_key_is_left(store: Store) -> None:
    log = compacted(store)
    put(log, ("a", "1"), ("b", "2"), ("a", "3"))
    put(log, ("c", "4"), ("b", "5"))
    log.roll()
    put(log, ("a", "6"))
    done = log.compact(2000)
    assert left(log) == [(2, b"a", b"3"), (3, b"c", b"4"), (4, b"b", b"5"), (5, b"a", b"6")]
    assert (done.passes, done.records_read, done.records_kept, done.keys) == (1, 5, 3, 3)
    assert done.cleaned_offset == log.cleaned_offset == 5
    assert done.bytes_written < done.bytes_read
    assert log.compact(2000).passes == 0


def test_a_batch_of_which_all_is_kept_is_copied(store: Store) -> None:
    log = compacted(store)
    put(log, ("a", "1"), ("b", "2"), compression="zstd")
    log.roll()
    before = log.segments.first.read(0, log.segments.first.size)
    log.compact(2000)
    assert log.segments.first.read(0, log.segments.first.size) == before


def test_a_batch_is_compressed_anew_at_the_level_of_the_topic(store: Store) -> None:
    sizes = []
    text = " ".join(str(number * number) for number in range(3000))
    for level in (-50, 19):
        log = store.create(
            f"level-{level}", config=LogConfig(cleanup_policy=COMPACT, compression_zstd_level=level)
        )
        put(log, ("a", text), ("b", "1"), compression="zstd")
        put(log, ("b", "2"))
        log.roll()
        log.compact(2000)
        header = next(log.batches())
        assert (header.codec, header.record_count) == (4, 1)
        sizes.append(header.size)
        assert left(log)[0] == (0, b"a", text.encode())
    assert sizes[1] < sizes[0]


def test_a_tombstone_goes_after_its_horizon(store: Store) -> None:
    log = compacted(store, delete_retention_ms=100)
    put(log, ("a", None), ("b", "1"))

    def again(now_ms: int) -> None:
        put(log, ("z", str(now_ms)))
        log.roll()
        log.compact(now_ms)

    again(2000)
    header = next(log.batches())
    assert header.has_delete_horizon
    assert header.base_timestamp == 2100
    assert [record.timestamp_ms for record in log.records()] == [1000] * 3
    again(2099)
    assert (0, b"a", None) in left(log)
    again(2100)
    assert [key for _, key, _ in left(log)] == [b"b", b"z"]


def test_records_without_a_key_are_counted(store: Store) -> None:
    log = compacted(store)
    log.append_verbatim(build_batch([(None, b"1"), (b"a", b"2")], leader_epoch=0))
    log.roll()
    assert log.compact(2000).records_without_key == 1
    assert left(log) == [(1, b"a", b"2")]


def test_only_a_compacted_topic(store: Store) -> None:
    with pytest.raises(KafkaError) as caught:
        store.create("topic").compact()
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_damage_stops_it_and_nothing_is_lost(store: Store) -> None:
    log = compacted(store)
    put(log, ("a", "1"))
    put(log, ("a", "2"))
    log.roll()
    put(log, ("a", "3"))
    log.roll()
    log.flush()
    before = log.segments.first.read(0, log.segments.first.size)
    patch(log.segments[1].path, 67, b"?")
    with pytest.raises(KafkaError) as caught:
        log.compact(2000)
    assert caught.value.code is ErrorCode.CORRUPT_MESSAGE
    assert log.segments.first.path.name in [path.name for path in log.directory.iterdir()]
    assert log.segments.first.read(0, log.segments.first.size) == before
    assert log.cleaned_offset == 0
    assert log.compaction is None
    assert not list(log.directory.glob("*.cleaned"))


def test_readers_of_what_was_replaced_go_on(store: Store) -> None:
    log = compacted(store)
    for number in range(6):
        put(log, ("a", str(number)), ("b", str(number)))
        if number % 2:
            log.roll()
    records = log.records()
    first = next(records)
    data = log.read(0, 1 << 20, upto_offset=log.log_end_offset)
    assert data is not None
    before = data.read()
    log.compact(2000)
    assert len(log.segments) == 2
    assert data.read() == before
    assert first.offset == 0
    # The rest of the batch that was being read, then what is left of the log.
    assert [record.offset for record in records] == [1, 10, 11]


def test_it_is_stopped_at_any_step(tmp_path: Path) -> None:
    """Whenever the log is closed, nothing is lost and all names are in order."""
    step_count = 0
    while True:
        directory = tmp_path / str(step_count)
        with open_store(directory) as store:
            log = compacted(store)
            for number in range(4):
                put(log, ("a", str(number)), (f"k{number}", "1"))
                log.roll()
            log.reconfigure(LogConfig(cleanup_policy=COMPACT, segment_bytes=300))
            compaction = Compaction(
                log, stable_offset=log.log_end_offset, now_ms=2000, map_size=4096
            )
            steps = compaction.steps()
            works = [next(steps)]
            for _ in range(step_count):
                works[-1]()
                works.append(next(steps, None))  # type: ignore[arg-type]
                if works[-1] is None:
                    break
            if works[-1] is None:
                break
            compaction.stop()
            assert not list(log.directory.glob("*.swap")), step_count
            with pytest.raises(StoppedError) as caught:
                works[-1]()
            assert fail_step(steps, caught.value) is None
            assert log.compaction is None
        with open_store(directory) as again:
            log = again.logs["topic", 0]
            assert log.faults == []
            assert {key: value for _, key, value in left(log)} == {
                b"a": b"3",
                b"k0": b"1",
                b"k1": b"1",
                b"k2": b"1",
                b"k3": b"1",
            }
        step_count += 1
    assert step_count > 4


def test_truncation_ends_it(store: Store) -> None:
    log = compacted(store)
    for number in range(3):
        put(log, ("a", str(number)), (str(number), "1"))
        log.roll()
    compaction = Compaction(log, stable_offset=6, now_ms=2000, map_size=4096)
    steps = compaction.steps()
    next(steps)()
    rewrite = next(steps)
    rewrite()
    log.truncate_to(4)
    with pytest.raises(StopIteration):
        next(steps)
    assert log.compaction is None
    assert [offset for offset, _, _ in left(log)] == [1, 3]
    assert not list(log.directory.glob("*.swap"))


# Choices


class Part:
    """A segment as far as a choice looks at it."""

    def __init__(self, base_offset: int, size: int = 100, largest: int = 0, first: int = 0) -> None:
        self.base_offset = base_offset
        self.size = size
        self.largest, self.first = largest, first

    def largest_timestamp(self) -> int:
        return self.largest

    def first_timestamp(self) -> int:
        return self.first

    def index_sizes(self) -> tuple[int, int]:
        return 8, 12


@pytest.mark.parametrize(
    ("cleaned", "stable", "config", "first_dirty", "end", "clean", "dirty", "overdue"),
    [
        (0, 99, {}, 0, 30, 0, 300, False),
        (20, 99, {}, 20, 30, 200, 100, False),
        (25, 99, {}, 25, 30, 200, 100, False),
        (30, 99, {}, 30, 30, 300, 0, False),
        (99, 99, {}, 0, 30, 0, 300, False),
        (0, 25, {}, 0, 20, 0, 200, False),
        (0, 99, {"min_compaction_lag_ms": 100}, 0, 20, 0, 200, False),
        (0, 99, {"max_compaction_lag_ms": 800}, 0, 30, 0, 300, True),
        (10, 99, {"max_compaction_lag_ms": 800}, 10, 30, 100, 200, False),
    ],
)
def test_the_part_to_clean(
    cleaned: int,
    stable: int,
    config: dict[str, int],
    first_dirty: int,
    end: int,
    clean: int,
    dirty: int,
    overdue: bool,
) -> None:
    segments = [
        Part(0, largest=700, first=100),
        Part(10, largest=800, first=300),
        Part(20, largest=950, first=900),
        Part(30),
    ]
    found = choose(
        segments,
        cleaned_offset=cleaned,
        log_start_offset=0,
        log_end_offset=40,
        stable_offset=stable,
        config=LogConfig(**config),  # type: ignore[arg-type]
        now_ms=1000,
    )
    assert found == (first_dirty, end, clean, dirty, overdue)
    assert found.is_due(0.5) == (overdue or dirty > clean)


def test_groups_of_segments() -> None:
    def grouped(*sizes: int, max_index_size: int = 100) -> list[int]:
        parts = [Part(10 * number, size) for number, size in enumerate(sizes)]
        return [
            len(g) for g in group(parts, max_size=100, max_index_size=max_index_size, end_offset=99)
        ]

    assert grouped(50, 50, 50) == [2, 1]
    assert grouped(200, 1, 1) == [1, 2]
    assert grouped(1, 1, 1, 1, max_index_size=24) == [2, 2]
    far = [Part(0, 1), Part(1 << 31, 1)]
    assert [
        len(g) for g in group(far, max_size=9, max_index_size=99, end_offset=(1 << 31) + 5)
    ] == [1, 1]


def test_a_segment_is_what_is_chosen_from(store: Store) -> None:
    """`Part` and `Segment` answer the same questions."""
    log = compacted(store)
    put(log, ("a", "1"))
    log.roll()
    segment: Segment = log.segments.first
    assert segment.first_timestamp() == segment.largest_timestamp() == 1000
    assert segment.index_sizes() == (0, 12)
