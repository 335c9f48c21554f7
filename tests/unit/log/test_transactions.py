"""Transactions in a log: markers, what is stable, and what a reader has to leave out."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.log.log import Log
from kstore.log.records import ControlType, EndTransactionMarker
from kstore.log.store import Store
from kstore.log.transaction_index import ENTRY_SIZE, read_aborted
from kstore.testing.faulty_files import FaultyFiles
from tests.support.logs import NOW_MS, batch, make_log, open_store

ONE, OTHER = 1, 2


def transactional_log(store: Store, **config: object) -> Log:
    return make_log(
        store,
        transaction_partition_verification_enable=False,
        index_interval_bytes=1,
        **config,
    )


class Producer:
    """Writes one record at a time, and counts its sequence."""

    def __init__(self, log: Log, producer_id: int) -> None:
        self.log = log
        self.producer_id = producer_id
        self.epoch = 0
        self.sequence = 0

    def send(self, value: bytes = b"value") -> int:
        """The record's offset."""
        data = batch(
            value,
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            base_sequence=self.sequence,
            transactional=True,
        )
        appended = self.log.append(data, now_ms=NOW_MS)
        self.sequence += 1
        return appended.base_offset

    def end(self, *, commit: bool, version: int = 2, coordinator_epoch: int = 0) -> int:
        """The marker's offset."""
        if version >= 2:
            self.epoch += 1
            self.sequence = 0
        kind = ControlType.COMMIT if commit else ControlType.ABORT
        return self.log.append_marker(
            EndTransactionMarker(kind, coordinator_epoch),
            producer_id=self.producer_id,
            producer_epoch=self.epoch,
            transaction_version=version,
            now_ms=NOW_MS,
        ).base_offset


def unstable(log: Log) -> int | None:
    log.producers.high_watermark_moved(log.log_end_offset)
    return log.producers.first_unstable_offset()


def aborted(log: Log, offset: int, max_size: int = 1 << 20) -> list[tuple[int, int]]:
    records = log.read(offset, max_size, upto_offset=log.log_end_offset)
    assert records is not None
    return log.aborted_transactions(offset, records, log.log_end_offset)


def test_what_is_unstable_begins_with_the_oldest_open_transaction(store: Store) -> None:
    log = transactional_log(store)
    one, other = Producer(log, ONE), Producer(log, OTHER)
    assert unstable(log) is None
    first, second = one.send(), other.send()
    assert unstable(log) == first
    one.end(commit=True)
    assert unstable(log) == second
    log.append(batch(b"plain"), now_ms=NOW_MS)
    assert unstable(log) == second
    other.end(commit=False)
    assert unstable(log) is None


def test_a_reader_is_told_of_aborted_transactions_alone(store: Store) -> None:
    log = transactional_log(store)
    one, other = Producer(log, ONE), Producer(log, OTHER)
    one.send()
    one.end(commit=True)
    assert not log.has_aborted
    assert aborted(log, 0) == []
    first = one.send()
    other.send()
    one.send()
    marker = one.end(commit=False)
    other.end(commit=True)
    assert aborted(log, 0) == aborted(log, marker) == [(ONE, first)]
    assert aborted(log, marker + 1) == []


def test_only_those_that_reach_into_what_is_read(store: Store) -> None:
    log = transactional_log(store)
    producer = Producer(log, ONE)
    firsts = []
    for _ in range(200):
        firsts.append(producer.send())
        producer.end(commit=False)
    assert aborted(log, 0) == [(ONE, first) for first in firsts]
    for number in (0, 57, 199):
        found = aborted(log, firsts[number], max_size=1)
        assert found[0] == (ONE, firsts[number])
        assert len(found) <= 2  # the index points no closer than to the next batch


def test_a_transaction_may_end_many_segments_later(store: Store) -> None:
    log = transactional_log(store, segment_bytes=400)
    one, other = Producer(log, ONE), Producer(log, OTHER)
    first = one.send()
    for _ in range(20):
        second = other.send()
        other.end(commit=False)
    one.end(commit=False)
    assert len(log.segments) > 5
    assert aborted(log, 0)[-1] == (ONE, first)
    assert sorted(aborted(log, second)) == [(ONE, first), (OTHER, second)]


