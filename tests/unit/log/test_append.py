"""What may be appended, what it becomes in the log, and what a producer is told otherwise."""

from __future__ import annotations

import pytest

from kstore._native.batch import HEADER_SIZE, check_batch
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Appended, InvalidRecordError, Origin
from kstore.log.log import Log
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    build_batch,
    build_end_transaction_marker,
)
from kstore.log.segment import WRITE_FROM
from kstore.log.store import Store
from tests.support.logs import NOW_MS, altered, batch, make_log, offsets, values


def stored(log: Log) -> bytes:
    found = log.read(0, 1 << 20, upto_offset=log.log_end_offset)
    return b"" if found is None else found.read()


def refused(log: Log, data: bytes, *, now_ms: int = NOW_MS) -> KafkaError:
    """The error that an append raises; the log must be as before."""
    before = log.log_end_offset, stored(log)
    with pytest.raises(KafkaError) as caught:
        log.append(data, now_ms=now_ms)
    assert (log.log_end_offset, stored(log)) == before
    return caught.value


def outcome(log: Log, data: bytes) -> ErrorCode | None:
    """The code of the error that an append ends with, if it does."""
    try:
        log.append(data, now_ms=NOW_MS)
    except KafkaError as error:
        return error.code
    return None


def test_offsets_and_epoch_are_assigned_and_nothing_else_changes(store: Store) -> None:
    log = make_log(store)
    log.assign_leader_epoch(7)
    first, second = batch(b"a", b"b"), batch(b"c")
    assert log.append(first, now_ms=NOW_MS) == Appended(0, 1, -1, 0, False, len(first))
    assert log.append(second, now_ms=NOW_MS) == Appended(2, 2, -1, 0, False, len(second))
    assert stored(log) == altered(first, leader_epoch=7) + altered(
        second, base_offset=2, leader_epoch=7
    )
    assert values(log) == [b"a", b"b", b"c"]


def test_bytes_are_taken_from_any_buffer(store: Store) -> None:
    log = make_log(store)
    data = batch(b"a")
    log.append(memoryview(bytearray(data)), now_ms=NOW_MS)
    log.append(memoryview(b"xx" + data + b"yy")[2:-2], now_ms=NOW_MS)
    assert values(log) == [b"a", b"a"]


def test_a_remainder_too_short_for_a_batch_is_dropped(store: Store) -> None:
    log = make_log(store)
    data = batch(b"a")
    for rest in (b"\0" * 3, b"\xff" * 11, data[:30], data[:-1]):
        log.append(data + rest, now_ms=NOW_MS)
    assert stored(log) == b"".join(
        altered(data, base_offset=offset, leader_epoch=0) for offset in range(4)
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ErrorCode.INVALID_RECORD),
        (batch()[:-1], ErrorCode.INVALID_RECORD),
        (batch()[:5], ErrorCode.INVALID_RECORD),
        (batch() + batch(), ErrorCode.INVALID_RECORD),
        (batch() + altered(batch(), batch_length=1), ErrorCode.CORRUPT_MESSAGE),
        (altered(batch(), magic=1), ErrorCode.INVALID_RECORD),
        (altered(batch(), magic=0), ErrorCode.INVALID_RECORD),
        (altered(batch(), magic=3), ErrorCode.CORRUPT_MESSAGE),
        (altered(batch(), batch_length=13), ErrorCode.CORRUPT_MESSAGE),
        (altered(batch(), batch_length=48, fix_crc=False), ErrorCode.CORRUPT_MESSAGE),
        (altered(batch(), batch_length=-1), ErrorCode.CORRUPT_MESSAGE),
        (altered(batch(), crc=1), ErrorCode.CORRUPT_MESSAGE),
        (altered(batch(), base_offset=1), ErrorCode.INVALID_RECORD),
        (altered(batch(), last_offset_delta=-1), ErrorCode.INVALID_RECORD),
        (altered(batch(), record_count=0), ErrorCode.INVALID_RECORD),
        (altered(batch(), record_count=-1), ErrorCode.INVALID_RECORD),
        (altered(batch(), record_count=2), ErrorCode.INVALID_RECORD),
        (altered(batch(), last_offset_delta=1), ErrorCode.INVALID_RECORD),
        (altered(batch(), last_offset_delta=2**31 - 1), ErrorCode.INVALID_RECORD),
        (altered(batch(), attributes=0x20), ErrorCode.INVALID_RECORD),
        (altered(batch(), attributes=5), ErrorCode.INVALID_RECORD),
        (altered(batch(), producer_id=1, producer_epoch=0), ErrorCode.INVALID_RECORD),
    ],
)
def test_batches_that_are_none(store: Store, data: bytes, code: ErrorCode) -> None:
    assert refused(make_log(store), data).code is code


