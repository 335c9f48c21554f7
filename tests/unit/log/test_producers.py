"""Producers: each rule by itself. test_producers_kafka.py has Kafka judge all of them together."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from crc32c import crc32c

from kstore._native.batch import BatchHeader, check_batch
from kstore.errors import ErrorCode, KafkaError
from kstore.log.producers import (
    CompletedTransaction,
    CorruptSnapshotError,
    Duplicate,
    ProducerEntry,
    ProducerStates,
    decode_snapshot,
    encode_snapshot,
)
from kstore.log.producers.transactions import Transactions
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    build_batch,
    build_end_transaction_marker,
)

MAX = 2**31 - 1


def batch(
    sequence: int,
    count: int = 1,
    *,
    offset: int = 0,
    epoch: int = 0,
    producer: int = 7,
    transactional: bool = False,
    timestamp_ms: int = 1000,
) -> BatchHeader:
    return check_batch(
        build_batch(
            [(None, b"", timestamp_ms)] * count,
            base_offset=offset,
            producer_id=producer,
            producer_epoch=epoch,
            base_sequence=sequence,
            transactional=transactional,
        )
    )


def marker_batch(
    offset: int, *, epoch: int = 0, producer: int = 7, kind: ControlType = ControlType.COMMIT
) -> tuple[BatchHeader, bytes, EndTransactionMarker]:
    marker = EndTransactionMarker(kind, 3)
    data = build_end_transaction_marker(
        marker,
        producer_id=producer,
        producer_epoch=epoch,
        timestamp_ms=2000,
        base_offset=offset,
    )
    return check_batch(data), data, marker


def expect(code: ErrorCode, states: ProducerStates, header: BatchHeader) -> str:
    with pytest.raises(KafkaError) as caught:
        states.check(header)
    assert caught.value.code == code
    return caught.value.message


def states_after(*headers: BatchHeader) -> ProducerStates:
    states = ProducerStates(verifies=False)
    for header in headers:
        assert states.check(header) is None
        states.update(header)
    states.verifies = True
    return states


def test_an_unknown_producer_begins_anywhere() -> None:
    for sequence in (0, 5, MAX):
        assert states_after(batch(sequence)).get(7) is not None


def test_sequences_follow_each_other() -> None:
    states = states_after(batch(0, 3), batch(3, 2, offset=3))
    for wrong in (4, 6, MAX):
        message = expect(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, states, batch(wrong, offset=5))
        assert "5 is expected" in message
    assert states.check(batch(5, offset=5)) is None


@pytest.mark.parametrize(("first", "count", "expected"), [(MAX, 1, 0), (MAX - 1, 4, 2)])
def test_sequences_wrap(first: int, count: int, expected: int) -> None:
    states = states_after(batch(first, count))
    assert states.check(batch(first, count)) == Duplicate(0, count - 1, 1000)
    assert states.check(batch(expected, offset=count)) is None
    expect(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, states, batch(expected + 1, offset=count))


def test_one_of_the_last_five_batches_is_a_duplicate() -> None:
    states = ProducerStates()
    for number in range(6):
        header = batch(2 * number, 2, offset=100 + 2 * number, timestamp_ms=1000 + number)
        assert states.check(header) is None
        states.update(header)
    for number in range(1, 6):
        again = batch(2 * number, 2)
        assert states.check(again) == Duplicate(100 + 2 * number, 101 + 2 * number, 1000 + number)
    expect(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, states, batch(0, 2))
    expect(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, states, batch(10, 1))
    expect(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, states, batch(9, 3))


def test_a_new_epoch_begins_with_sequence_0() -> None:
    states = states_after(batch(0, 3))
    message = expect(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, states, batch(3, epoch=1))
    assert "epoch 1" in message
    states = states_after(batch(0, 3), batch(0, epoch=1, offset=3))
    assert states.check(batch(0, epoch=1)) == Duplicate(3, 3, 1000)
    message = expect(ErrorCode.INVALID_PRODUCER_EPOCH, states, batch(0, 3))
    assert "the last one was 1" in message


def test_producers_do_not_concern_each_other() -> None:
    states = states_after(batch(0, 3), batch(9, producer=8, offset=3), batch(3, offset=4))
    assert sorted(entry.producer_id for entry in states.active()) == [7, 8]
    assert states.check(batch(10, producer=8, offset=5)) is None


def test_batches_without_a_producer_only_move_the_end() -> None:
    states = ProducerStates()
    header = check_batch(build_batch([(b"k", b"v")] * 4, base_offset=20))
    assert states.check(header) is None
    states.update(header)
    assert (len(states), states.end_offset) == (0, 24)


def test_the_broker_itself_writes_without_sequences() -> None:
    states = states_after(batch(0, 3, epoch=2))
    assert states.check(batch(-1, epoch=2, offset=3), by_client=False) is None
    assert states.check(batch(-1, epoch=3, offset=3), by_client=False) is None
    with pytest.raises(KafkaError) as caught:
        states.check(batch(-1, epoch=1, offset=3), by_client=False)
    assert caught.value.code == ErrorCode.INVALID_PRODUCER_EPOCH


def test_checking_changes_nothing() -> None:
    states = states_after(batch(0, 3))
    before = states.snapshot()
    states.check(batch(3, offset=3))
    states.check(batch(0, epoch=1, offset=3))
    states.check(batch(5, producer=8, offset=3))
    assert (states.snapshot(), states.end_offset, len(states)) == (before, 3, 1)


# --- transactions ----------------------------------------------------------------------------


def test_a_transaction_nobody_knows_of_is_refused() -> None:
    fresh = ProducerStates()
    expect(ErrorCode.INVALID_TXN_STATE, fresh, batch(0, transactional=True))
    assert ProducerStates(verifies=False).check(batch(0, transactional=True)) is None
    known = states_after(batch(0))
    expect(ErrorCode.INVALID_TXN_STATE, known, batch(1, offset=1, transactional=True))
    known = states_after(batch(0, transactional=True))
    assert known.check(batch(1, offset=1, transactional=True)) is None


def test_all_batches_are_part_of_an_open_transaction() -> None:
    states = states_after(batch(0, transactional=True))
    expect(ErrorCode.INVALID_TXN_STATE, states, batch(1, offset=1))


def test_unstable_offsets() -> None:
    states = states_after(
        batch(0, producer=1, offset=0, transactional=True),
        batch(0, producer=2, offset=1, transactional=True),
        batch(1, producer=1, offset=2, transactional=True),
    )
    assert (states.first_unstable_offset(), states.first_undecided_offset()) == (0, 0)
    header, data, _ = marker_batch(3, producer=1, kind=ControlType.ABORT)
    assert states.replay(header, data) == CompletedTransaction(1, 0, 3, 1, True)
    assert (states.first_unstable_offset(), states.first_undecided_offset()) == (0, 1)
    states.high_watermark_moved(3)
    assert states.first_unstable_offset() == 0
    states.high_watermark_moved(4)
    assert states.first_unstable_offset() == 1
    header, data, _ = marker_batch(4, producer=2)
    assert states.replay(header, data) == CompletedTransaction(2, 1, 4, 5, False)
    states.log_start_moved(10)
    assert states.first_unstable_offset() is None
    assert states.end_offset == 10


def test_a_recovery_does_not_look_at_all_that_have_ended_for_each_that_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a log is recovered its high watermark stays where it is: ended ones pile up."""
    looks = []
    settle = Transactions._settle

    def counted(transactions: Transactions) -> None:
        looks.append(len(transactions._unreplicated))
        settle(transactions)

    monkeypatch.setattr(Transactions, "_settle", counted)
    states = ProducerStates(verifies=False)
    for number in range(100):
        states.update(batch(number, offset=2 * number, transactional=True))
        header, data, _ = marker_batch(2 * number + 1)
        states.replay(header, data)
    assert sum(looks) < 100
    assert states.first_unstable_offset() == 0
    states.high_watermark_moved(150)
    assert states.first_unstable_offset() == 150


