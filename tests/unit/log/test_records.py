"""Records and batches: the bytes are Kafka's, and no bytes do harm."""

from __future__ import annotations

import copy
import pickle
import struct
from collections.abc import Callable

import crc32c
import pytest
from aiokafka.record._crecords.default_records import (  # type: ignore[import-untyped]
    DefaultRecordBatch,
    DefaultRecordBatchBuilder,
)

from kstore._native.batch import HEADER_SIZE, BatchHeader, check_batch
from kstore.errors import ErrorCode, KafkaError
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    Record,
    RecordLike,
    batch_records,
    batches,
    build_batch,
    build_end_transaction_marker,
    find_record_by_timestamp,
    find_record_with_max_timestamp,
    iterate_records,
    parse_control_type,
    parse_end_transaction_marker,
)

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
START_MS = 1_700_000_000_000
RECORDS = [
    Record(0, START_MS, b"key", b"value"),
    Record(1, START_MS + 5, None, b"no key"),
    Record(2, START_MS - 70_000, b"older, no value", None),
    Record(3, START_MS + 1, b"", b"", (("a", b"1"), ("a", None), ("", b""), ("ü", b"\xff"))),
    Record(4, START_MS + 2, b"large", b"x" * 200_000),
]


def varint(value: int) -> bytes:
    """The reference: zig-zag, then seven bits a byte."""
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest >= 0x80:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def raw_record(offset_delta: int, body: bytes | None = None) -> bytes:
    body = body if body is not None else b"\x02k\x02v\x00"
    fields = b"\x00" + varint(0) + varint(offset_delta) + body
    return varint(len(fields)) + fields


def raw_batch(data: bytes, *, count: int, last_offset_delta: int, attributes: int = 0) -> bytes:
    """A batch of any content with a right CRC."""
    checked = struct.pack(
        ">hiqqqhii", attributes, last_offset_delta, START_MS, START_MS, -1, -1, -1, count
    )
    checked += data
    head = struct.pack(">qiib", 100, len(checked) + 9, 0, 2)
    return head + struct.pack(">I", crc32c.crc32c(checked)) + checked


def only_header(batch: bytes) -> BatchHeader:
    (header,) = batches(batch)
    return header


# --- what is written -------------------------------------------------------------------------


def test_the_bytes_of_one_record_are_kafkas() -> None:
    batch = build_batch([(b"k", b"v", START_MS, [("h", b"1")])], base_offset=7, leader_epoch=3)
    record = b"\x00\x00\x00\x02k\x02v\x02\x02h\x021"
    record = varint(len(record)) + record
    assert batch == (
        struct.pack(">qiib", 7, 49 + len(record), 3, 2)
        + struct.pack(">I", crc32c.crc32c(batch[21:]))
        + struct.pack(">hiqqqhii", 0, 0, START_MS, START_MS, -1, -1, -1, 1)
        + record
    )


@pytest.mark.parametrize("codec", CODECS)
def test_what_was_built_is_iterated(codec: str) -> None:
    batch = build_batch(RECORDS, compression=codec)
    assert list(iterate_records(batch)) == RECORDS
    header = only_header(batch)
    assert header.codec == CODECS.index(codec)
    assert (header.base_timestamp, header.max_timestamp) == (START_MS, START_MS + 5)
    assert (header.record_count, header.last_offset_delta) == (5, 4)


@pytest.mark.parametrize("codec", CODECS)
def test_aiokafka_reads_what_was_built(codec: str) -> None:
    batch = build_batch(
        RECORDS, compression=codec, producer_id=9, producer_epoch=2, base_sequence=44
    )
    read = DefaultRecordBatch(batch)
    assert read.validate_crc()
    found = [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in read]
    assert found == [(r.offset, r.timestamp_ms, r.key, r.value, r.headers) for r in RECORDS]
    assert (read.producer_id, read.producer_epoch, read.base_sequence) == (9, 2, 44)