def test_size_limits(store: Store) -> None:
    log = make_log(store, max_message_bytes=200, segment_bytes=150)
    assert refused(log, batch(b"x" * 200)).code is ErrorCode.MESSAGE_TOO_LARGE
    assert refused(log, batch(b"x" * 100)).code is ErrorCode.RECORD_LIST_TOO_LARGE
    log.append(batch(b"x" * 50), now_ms=NOW_MS)
    assert refused(log, batch(b"x" * 100)).code is ErrorCode.RECORD_LIST_TOO_LARGE
    log.append(batch(b"y"), now_ms=NOW_MS)
    assert offsets(log) == [0, 1]


def test_a_batch_of_exactly_the_limit_fits(store: Store) -> None:
    data = batch(b"x" * 100)
    log = make_log(store, max_message_bytes=len(data), segment_bytes=len(data))
    log.append(data, now_ms=NOW_MS)
    log.append(data, now_ms=NOW_MS)
    assert len(log.segments) == 2


def test_every_byte_of_a_record_that_is_off_is_noticed(store: Store) -> None:
    """Whatever a client puts into a record with a sound CRC: it is refused, or it can be read."""
    log = make_log(store)
    data = build_batch([(b"key", b"value", NOW_MS, [("name", b"x")]), (None, b"y")])
    codes = set()
    for position in range(HEADER_SIZE, len(data)):
        for value in (0, 1, 0x7F, 0x80, 0xFF):
            changed = bytearray(data)
            changed[position] = value
            codes.add(outcome(log, altered(bytes(changed))))
    assert codes == {None, ErrorCode.INVALID_RECORD, ErrorCode.INVALID_TIMESTAMP}
    assert offsets(log) == list(range(log.log_end_offset))


def test_the_malformed_record_is_named(store: Store) -> None:
    data = batch(b"a", b"b", b"c")
    size = (len(data) - HEADER_SIZE) // 3
    at = HEADER_SIZE + size + 3  # the offset delta of the second record
    gap = data[:at] + b"\x04" + data[at + 1 :]
    error = refused(make_log(store), altered(gap))
    assert isinstance(error, InvalidRecordError)
    assert error.code is ErrorCode.INVALID_RECORD
    assert [index for index, _ in error.record_errors] == [1]


def test_record_timestamps_have_bounds(store: Store) -> None:
    log = make_log(store, message_timestamp_before_max_ms=1000, message_timestamp_after_max_ms=500)
    log.append(batch(timestamp_ms=NOW_MS - 1000), now_ms=NOW_MS)
    log.append(batch(timestamp_ms=NOW_MS + 500), now_ms=NOW_MS)
    data = build_batch([(None, b"", NOW_MS - 1001), (None, b"", NOW_MS), (None, b"", NOW_MS + 501)])
    error = refused(log, data)
    assert isinstance(error, InvalidRecordError)
    assert error.code is ErrorCode.INVALID_TIMESTAMP
    assert [index for index, _ in error.record_errors] == [0, 2]
    assert str(NOW_MS - 1001) in error.record_errors[0][1]