def test_a_marker_without_records_completes_nothing() -> None:
    states = ProducerStates()
    header, data, _ = marker_batch(0, epoch=4)
    assert states.replay(header, data) is None
    entry = states.get(7)
    assert entry is not None
    assert (entry.epoch, entry.coordinator_epoch, entry.timestamp_ms) == (4, 3, 2000)
    assert states.end_offset == 1
    expect(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, states, batch(1, epoch=4))


def test_markers_of_stale_coordinators_and_epochs_are_refused() -> None:
    states = states_after(batch(0, epoch=2, transactional=True))
    header, data, _ = marker_batch(1, epoch=2)
    states.replay(header, data)

    def refused(epoch: int, coordinator_epoch: int, version: int) -> ErrorCode | None:
        marker = EndTransactionMarker(ControlType.ABORT, coordinator_epoch)
        try:
            states.check_marker(
                marker_batch(2, epoch=epoch)[0], marker, transaction_version=version
            )
        except KafkaError as error:
            return error.code
        return None

    assert refused(1, 3, 1) == refused(1, 3, 2) == ErrorCode.INVALID_PRODUCER_EPOCH
    assert refused(2, 2, 1) == ErrorCode.TRANSACTION_COORDINATOR_FENCED
    assert refused(2, 3, 1) is None
    assert refused(2, 3, 2) is None  # the same marker once more
    states.update(batch(1, offset=2, epoch=2, transactional=True))
    assert refused(2, 3, 1) is None
    assert refused(2, 3, 2) == ErrorCode.INVALID_PRODUCER_EPOCH
    assert refused(3, 3, 2) is None


