"""Columns against the records of the same log, and against other people's readers."""

from __future__ import annotations

import numpy as np
import pytest
from aiokafka.record._crecords.default_records import (  # type: ignore[import-untyped]
    DefaultRecordBatch,
)
from kafka.record import MemoryRecords  # type: ignore[import-untyped]

from kstore._native.columns import fill_table, survey
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Origin
from kstore.log.columns import BinaryColumn, Columns
from kstore.log.log import Log
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    Record,
    build_batch,
    build_end_transaction_marker,
)
from kstore.log.store import Store
from tests.support.logs import NOW_MS, altered, batch, make_log

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
RECORDS: list[tuple[bytes | None, bytes | None, int, list[tuple[str, bytes | None]]]] = [
    (b"key", b"value", NOW_MS, []),
    (None, b"", NOW_MS + 300, [("name", b"x"), ("", None)]),
    (b"", None, NOW_MS - 70_000, []),
    (b"k" * 70, b"v" * 20_000, NOW_MS, [("long", b"y" * 200)]),
]


def as_records(columns: Columns) -> list[Record]:
    return [
        Record(
            int(columns.offsets[index]),
            int(columns.timestamps_ms[index]),
            columns.keys[index],
            columns.values[index],
            columns.headers(index),
        )
        for index in range(len(columns))
    ]


def read_all(
    log: Log, offset: int = 0, *, max_size: int = 1 << 20, max_count: int | None = None
) -> list[Record]:
    """All records from `offset` on, by as many reads as that takes."""
    records = []
    while offset < log.log_end_offset:
        columns = log.read_columns(offset, max_size=max_size, max_count=max_count)
        assert columns.next_offset > offset
        assert max_count is None or len(columns) <= max_count
        records += as_records(columns)
        offset = columns.next_offset
    return records


@pytest.fixture
def mixed(store: Store) -> Log:
    """Batches of every codec, with markers between them, over several segments."""
    log = make_log(store, segment_bytes=30_000)
    for codec in CODECS * 2:
        log.append(build_batch(RECORDS, compression=codec), now_ms=NOW_MS)
        log.append(marker(), now_ms=NOW_MS, origin=Origin.COORDINATOR)
        log.append(batch(b"small", b"batch"), now_ms=NOW_MS)
    assert len(log.segments) > 1
    return log


def marker() -> bytes:
    return build_end_transaction_marker(
        EndTransactionMarker(ControlType.COMMIT, 0),
        producer_id=7,
        producer_epoch=0,
        timestamp_ms=NOW_MS,
    )


@pytest.mark.parametrize("max_size", [1, 300, 25_000, 1 << 20])
def test_columns_hold_what_iterating_gives(mixed: Log, max_size: int) -> None:
    expected = list(mixed.records())
    assert read_all(mixed, max_size=max_size) == expected
    assert read_all(mixed, max_size=max_size, max_count=1) == expected
    assert read_all(mixed, max_size=max_size, max_count=3) == expected
    for offset in range(mixed.log_end_offset):
        columns = mixed.read_columns(offset, max_size=max_size)
        assert as_records(columns) == [
            record for record in expected if offset <= record.offset < columns.next_offset
        ]


def test_a_read_takes_many_batches_at_once(store: Store) -> None:
    log = make_log(store)
    for _ in range(50):
        log.append(batch(b"a", b"b"), now_ms=NOW_MS)
    columns = log.read_columns(3)
    assert columns.offsets.tolist() == list(range(3, 100))
    assert columns.next_offset == 100
    assert {array.dtype for array in (columns.offsets, columns.values.sizes)} == {np.dtype("i8")}


def test_the_end_of_the_log_is_empty_and_what_is_not_there_an_error(store: Store) -> None:
    log = make_log(store)
    for end in (0, 1):
        columns = log.read_columns(end)
        assert (len(columns), columns.next_offset) == (0, end)
        log.append(batch(), now_ms=NOW_MS)
    for offset in (-1, 3):
        with pytest.raises(KafkaError) as raised:
            log.read_columns(offset)
        assert raised.value.code == ErrorCode.OFFSET_OUT_OF_RANGE
    with pytest.raises(ValueError, match="room"):
        log.read_columns(0, max_count=0)