def test_compressed_batches_are_judged_by_their_max_timestamp(store: Store) -> None:
    log = make_log(store)
    for delta_ms, fits in ((3_600_000, True), (3_600_001, False)):
        data = build_batch([(None, b"", NOW_MS + delta_ms)], compression="gzip")
        if fits:
            log.append(data, now_ms=NOW_MS)
        else:
            assert refused(log, data).code is ErrorCode.INVALID_TIMESTAMP


def test_records_without_a_timestamp_are_fine(store: Store) -> None:
    log = make_log(store, message_timestamp_before_max_ms=1)
    log.append(batch(timestamp_ms=-1), now_ms=NOW_MS)
    assert [record.timestamp_ms for record in log.records()] == [-1]


def test_a_wrong_max_timestamp_is_put_right(store: Store) -> None:
    log = make_log(store)
    data = batch(b"a", timestamp_ms=NOW_MS - 5)
    log.append(altered(data, max_timestamp=NOW_MS + 99), now_ms=NOW_MS)
    assert stored(log) == altered(data, leader_epoch=0)


def test_log_append_time(store: Store) -> None:
    log = make_log(store, message_timestamp_type="LogAppendTime")
    data = batch(b"a", b"b", timestamp_ms=1)
    appended = log.append(data, now_ms=NOW_MS)
    assert appended.log_append_time_ms == NOW_MS
    assert stored(log) == altered(data, attributes=8, max_timestamp=NOW_MS, leader_epoch=0)
    assert [record.timestamp_ms for record in log.records()] == [NOW_MS] * 2
    packed = batch(b"c", timestamp_ms=1, compression="zstd")
    log.append(packed, now_ms=NOW_MS + 1)
    assert [record.timestamp_ms for record in log.records()] == [NOW_MS] * 2 + [NOW_MS + 1]
    large = batch(b"d" * WRITE_FROM, timestamp_ms=1)
    log.append(large, now_ms=NOW_MS + 2)
    found = log.read(3, 1, upto_offset=4)
    assert found is not None
    assert found.read() == altered(
        large, base_offset=3, attributes=8, max_timestamp=NOW_MS + 2, leader_epoch=0
    )
    assert refused(log, altered(data, attributes=8)).code is ErrorCode.INVALID_TIMESTAMP


def test_log_append_time_from_a_producer_becomes_create_time(store: Store) -> None:
    """As in Kafka: the topic's timestamp type wins, the timestamp is the batch's."""
    log = make_log(store)
    log.append(altered(batch(), attributes=8, max_timestamp=NOW_MS - 3), now_ms=NOW_MS)
    header = check_batch(stored(log))
    assert not header.is_log_append_time
    assert header.max_timestamp == NOW_MS - 3


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_compacted_topic_wants_keys(store: Store, compression: str) -> None:
    log = make_log(store, cleanup_policy=frozenset({"compact"}))
    log.append(build_batch([(b"k", b"v")], compression=compression), now_ms=NOW_MS)
    error = refused(
        log,
        build_batch([(b"k", b"v"), (None, b"v"), (b"", None)], compression=compression),
    )
    assert isinstance(error, InvalidRecordError)
    assert error.code is ErrorCode.INVALID_RECORD
    assert [index for index, _ in error.record_errors] == [1]


def test_a_compacted_topic_refuses_what_does_not_decompress(store: Store) -> None:
    log = make_log(store, cleanup_policy=frozenset({"compact"}))
    assert refused(log, altered(batch(), attributes=4)).code is ErrorCode.CORRUPT_MESSAGE


def test_compressed_batches_are_kept_as_they_came(store: Store) -> None:
    log = make_log(store)
    data = batch(b"a" * 1000, b"b", compression="lz4")
    log.append(data, now_ms=NOW_MS)
    assert stored(log) == altered(data, leader_epoch=0)
    assert values(log) == [b"a" * 1000, b"b"]


def producer_batch(sequence: int, count: int = 1, epoch: int = 0) -> bytes:
    return batch(*[b"v"] * count, producer_id=5, producer_epoch=epoch, base_sequence=sequence)