def test_a_marker_that_compaction_emptied_only_moves_the_end() -> None:
    _, data, _ = marker_batch(5)
    emptied = bytearray(data[:61])
    struct.pack_into(">i", emptied, 8, 49)
    struct.pack_into(">i", emptied, 57, 0)
    states = ProducerStates()
    assert states.replay(check_batch(emptied, crc=False), emptied) is None
    assert (len(states), states.end_offset) == (0, 6)


# --- snapshots and expiry --------------------------------------------------------------------


def test_the_bytes_of_a_snapshot_are_kafkas() -> None:
    states = states_after(batch(5, 3, offset=40, epoch=2, timestamp_ms=123456))
    body = struct.pack(">i", 1)
    body += struct.pack(">qhiqiqiq", 7, 2, 7, 42, 2, 123456, -1, -1)
    data = states.snapshot()
    assert len(data) == 10 + 46
    assert data[:2] == b"\x00\x01"
    assert data[6:] == body


def test_a_loaded_snapshot_goes_on_where_the_log_was() -> None:
    states = states_after(
        batch(0, 3),
        batch(MAX - 1, 4, producer=8, offset=3),
        batch(0, producer=9, offset=7, transactional=True),
        batch(0, producer=10, offset=8, transactional=True),
    )
    loaded = ProducerStates()
    loaded.load(states.snapshot(), states.end_offset, 2000)
    assert sorted(map(repr, loaded.active())) == sorted(map(repr, states.active()))
    assert loaded.end_offset == 9
    assert loaded.check(batch(MAX - 1, 4, producer=8)) == Duplicate(3, 6, 1000)
    assert loaded.check(batch(3, offset=9)) is None
    assert loaded.first_unstable_offset() == 7
    header, data, _ = marker_batch(9, producer=9)
    assert loaded.replay(header, data) == CompletedTransaction(9, 7, 9, 8, False)


def test_a_producer_without_batches_survives_a_snapshot() -> None:
    entry = ProducerEntry(5, 2, coordinator_epoch=1, timestamp_ms=77)
    assert decode_snapshot(encode_snapshot([entry])) == [entry]
    assert decode_snapshot(encode_snapshot([])) == []


def test_damaged_snapshots_are_refused_and_change_nothing() -> None:
    states = states_after(batch(0, 3), batch(0, producer=8, offset=3))
    sound = states.snapshot()
    damaged = [sound[:size] for size in range(len(sound))]
    damaged += [sound + b"\0", struct.pack(">h", 2) + sound[2:], b"\xff" * 200]
    for position in range(len(sound)):
        flipped = bytearray(sound)
        flipped[position] ^= 0x20
        damaged.append(bytes(flipped))
    for data in damaged:
        with pytest.raises(CorruptSnapshotError):
            states.load(data, 99, 0)
    assert (states.snapshot(), states.end_offset) == (sound, 4)


def test_a_snapshot_with_a_right_crc_and_a_wrong_count() -> None:
    data = bytearray(encode_snapshot([ProducerEntry(1, 0)]))
    for count in (0, 2, -1, MAX):
        struct.pack_into(">i", data, 6, count)
        struct.pack_into(">I", data, 2, crc32c(data[6:]))
        with pytest.raises(CorruptSnapshotError, match="do not fit"):
            decode_snapshot(bytes(data))