def test_log_append_time(store: Store) -> None:
    log = make_log(store, message_timestamp_type="LogAppendTime")
    log.append(batch(b"a", b"b", timestamp_ms=5), now_ms=NOW_MS)
    assert log.read_columns(0).timestamps_ms.tolist() == [NOW_MS] * 2


def test_a_binary_column() -> None:
    column = BinaryColumn(b"abcdef", np.array([4, 0, 0, 2]), np.array([2, 3, -1, 0]))
    assert column.to_list() == [b"ef", b"abc", None, b""]
    assert [column[index] for index in range(len(column))] == column.to_list()
    assert column.take(column.sizes > 0).to_list() == [b"ef", b"abc"]
    assert column.take(slice(2, None)).to_list() == [None, b""]


@pytest.mark.parametrize("codec", CODECS)
def test_other_readers_of_the_same_bytes(store: Store, codec: str) -> None:
    log = make_log(store)
    log.append(build_batch(RECORDS, compression=codec), now_ms=NOW_MS)
    found = log.read(0, 1 << 20, upto_offset=log.log_end_offset)
    assert found is not None
    data = found.read()
    columns = log.read_columns(0)
    read = [
        list(DefaultRecordBatch(bytearray(data))),
        [record for batch in MemoryRecords(data) for record in batch],
    ]
    for judged in read:
        assert columns.offsets.tolist() == [record.offset for record in judged]
        assert columns.timestamps_ms.tolist() == [record.timestamp for record in judged]
        assert columns.keys.to_list() == [record.key for record in judged]
        assert columns.values.to_list() == [record.value for record in judged]
        assert [columns.headers(index) for index in range(len(columns))] == [
            tuple(record.headers) for record in judged
        ]


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_damage_shows_where_it_begins(store: Store, codec: str) -> None:
    log = make_log(store)
    sound = build_batch(RECORDS, compression=codec)
    log.append(sound, now_ms=NOW_MS)
    log.append(sound, now_ms=NOW_MS)
    with log.segments.active.path.open("r+b") as file:
        file.seek(log.size - 1)
        last = file.read(1)[0]
        file.seek(log.size - 1)
        file.write(bytes([last ^ 0xFF]))
    columns = log.read_columns(0)
    assert columns.next_offset == 4
    assert columns.values.to_list() == [value for _, value, _, _ in RECORDS]
    with pytest.raises(KafkaError, match="CRC") as raised:
        log.read_columns(4)
    assert raised.value.code == ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize(
    "changes",
    [
        {"record_count": 5},
        {"record_count": 3},
        {"record_count": -1},
        {"record_count": 2**31 - 1},
        {"last_offset_delta": 2},
        {"last_offset_delta": -1},
        {"base_offset": 2**63 - 3},
    ],
)
def test_a_batch_that_lies_about_itself(changes: dict[str, int]) -> None:
    sound = build_batch(RECORDS)
    table = np.zeros((8, 8), np.int64)
    follower = altered(build_batch(RECORDS, base_offset=4), **changes)
    assert fill_table(sound + follower, len(sound + follower), 0, table) == (4, 4)
    with pytest.raises(KafkaError) as raised:
        fill_table(follower, len(follower), 0, table)
    assert raised.value.code == ErrorCode.CORRUPT_MESSAGE


def test_offsets_that_go_back_are_no_columns() -> None:
    twice = build_batch(RECORDS) * 2
    table = np.zeros((8, 8), np.int64)
    assert fill_table(twice, len(twice), 0, table) == (4, 4)


def test_a_table_is_never_filled_beyond_its_end() -> None:
    data = build_batch(RECORDS)
    table = np.full((8, 5), -7, np.int64)
    assert fill_table(data, len(data), 1, table[:, :0].copy()) == (0, 1)
    assert fill_table(data, len(data), 1, table[:, :2].copy()) == (2, 3)
    assert survey(data, 1, 1) == (len(data), 4, False)
    with pytest.raises(IndexError):
        fill_table(data, len(data) + 1, 0, table)