def test_a_batch_sent_again_is_not_appended_again(store: Store) -> None:
    log = make_log(store)
    first = log.append(producer_batch(0, 3), now_ms=NOW_MS)
    log.append(producer_batch(3), now_ms=NOW_MS)
    again = log.append(producer_batch(0, 3), now_ms=NOW_MS + 9)
    assert again.duplicate
    assert (again.base_offset, again.last_offset) == (first.base_offset, first.last_offset)
    assert log.log_end_offset == 4


def test_sequences_and_epochs_are_checked(store: Store) -> None:
    log = make_log(store)
    log.append(producer_batch(0), now_ms=NOW_MS)
    assert refused(log, producer_batch(2)).code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    log.append(producer_batch(0, epoch=1), now_ms=NOW_MS)
    assert refused(log, producer_batch(1)).code is ErrorCode.INVALID_PRODUCER_EPOCH


def test_a_refused_batch_leaves_the_producer_as_it_was(store: Store) -> None:
    log = make_log(store, max_message_bytes=150)
    log.append(producer_batch(0), now_ms=NOW_MS)
    refused(log, producer_batch(1, 50))
    log.append(producer_batch(1), now_ms=NOW_MS)
    assert offsets(log) == [0, 1]


def test_a_coordinator_may_write_control_batches(store: Store) -> None:
    log = make_log(store)
    marker = build_end_transaction_marker(
        EndTransactionMarker(ControlType.COMMIT, 3),
        producer_id=5,
        producer_epoch=0,
        timestamp_ms=NOW_MS,
    )
    assert refused(log, marker).code is ErrorCode.INVALID_RECORD
    assert log.append(marker, now_ms=NOW_MS, origin=Origin.COORDINATOR).base_offset == 0
    log.append(batch(b"a"), now_ms=NOW_MS, origin=Origin.COORDINATOR)
    assert values(log) == [b"a"]
    assert [header.is_control for header in log.batches()] == [True, False]


def test_verbatim_batches_keep_offsets_and_epochs(store: Store) -> None:
    log = make_log(store)
    data = (
        altered(batch(b"a", b"b"), base_offset=5, leader_epoch=2)
        + altered(batch(b"c"), base_offset=9, leader_epoch=2)
        + altered(batch(b"d"), base_offset=10, leader_epoch=4)
    )
    log.append_verbatim(data)
    assert stored(log) == data
    assert log.log_end_offset == 11
    assert log.epochs.entries() == [(0, 0), (2, 5), (4, 10)]
    assert offsets(log) == [5, 6, 9, 10]


def test_verbatim_batches_must_follow_and_be_sound(store: Store) -> None:
    log = make_log(store)
    log.append_verbatim(altered(batch(b"a"), base_offset=5))
    for data, code in (
        (altered(batch(), base_offset=5), ErrorCode.INVALID_REQUEST),
        (altered(batch(), base_offset=7, crc=0), ErrorCode.CORRUPT_MESSAGE),
        (altered(batch(), base_offset=7)[:-1], ErrorCode.CORRUPT_MESSAGE),
    ):
        with pytest.raises(KafkaError) as caught:
            log.append_verbatim(data)
        assert caught.value.code is code
    assert offsets(log) == [5]


def test_verbatim_offsets_far_apart_get_segments_of_their_own(store: Store) -> None:
    log = make_log(store)
    for offset in (3, 3 + 2**31, 2**40):
        log.append_verbatim(altered(batch(b"a"), base_offset=offset))
    assert offsets(log) == [3, 3 + 2**31, 2**40]
    assert [segment.base_offset for segment in log.segments.all()] == [0, 3 + 2**31, 2**40]


def test_a_closed_log_says_so(store: Store) -> None:
    log = make_log(store)
    log.close()
    with pytest.raises(KafkaError) as caught:
        log.append(batch(), now_ms=NOW_MS)
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