@pytest.mark.parametrize("codec", range(5))
def test_what_aiokafka_built_is_iterated(codec: int) -> None:
    builder = DefaultRecordBatchBuilder(2, codec, False, 9, 2, 44, 1 << 20)
    for record in RECORDS:
        headers = list(record.headers)
        builder.append(record.offset, record.timestamp_ms, record.key, record.value, headers)
    batch = bytes(builder.build())
    assert list(iterate_records(batch)) == RECORDS
    header = only_header(batch)
    assert (header.producer_id, header.producer_epoch) == (9, 2)
    assert (header.base_sequence, header.last_sequence) == (44, 48)


def test_fields_of_the_header() -> None:
    batch = build_batch(
        [(None, None)],
        base_offset=1 << 40,
        producer_id=1 << 50,
        producer_epoch=32767,
        base_sequence=2**31 - 1,
        transactional=True,
        control=True,
        timestamp_type=1,
        leader_epoch=12,
        timestamp_ms=START_MS,
    )
    header = only_header(batch)
    assert (header.base_offset, header.leader_epoch) == (1 << 40, 12)
    assert (header.producer_id, header.producer_epoch) == (1 << 50, 32767)
    assert header.base_sequence == 2**31 - 1
    assert header.is_transactional
    assert header.is_control
    assert header.is_log_append_time
    assert header.attributes == 0x38


def test_records_without_a_timestamp_get_the_given_one() -> None:
    items: list[RecordLike] = [
        (b"a", b"1"),
        (b"b", b"2", None),
        Record(value=b"3"),
        (b"d", b"4", 9, [("h", None)]),
    ]
    read = list(iterate_records(build_batch(items, timestamp_ms=START_MS)))
    assert [record.timestamp_ms for record in read] == [START_MS, START_MS, START_MS, 9]
    assert [record.offset for record in read] == [0, 1, 2, 3]
    assert read[3].headers == (("h", None),)
    assert next(iterate_records(build_batch([(b"a", b"1")]))).timestamp_ms == -1


def test_keys_and_values_may_be_any_bytes() -> None:
    batch = build_batch([(bytearray(b"k"), memoryview(b"value")[1:3], 1, [("h", bytearray(b"x"))])])
    assert list(iterate_records(batch)) == [Record(0, 1, b"k", b"al", (("h", b"x"),))]


@pytest.mark.parametrize(
    "wrong",
    [
        ("text", b"v"),
        (b"k", 3),
        (b"k",),
        (b"k", b"v", 1, (), 5),
        [b"k", b"v"],
        b"kv",
        (b"k", b"v", 1, [(b"name", b"v")]),
        (b"k", b"v", 1, [("name", "v")]),
    ],
)
def test_what_is_no_record_is_refused(wrong: RecordLike) -> None:
    with pytest.raises(TypeError):
        build_batch([(b"k", b"v"), wrong])


def test_a_batch_is_never_empty() -> None:
    with pytest.raises(ValueError, match="at least one record"):
        build_batch([])


def test_a_failing_iterable_leaves_nothing_behind() -> None:
    def broken() -> list[RecordLike]:
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        build_batch(item for item in [(b"k", b"v"), *broken()])


def test_thousands_of_records_are_one_batch() -> None:
    items: list[RecordLike] = [(b"%d" % n, b"v" * (n % 50), START_MS + n) for n in range(20_000)]
    read = list(iterate_records(build_batch(items, compression="lz4")))
    assert [(record.key, record.value, record.timestamp_ms) for record in read] == items
    assert read[-1].offset == 19_999


def test_header_names_that_are_not_utf8_survive() -> None:
    body = b"\x01\x01\x02" + b"\x04\xff\xfe" + b"\x01"
    batch = raw_batch(raw_record(0, body), count=1, last_offset_delta=0)
    (record,) = iterate_records(batch)
    assert record.headers == (("\udcff\udcfe", None),)
    assert batch[HEADER_SIZE:] == build_batch([(None, None, 1, record.headers)])[HEADER_SIZE:]


