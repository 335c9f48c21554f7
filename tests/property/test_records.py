"""Whatever records are put into a batch come out of it, and no bytes end in anything but a
KafkaError."""

from __future__ import annotations

import contextlib
import struct

import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from kstore.errors import KafkaError
from kstore.log.records import (
    Record,
    batch_records,
    batches,
    build_batch,
    find_record_by_timestamp,
    find_record_with_max_timestamp,
    iterate_records,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
BYTES = st.none() | st.binary(max_size=40)
HEADERS = st.lists(st.tuples(st.text(max_size=6), BYTES), max_size=3).map(tuple)
RECORDS = st.lists(
    st.builds(Record, st.just(-1), st.integers(0, 2**62), BYTES, BYTES, HEADERS),
    min_size=1,
    max_size=12,
)
CODECS = st.sampled_from(["none", "gzip", "snappy", "lz4", "zstd"])


@given(RECORDS, CODECS, st.integers(0, 2**62))
@settings(max_examples=150, deadline=None)
def test_what_goes_in_comes_out(records: list[Record], codec: str, base_offset: int) -> None:
    batch = build_batch(records, compression=codec, base_offset=base_offset)
    read = list(iterate_records(batch))
    assert [record.offset for record in read] == list(range(base_offset, base_offset + len(read)))
    assert [(r.timestamp_ms, r.key, r.value, r.headers) for r in read] == [
        (r.timestamp_ms, r.key, r.value, r.headers) for r in records
    ]
    assert build_batch(read, compression=codec, base_offset=base_offset) == batch


@given(RECORDS, st.integers(0, 2**62), st.integers(0, 14))
@settings(max_examples=100, deadline=None)
def test_searching_finds_what_iterating_finds(
    records: list[Record], timestamp_ms: int, from_offset: int
) -> None:
    batch = build_batch(records)
    (header,) = batches(batch)
    read = batch_records(header, batch)
    matching = (
        (record.timestamp_ms, record.offset)
        for record in read
        if record.timestamp_ms >= timestamp_ms and record.offset >= from_offset
    )
    found = find_record_by_timestamp(header, batch, timestamp_ms, from_offset=from_offset)
    assert found == next(matching, None)
    latest = max(read, key=lambda record: record.timestamp_ms)
    assert find_record_with_max_timestamp(header, batch) == (latest.timestamp_ms, latest.offset)


@given(
    st.binary(max_size=80),
    st.integers(-2, 20),
    st.integers(0, 20),
    INT64,
    st.integers(0, 7),
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_as_records(
    data: bytes, count: int, last_delta: int, base_timestamp: int, attributes: int
) -> None:
    checked = struct.pack(">hiqqqhii", attributes, last_delta, base_timestamp, 0, -1, -1, -1, count)
    checked += data
    batch = struct.pack(">qiib", 0, len(checked) + 9, 0, 2)
    batch += struct.pack(">I", crc32c.crc32c(checked)) + checked
    with contextlib.suppress(KafkaError):
        read = list(iterate_records(batch))
        assert len(read) == count
        assert all(-1 < record.offset <= last_delta for record in read)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_as_batches(data: bytes) -> None:
    with contextlib.suppress(KafkaError):
        assert list(iterate_records(data)) == [] or len(data) > 61
