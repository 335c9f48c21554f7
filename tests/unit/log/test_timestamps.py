"""Offsets by time, against a walk over all records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kstore.log.log import Log
from kstore.log.records import build_batch
from kstore.log.store import Store
from tests.support.logs import NOW_MS, batch, make_log, open_store

TIMES = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7]


def filled(store: Store, compression: str) -> Log:
    log = make_log(store, segment_bytes=900, index_interval_bytes=150)
    log.assign_leader_epoch(3)
    for number in range(0, len(TIMES), 3):
        records = [(None, b"x" * 20, NOW_MS + number + time) for time in TIMES[number : number + 3]]
        log.append(build_batch(records, compression=compression), now_ms=NOW_MS)
    assert len(log.segments) > 1
    return log


def check_all(log: Log, start: int) -> None:
    records = [record for record in log.records() if record.offset >= start]
    for timestamp_ms in range(NOW_MS - 1, NOW_MS + 45):
        expected = next(
            (
                (found.timestamp_ms, found.offset, 3)
                for found in records
                if found.timestamp_ms >= timestamp_ms
            ),
            None,
        )
        assert log.offset_for_timestamp(timestamp_ms) == expected
    latest = max(record.timestamp_ms for record in records)
    first = next(record.offset for record in records if record.timestamp_ms == latest)
    assert log.max_timestamp() == (latest, first, 3)


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_every_timestamp(data_dir: Path, compression: str) -> None:
    with open_store(data_dir) as store:
        log = filled(store, compression)
        check_all(log, 0)
        log.advance_log_start(7)
        check_all(log, 7)
    with open_store(data_dir) as store:
        check_all(store.logs["topic", 0], 7)


def test_an_empty_log_has_no_timestamps(store: Store) -> None:
    log = make_log(store)
    assert log.offset_for_timestamp(0) is None
    assert log.max_timestamp() is None


def test_records_without_timestamps(store: Store) -> None:
    log = make_log(store, segment_bytes=150)
    for _ in range(3):
        log.append(batch(timestamp_ms=-1), now_ms=NOW_MS)
    assert log.max_timestamp() is None
    assert log.offset_for_timestamp(5) is None
    log.append(batch(timestamp_ms=NOW_MS), now_ms=NOW_MS)
    assert log.offset_for_timestamp(5) == (NOW_MS, 3, 0)


def test_log_append_time_counts_for_the_whole_batch(store: Store) -> None:
    log = make_log(store, message_timestamp_type="LogAppendTime")
    log.append(batch(b"a", b"b", timestamp_ms=5), now_ms=NOW_MS)
    assert log.offset_for_timestamp(NOW_MS) == (NOW_MS, 0, 0)
    assert log.max_timestamp() == (NOW_MS, 0, 0)


def test_the_age_of_a_segment_without_timestamps_is_its_files(store: Store) -> None:
    log = make_log(store)
    log.append(batch(timestamp_ms=-1), now_ms=NOW_MS)
    os.utime(log.segments[0].path, ns=(0, 5_000_000))
    assert log.segments[0].largest_timestamp() == 5