def test_a_marker_again_and_markers_that_come_too_late(store: Store) -> None:
    log = transactional_log(store)
    producer = Producer(log, ONE)
    producer.send()
    producer.end(commit=True, coordinator_epoch=3)
    producer.epoch -= 1
    producer.end(commit=True, coordinator_epoch=3)  # the same once more

    def refused(epoch: int, version: int, coordinator_epoch: int = 3) -> ErrorCode:
        producer.epoch = epoch - (version >= 2)
        end = log.log_end_offset
        with pytest.raises(KafkaError) as caught:
            producer.end(commit=False, version=version, coordinator_epoch=coordinator_epoch)
        assert log.log_end_offset == end
        return caught.value.code

    assert refused(0, 1) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert refused(1, 2, coordinator_epoch=2) is ErrorCode.TRANSACTION_COORDINATOR_FENCED
    producer.epoch, producer.sequence = 1, 0
    producer.send()
    assert refused(1, 2) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert unstable(log) == log.log_end_offset - 1
    producer.epoch = 1
    producer.end(commit=False, version=1, coordinator_epoch=3)
    assert unstable(log) is None


def test_a_client_writes_no_markers(store: Store) -> None:
    log = transactional_log(store)
    data = batch(b"value", producer_id=1, producer_epoch=0, transactional=True, control=True)
    with pytest.raises(KafkaError) as caught:
        log.append(data, now_ms=NOW_MS)
    assert caught.value.code is ErrorCode.INVALID_RECORD


@pytest.mark.parametrize("clean", [True, False])
def test_all_is_there_again_when_the_log_is_opened(data_dir: Path, clean: bool) -> None:
    with open_store(data_dir) as store:
        log = transactional_log(store, segment_bytes=600)
        one, other = Producer(log, ONE), Producer(log, OTHER)
        for number in range(20):
            one.send()
            other.send()
            one.end(commit=bool(number % 2))
            other.end(commit=False)
        hanging = one.send()
        expected = [aborted(log, offset) for offset in range(log.log_end_offset)]
        before = unstable(log), sorted(map(repr, log.producers.active()))
        assert before[0] == hanging
    if not clean:
        (data_dir / ".kafka_cleanshutdown").unlink()
        (data_dir / "recovery-point-offset-checkpoint").unlink()
        for index in (data_dir / "topic-0").glob("*.txnindex"):
            index.unlink()
    with open_store(data_dir) as store:
        assert store.clean_start is clean
        log = store.logs["topic", 0]
        assert [aborted(log, offset) for offset in range(log.log_end_offset)] == expected
        assert unstable(log) == hanging
        if not clean:  # a snapshot keeps only the last batch of each
            assert sorted(map(repr, log.producers.active())) == before[1]


def test_what_is_cut_off_was_never_aborted(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        log = transactional_log(store)
        producer = Producer(log, ONE)
        first = producer.send()
        kept = producer.end(commit=False)
        second = producer.send()
        cut = producer.end(commit=False)
        log.truncate_to(cut)
        assert aborted(log, 0) == [(ONE, first)]
        assert unstable(log) == second
        producer.epoch -= 1
        producer.end(commit=True)
        assert aborted(log, 0) == [(ONE, first)]
        log.truncate_to(kept)
        assert aborted(log, 0) == []
        assert unstable(log) == first
    with open_store(data_dir) as store:
        assert aborted(store.logs["topic", 0], 0) == []


def test_a_marker_that_could_not_be_noted_is_not_there(
    waiting: Store, files: FaultyFiles, data_dir: Path
) -> None:
    log = transactional_log(waiting)
    producer = Producer(log, ONE)
    first = producer.send()
    end = log.log_end_offset
    files.fail("write", errno.ENOSPC, suffix=".txnindex")
    with pytest.raises(KafkaError) as caught:
        producer.end(commit=False)
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert log.failed is None
    assert (log.log_end_offset, unstable(log)) == (end, first)
    files.heal()
    producer.epoch = 0
    producer.end(commit=False)
    assert unstable(log) is None
    assert aborted(log, 0) == [(ONE, first)]


def test_a_torn_index_is_told_to_readers_of_committed_data_alone(store: Store) -> None:
    log = transactional_log(store)
    producer = Producer(log, ONE)
    producer.send()
    producer.end(commit=False)
    (path,) = log.directory.glob("*.txnindex")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(KafkaError) as caught:
        aborted(log, 0)
    assert caught.value.code is ErrorCode.CORRUPT_MESSAGE
    path.write_bytes(path.read_bytes()[:ENTRY_SIZE])
    assert len(read_aborted(log.files, path)) == len(aborted(log, 0)) == 1
