"""Cutting a log's end off: offsets, indexes, epochs, producers, and what is appended afterwards."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.log.log import Log
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from tests.support.logs import NOW_MS, altered, batch, make_log, offsets, open_store, values

COUNT = 40


def filled(store: Store) -> Log:
    """Forty records, one a batch, several segments and index entries."""
    log = make_log(store, segment_bytes=1500, index_interval_bytes=200)
    for number in range(COUNT):
        log.append(batch(b"%02d" % number * 10, timestamp_ms=NOW_MS + number), now_ms=NOW_MS)
    assert len(log.segments) > 2
    return log


def check(log: Log, end: int) -> None:
    """The log ends at `end`, and every way of looking at it agrees."""
    assert log.log_end_offset == end
    assert offsets(log) == list(range(end))
    for offset in range(end):
        found = log.read(offset, 1, upto_offset=end)
        assert found is not None
        assert log.offset_for_timestamp(NOW_MS + offset) == (NOW_MS + offset, offset, 0)
    assert log.offset_for_timestamp(NOW_MS + end) is None
    assert log.max_timestamp() == ((NOW_MS + end - 1, end - 1, 0) if end else None)


@pytest.mark.parametrize("end", range(0, COUNT + 1, 3))
def test_every_end(data_dir: Path, end: int) -> None:
    with open_store(data_dir) as store:
        log = filled(store)
        log.truncate_to(end)
        check(log, end)
        assert log.recovery_point <= end
        for number in range(end, COUNT):
            log.append(batch(b"new", timestamp_ms=NOW_MS + number), now_ms=NOW_MS)
        check(log, COUNT)
        assert values(log)[end:] == [b"new"] * (COUNT - end)
        log.truncate_to(end)
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        assert store.clean_start
        assert log.faults == []
        check(log, end)


def test_a_batch_is_kept_whole_or_not_at_all(store: Store) -> None:
    log = make_log(store)
    log.append(batch(b"a", b"b"), now_ms=NOW_MS)
    log.append(batch(b"c", b"d"), now_ms=NOW_MS)
    log.truncate_to(3)
    assert log.log_end_offset == 3
    assert offsets(log) == [0, 1]
    log.append(batch(b"e"), now_ms=NOW_MS)
    assert offsets(log) == [0, 1, 3]


def test_nothing_to_cut(store: Store) -> None:
    log = filled(store)
    log.truncate_to(COUNT + 5)
    check(log, COUNT)
    with pytest.raises(ValueError, match="-1"):
        log.truncate_to(-1)


def test_below_the_first_segment_the_log_starts_anew(store: Store) -> None:
    log = make_log(store)
    log.append_verbatim(altered(batch(b"a"), base_offset=2**33, leader_epoch=1))
    log.roll()
    log.segments.first.delete()
    log.segments._bases.drop_first(1)
    log.segments._segments.pop(0)
    log.log_start_offset = log.segments.first.base_offset
    log.truncate_to(9)
    assert (log.log_start_offset, log.log_end_offset, len(log.segments)) == (9, 9, 1)
    log.append(batch(b"b"), now_ms=NOW_MS)
    assert offsets(log) == [9]


def test_epochs_follow(store: Store) -> None:
    log = make_log(store)
    for epoch in (1, 2, 3):
        log.assign_leader_epoch(epoch)
        log.append(batch(), now_ms=NOW_MS)
        log.append(batch(), now_ms=NOW_MS)
    log.truncate_to(3)
    # What is appended next is still of the current epoch.
    assert log.epochs.entries() == [(1, 0), (2, 2), (3, 3)]
    log.append(batch(), now_ms=NOW_MS)
    assert [header.leader_epoch for header in log.batches()] == [1, 1, 2, 3]


def test_producers_follow(store: Store) -> None:
    log = make_log(store, segment_bytes=300)

    def produce(sequence: int) -> int:
        data = batch(producer_id=1, producer_epoch=0, base_sequence=sequence)
        return log.append(data, now_ms=NOW_MS).base_offset

    for sequence in range(10):
        produce(sequence)
    log.truncate_to(6)
    assert not any(int(path.stem) > 6 for path in log.directory.glob("*.snapshot"))
    with pytest.raises(KafkaError) as caught:
        produce(10)
    assert caught.value.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert produce(6) == 6


def test_views_given_out_before_stay_safe(store: Store) -> None:
    log = make_log(store)
    for _ in range(20):
        log.append(batch(b"x" * 1000), now_ms=NOW_MS)
    found = log.read(10, 1 << 20, upto_offset=20)
    assert found is not None
    log.truncate_to(5)
    view = found.view()
    assert view is not None
    assert bytes(view) == bytes(found.size)


def test_a_slice_of_what_is_gone_is_an_error(data_dir: Path) -> None:
    """Of a map whose file is cut shorter, the bytes can't be touched without ending the process."""
    with open_store(data_dir) as store:
        log = make_log(store)
        for _ in range(20):
            log.append(batch(b"x" * 1000), now_ms=NOW_MS)
        sealed_later = log.read(10, 1 << 20, upto_offset=20)
        log.truncate_to(15)
        sealed = log.read(5, 1 << 20, upto_offset=15)
        log.roll()
        log.truncate_to(1)
    for found in (sealed_later, sealed):
        assert found is not None
        with pytest.raises(OSError, match="under a mapped file"):
            found.read()


def test_a_log_that_found_no_room(data_dir: Path, tmp_path: Path) -> None:
    """It writes, but has no map yet: what is cut off must not be there again after a crash."""
    with open_store(data_dir) as store:
        log = make_log(store)
        for _ in range(20):
            log.append(batch(b"old"), now_ms=NOW_MS)
    files = FaultyFiles()
    with open_store(data_dir, files=files) as store:
        log = store.logs["topic", 0]
        files.room = 0
        with pytest.raises(KafkaError):
            log.append(batch(b"new"), now_ms=NOW_MS)
        files.heal()
        log.truncate_to(5)
        assert log.segments.active.path.stat().st_size == log.size
        log.append(batch(b"new"), now_ms=NOW_MS)
        shutil.copytree(data_dir, tmp_path / "crashed")
    with open_store(tmp_path / "crashed") as store:
        assert values(store.logs["topic", 0]) == [b"old"] * 5 + [b"new"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_what_can_not_be_finished_takes_the_log_offline(data_dir: Path, code: int) -> None:
    files = FaultyFiles()
    with open_store(data_dir, files=files) as store:
        log = filled(store)
        files.fail("delete", code, suffix=log.segments.active.path.name)
        for _ in range(2):
            with pytest.raises(KafkaError) as caught:
                log.truncate_to(3)
            assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        with pytest.raises(KafkaError):
            log.append(batch(b"new"), now_ms=NOW_MS)
        files.heal()
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        assert log.log_end_offset <= COUNT
        assert offsets(log) == list(range(log.log_end_offset))