# --- the value -------------------------------------------------------------------------------


def test_a_record_is_a_value() -> None:
    record = RECORDS[3]
    assert record == Record(3, START_MS + 1, b"", b"", list(record.headers))
    assert hash(record) == hash(Record(3, START_MS + 1, b"", b"", record.headers))
    assert record != Record(4, START_MS + 1, b"", b"", record.headers)
    assert record != (3, START_MS + 1, b"", b"", record.headers)
    assert pickle.loads(pickle.dumps(record)) == copy.copy(record) == record
    assert repr(Record(1, 2, b"k", None)) == (
        "Record(offset=1, timestamp_ms=2, key=b'k', value=None, headers=())"
    )
    with pytest.raises(AttributeError):
        record.offset = 9  # type: ignore[misc]
    match record:
        case Record(offset, _, key, _, _):
            assert (offset, key) == (3, b"")


# --- what is read ----------------------------------------------------------------------------


def test_iteration_starts_at_an_offset_inside_a_batch() -> None:
    data = b"".join(
        build_batch([(b"%d" % (base + n), b"") for n in range(3)], base_offset=base)
        for base in (10, 13, 20)
    )
    read = list(iterate_records(data, from_offset=14))
    assert [record.offset for record in read] == [14, 15, 20, 21, 22]
    assert [record.key for record in read] == [b"14", b"15", b"20", b"21", b"22"]


def test_offsets_may_have_gaps_inside_a_compacted_batch() -> None:
    data = raw_record(0) + raw_record(3) + raw_record(7)
    read = list(iterate_records(raw_batch(data, count=3, last_offset_delta=9)))
    assert [record.offset for record in read] == [100, 103, 107]


def test_an_emptied_batch_has_no_records() -> None:
    assert list(iterate_records(raw_batch(b"", count=0, last_offset_delta=4))) == []


def test_log_append_time_counts_for_all_records() -> None:
    batch = build_batch([(b"a", b"", 5), (b"b", b"", 9), (b"c", b"", 7)], timestamp_type=1)
    assert [record.timestamp_ms for record in iterate_records(batch)] == [9, 9, 9]


@pytest.mark.parametrize("codec", CODECS)
def test_searching_by_timestamp(codec: str) -> None:
    stamps = [50, 40, 70, 60, 70]
    items: list[RecordLike] = [(b"", b"", stamp) for stamp in stamps]
    batch = build_batch(items, base_offset=10, compression=codec)
    header = only_header(batch)

    def search(timestamp_ms: int, from_offset: int = 0) -> tuple[int, int] | None:
        return find_record_by_timestamp(header, batch, timestamp_ms, from_offset=from_offset)

    assert search(0) == (50, 10)
    assert search(51) == (70, 12)
    assert search(51, from_offset=13) == (60, 13)
    assert search(70, from_offset=13) == (70, 14)
    assert search(71) is None
    assert search(0, from_offset=15) is None
    assert find_record_with_max_timestamp(header, batch) == (70, 12)


