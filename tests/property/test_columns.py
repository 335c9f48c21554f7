"""Whatever lies in a log, columns hold what iterating gives, and no bytes end in anything but a
KafkaError."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import crc32c
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kstore._native.column_writer import BatchEncoder, pack_headers
from kstore._native.columns import ROW_COUNT, fill_table, survey
from kstore.errors import KafkaError
from kstore.log.columns import BinaryColumn, as_column
from kstore.log.records import Record, build_batch, iterate_records
from tests.property.test_records import CODECS, INT64, RECORDS
from tests.support.logs import NOW_MS, make_log, open_store
from tests.unit.log.test_columns import read_all


@given(
    st.lists(st.tuples(RECORDS, CODECS), min_size=1, max_size=6),
    st.integers(1, 2000),
    st.integers(1, 40),
    st.integers(0, 10),
)
@settings(max_examples=40, deadline=None)
def test_columns_against_iterating(
    batches: list[tuple[list[Record], str]], max_size: int, max_count: int, offset: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, open_store(Path(directory) / "data") as store:
        log = make_log(store, message_timestamp_after_max_ms=2**63 - 1)
        for records, codec in batches:
            log.append(build_batch(records, compression=codec), now_ms=NOW_MS)
        offset = min(offset, log.log_end_offset)
        expected = list(log.records(offset))
        assert read_all(log, offset, max_size=max_size, max_count=max_count) == expected


@given(RECORDS, st.integers(0, 2**62), st.integers(62, 400))
@settings(max_examples=150, deadline=None)
def test_columns_make_the_batches_that_records_make(
    records: list[Record], timestamp_ms: int, max_size: int
) -> None:
    headers = np.empty((2, len(records)), np.int64)
    packed = pack_headers([record.headers for record in records], headers)
    encoder = BatchEncoder(
        len(records),
        values=as_column([record.value for record in records]).buffers(),
        keys=as_column([record.key for record in records]).buffers(),
        headers=(packed, headers[0], headers[1]),
        timestamps=np.array([record.timestamp_ms for record in records]),
        timestamp_ms=timestamp_ms,
    )
    while (made := encoder.next_batch(max_size)) is not None:
        batch, header = made
        own, records = records[: header.record_count], records[header.record_count :]
        assert header.size <= max_size or len(own) == 1
        assert bytes(batch) == build_batch(own, timestamp_ms=timestamp_ms)
    assert records == []


@given(
    st.binary(max_size=80) | st.lists(st.sampled_from([0, 2, 1, 14, 128]), max_size=60).map(bytes),
    st.integers(-2, 20),
    st.integers(0, 20),
    INT64,
    st.sampled_from([0, 8, 0x20]),
    st.integers(0, 2**63 - 1),
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_as_records(
    data: bytes,
    count: int,
    last_delta: int,
    base_timestamp: int,
    attributes: int,
    base_offset: int,
) -> None:
    checked = struct.pack(">hiqqqhii", attributes, last_delta, base_timestamp, 0, -1, -1, -1, count)
    checked += data
    batch = struct.pack(">qiib", base_offset, len(checked) + 9, 0, 2)
    batch += struct.pack(">I", crc32c.crc32c(checked)) + checked
    try:
        expected: list[Record] | None = list(iterate_records(batch))
    except KafkaError:
        expected = None
    size, surveyed, _ = survey(batch, 1, 100)
    table = np.zeros((ROW_COUNT, surveyed), np.int64)
    try:
        found, _ = fill_table(batch, size, base_offset, table)
    except KafkaError:
        assert expected is None or base_offset > 2**63 - 2 - last_delta
        return
    assert expected is not None
    assert table[0, :found].tolist() == [record.offset for record in expected]
    assert table[1, :found].tolist() == [record.timestamp_ms for record in expected]
    for row, name in ((2, "key"), (4, "value")):
        column = BinaryColumn(batch, table[row, :found], table[row + 1, :found])
        assert column.to_list() == [getattr(record, name) for record in expected]
    assert table[7, :found].tolist() == [len(record.headers) for record in expected]