def test_idle_producers_expire_unless_a_transaction_is_open() -> None:
    states = ProducerStates(expiration_ms=500)
    for header in (
        batch(0, producer=1, timestamp_ms=1000),
        batch(0, producer=2, offset=1, timestamp_ms=1200),
        batch(0, producer=3, offset=2, timestamp_ms=900, transactional=True),
    ):
        states.update(header)
    assert states.expire(1499) == 0
    data = states.snapshot()
    assert states.expire(1500) == 1
    assert {entry.producer_id for entry in states.active()} == {2, 3}
    loaded = ProducerStates(expiration_ms=500)
    loaded.load(data, 3, 1700)
    assert {entry.producer_id for entry in loaded.active()} == {3}
    assert loaded.check(batch(44, producer=1, offset=3)) is None


def test_clearing_forgets_all() -> None:
    states = states_after(batch(0, transactional=True))
    states.clear(12)
    assert (len(states), states.end_offset, states.first_unstable_offset()) == (0, 12, None)


def test_entries_are_read_not_kept_as_keys() -> None:
    entry = states_after(batch(0, 3)).get(7)
    assert entry is not None
    assert (entry.last_sequence, entry.last_offset, entry.last_offset_delta) == (2, 2, 2)
    assert repr(entry).startswith("ProducerEntry(7, epoch=0")
    assert entry != 7
    with pytest.raises(TypeError):
        hash(entry)


# --- verification (KIP-890) --------------------------------------------------------------------


def begin(states: ProducerStates, sequence: int = 0, epoch: int = 0, *, adds: bool = True) -> Any:
    return states.begin_verification(7, epoch, sequence, adds=adds, now_ms=1000)


def test_a_transaction_is_opened_by_who_shows_the_verification_that_was_begun() -> None:
    states = ProducerStates()
    verification = begin(states)
    first = batch(0, transactional=True)
    expect(ErrorCode.INVALID_TXN_STATE, states, first)
    assert states.check(first, verification=verification) is None
    states.update(first)
    assert begin(states) is None, "the transaction is open now"
    assert states.check(batch(1, offset=1, transactional=True)) is None


def test_a_marker_takes_a_verification_away() -> None:
    states = ProducerStates()
    verification = begin(states, adds=False)
    header, data, _ = marker_batch(0)
    states.replay(header, data)
    with pytest.raises(KafkaError) as caught:
        states.check(batch(0, offset=1, transactional=True), verification=verification)
    assert caught.value.code is ErrorCode.INVALID_TXN_STATE
    again = begin(states, adds=False)
    assert again is not verification
    assert states.check(batch(0, offset=1, transactional=True), verification=again) is None


def test_a_marker_of_the_transaction_before_does_not_with_version_two() -> None:
    states = states_after(batch(0, transactional=True))
    verification = begin(states, epoch=1)
    header, data, _ = marker_batch(1, epoch=1)
    states.replay(header, data)
    following = batch(0, offset=2, epoch=1, transactional=True)
    assert states.check(following, verification=verification) is None
    states.update(following)
    header, data, _ = marker_batch(3, epoch=2)
    states.replay(header, data)
    assert len(states.verifications) == 0


def test_an_old_epoch_is_not_verified() -> None:
    states = states_after(batch(0, epoch=2))
    with pytest.raises(KafkaError) as caught:
        begin(states, epoch=1)
    assert caught.value.code is ErrorCode.INVALID_PRODUCER_EPOCH


def test_the_lowest_sequence_that_was_refused_comes_first() -> None:
    states = ProducerStates()
    verification = begin(states, sequence=5, adds=False)
    assert begin(states, sequence=3, adds=False) is verification
    for sequence, fits in ((5, False), (4, False), (3, True)):
        header = batch(sequence, transactional=True)
        if fits:
            assert states.check(header, verification=verification) is None
        else:
            with pytest.raises(KafkaError, match="3 is expected"):
                states.check(header, verification=verification)
    assert begin(states, sequence=8, epoch=1, adds=False) is verification
    assert (verification.epoch, verification.lowest_sequence) == (1, 8)


def test_with_version_two_a_producer_begins_with_sequence_zero() -> None:
    states = ProducerStates()
    verification = begin(states, sequence=4)
    with pytest.raises(KafkaError, match="0 is expected"):
        states.check(batch(4, transactional=True), verification=verification)
    assert states.check(batch(0, transactional=True), verification=verification) is None


def test_a_verification_that_nothing_came_of_expires() -> None:
    states = ProducerStates(expiration_ms=500)
    begin(states)
    states.expire(1499)
    assert len(states.verifications) == 1
    states.expire(1500)
    assert len(states.verifications) == 0