def test_searching_in_a_batch_of_a_longer_buffer() -> None:
    data = build_batch([(b"a", b"", 5)]) + build_batch([(b"b", b"", 6)], base_offset=1)
    second = check_batch(data, len(data) // 2)
    assert find_record_with_max_timestamp(second, data) == (6, 1)
    assert batch_records(second, data) == [Record(1, 6, b"b", b"")]
    with pytest.raises(IndexError):
        batch_records(second, data[:-1])


# --- what is damaged -------------------------------------------------------------------------


def expect_corrupt(batch: bytes, *reasons: str) -> None:
    """Every reader refuses the batch, in the same way."""
    readers: list[Callable[[BatchHeader], object]] = [
        lambda header: batch_records(header, batch),
        lambda header: find_record_by_timestamp(header, batch, START_MS, from_offset=1 << 50),
        lambda header: find_record_with_max_timestamp(header, batch),
    ]
    for reader in readers:
        with pytest.raises(KafkaError) as caught:
            reader(only_header(batch))
        assert caught.value.code == ErrorCode.CORRUPT_MESSAGE
        for reason in reasons:
            assert reason in caught.value.message


@pytest.mark.parametrize(
    ("data", "count", "last_delta", "reason"),
    [
        (raw_record(0), 2, 1, "too small for as many"),
        (raw_record(0), 2**31 - 1, 1, "too small for as many"),
        (raw_record(0), -1, 0, "too small for as many"),
        (raw_record(0) + raw_record(1), 1, 1, "bytes are left"),
        (raw_record(0) + b"\0", 1, 0, "bytes are left"),
        (b"junk", 0, 0, "bytes are left"),
        (raw_record(0) + raw_record(0), 2, 1, "offset does not rise"),
        (raw_record(1) + raw_record(0), 2, 1, "offset does not rise"),
        (raw_record(-1), 1, 0, "offset does not rise"),
        (raw_record(5), 1, 4, "or is not the batch's"),
        (raw_record(0)[:-1] + b"\x02", 1, 0, "malformed"),
        (varint(-2) + bytes(8), 1, 0, "malformed"),
        (varint(2**31 - 1) + bytes(8), 1, 0, "malformed"),
        (b"\xff" * 12, 1, 0, "malformed"),
        (raw_record(0, b"\x7ek\x02v\x00"), 1, 0, "malformed"),
        (raw_record(0, b"\x02k\x7ev\x00"), 1, 0, "malformed"),
        (raw_record(0, b"\x02k\x02v\x7e"), 1, 0, "malformed"),
        (raw_record(0, b"\x02k\x02v\x01"), 1, 0, "malformed"),
        (raw_record(0, b"\x02k\x02v\x02\x01\x01"), 1, 0, "malformed"),
        (raw_record(0, b"\x02k\x02v\x02\x02a\x7e"), 1, 0, "malformed"),
        (raw_record(0, b"\x02k\x02v\x00\x00"), 1, 0, "malformed"),
        (raw_record(0, b"\x02k\x02v"), 1, 0, "malformed"),
    ],
)
def test_records_that_are_not_sound(data: bytes, count: int, last_delta: int, reason: str) -> None:
    batch = raw_batch(data, count=count, last_offset_delta=last_delta)
    expect_corrupt(batch, reason, "offset 100")


def test_the_number_of_the_faulty_record_is_told() -> None:
    data = raw_record(0) + raw_record(1) + raw_record(2)[:-1] + b"\x02"
    expect_corrupt(raw_batch(data, count=3, last_offset_delta=2), "record 3 of 3")


def test_a_compressed_batch_that_does_not_decompress() -> None:
    expect_corrupt(raw_batch(b"no gzip here", count=1, last_offset_delta=0, attributes=1))


def test_an_unknown_codec() -> None:
    batch = raw_batch(raw_record(0), count=1, last_offset_delta=0, attributes=5)
    with pytest.raises(KafkaError) as caught:
        list(iterate_records(batch))
    assert caught.value.code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


def test_truncated_at_each_byte() -> None:
    batch = build_batch(RECORDS[:4])
    for size in range(1, len(batch)):
        with pytest.raises(KafkaError) as caught:
            list(iterate_records(batch[:size]))
        assert caught.value.code == ErrorCode.CORRUPT_MESSAGE
    assert list(iterate_records(b"")) == []


def test_each_checksummed_byte_flipped() -> None:
    batch = bytearray(build_batch(RECORDS[:4]))
    for position in range(8, len(batch)):
        if 12 <= position < 16:
            continue  # the leader epoch stands outside the CRC
        batch[position] ^= 0x10
        with pytest.raises(KafkaError):
            list(iterate_records(batch))
        batch[position] ^= 0x10


def test_no_flip_of_record_bytes_does_harm() -> None:
    """As above, but with the CRC made right again, as a hostile client would."""
    data = bytearray(build_batch(RECORDS[:4])[HEADER_SIZE:])
    outcomes = set()
    for position in range(len(data)):
        for bit in (0x01, 0x40, 0x80):
            data[position] ^= bit
            batch = raw_batch(bytes(data), count=4, last_offset_delta=3)
            try:
                outcomes.add(len(list(iterate_records(batch))))
            except KafkaError as error:
                outcomes.add(error.code)
            data[position] ^= bit
    assert outcomes == {4, ErrorCode.CORRUPT_MESSAGE}


@pytest.mark.parametrize("magic", [0, 1])
def test_old_formats_are_named_as_such(magic: int) -> None:
    message = struct.pack(">qiIbb", 0, 22, 0, magic, 0) + bytes(16)
    with pytest.raises(KafkaError, match="magic 0 or 1") as caught:
        list(iterate_records(message))
    assert caught.value.code == ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT


# --- control records -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ControlType.ABORT, ControlType.COMMIT])
def test_an_end_transaction_marker_is_78_bytes(kind: ControlType) -> None:
    marker = EndTransactionMarker(kind, 17)
    batch = build_end_transaction_marker(
        marker, producer_id=5, producer_epoch=1, timestamp_ms=START_MS, base_offset=44
    )
    assert len(batch) == 78
    header = only_header(batch)
    assert (header.attributes, header.base_sequence, header.max_timestamp) == (0x30, -1, START_MS)
    assert parse_end_transaction_marker(header, batch) == marker
    assert list(iterate_records(batch)) == []
    (record,) = iterate_records(batch, control=True)
    assert record.key == struct.pack(">hh", 0, kind)
    assert record.value == struct.pack(">hi", 0, 17)
    assert parse_control_type(record) is kind


def test_only_commit_and_abort_end_a_transaction() -> None:
    with pytest.raises(ValueError, match="LEADER_CHANGE"):
        build_end_transaction_marker(
            EndTransactionMarker(ControlType.LEADER_CHANGE, 1),
            producer_id=5,
            producer_epoch=1,
            timestamp_ms=0,
        )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, struct.pack(">hi", 0, 1)),
        (b"\0\0\0", struct.pack(">hi", 0, 1)),
        (struct.pack(">hh", -1, 0), struct.pack(">hi", 0, 1)),
        (struct.pack(">hh", 0, 2), struct.pack(">hi", 0, 1)),
        (struct.pack(">hh", 0, 99), struct.pack(">hi", 0, 1)),
        (struct.pack(">hh", 0, 0), None),
        (struct.pack(">hh", 0, 0), b"\0\0\0"),
        (struct.pack(">hh", 0, 0), struct.pack(">hi", -1, 1)),
    ],
)
def test_malformed_markers(key: bytes | None, value: bytes | None) -> None:
    batch = build_batch([(key, value)], control=True)
    with pytest.raises(KafkaError) as caught:
        parse_end_transaction_marker(only_header(batch), batch)
    assert caught.value.code == ErrorCode.CORRUPT_MESSAGE


def test_later_versions_of_markers_are_read_as_far_as_known() -> None:
    batch = build_batch(
        [(struct.pack(">hhq", 1, 1, 9), struct.pack(">hiq", 1, 3, 9))], control=True
    )
    marker = parse_end_transaction_marker(only_header(batch), batch)
    assert marker == EndTransactionMarker(ControlType.COMMIT, 3)


def test_a_marker_that_compaction_emptied() -> None:
    batch = raw_batch(b"", count=0, last_offset_delta=0, attributes=0x30)
    assert parse_end_transaction_marker(only_header(batch), batch) is None
