"""What is appended as columns is there as records, byte for byte as other builders write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kstore._native.batch import walk
from kstore._native.column_writer import BatchEncoder, gather, pack, pack_headers
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import InvalidRecordError
from kstore.log.columns import BinaryColumn, as_column
from kstore.log.log import Log
from kstore.log.records import Record, build_batch, iterate_records
from kstore.log.store import Store
from tests.support.logs import NOW_MS, batch, make_log, values

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
KEYS = [b"key", None, b"", b"k" * 70]
VALUES = [b"value", b"", None, b"v" * 20_000]
TIMES = [NOW_MS, NOW_MS + 300, -1, NOW_MS - 70_000]
HEADERS: list[Any] = [None, [("name", b"x"), ("", None)], [], [("long", b"y" * 200)]]


def bytes_of(log: Log) -> bytes:
    found = log.read(0, 1 << 30, upto_offset=log.log_end_offset)
    assert found is not None
    return found.read()


@pytest.mark.parametrize("codec", CODECS)
def test_columns_are_appended_as_records_are(store: Store, codec: str) -> None:
    one, other = store.create("one"), store.create("other")
    appended = one.append_columns(
        VALUES,
        keys=KEYS,
        timestamps_ms=np.array(TIMES),
        headers=HEADERS,
        compression=codec,
        now_ms=NOW_MS,
    )
    rows = zip(KEYS, VALUES, TIMES, ([*(h or ())] for h in HEADERS), strict=True)
    assert other.append_records(rows, compression=codec, now_ms=NOW_MS) == appended
    assert bytes_of(one) == bytes_of(other)


def test_batches_are_as_large_as_they_may_be(store: Store) -> None:
    log = make_log(store)
    log.append(batch(), now_ms=NOW_MS)
    column = [b"%04d" % number for number in range(1000)] + [b"x" * 3000, b"y"]
    appended = log.append_columns(column, batch_size=1000, now_ms=NOW_MS)
    assert (appended.base_offset, appended.last_offset) == (1, 1002)
    headers = list(log.batches(1))
    assert sum(header.size for header in headers) == appended.size
    assert all(900 < header.size <= 1000 for header in headers[:-3])
    assert [header.record_count for header in headers[-2:]] == [1, 1]
    assert values(log, 1) == column


@pytest.mark.parametrize("codec", ["none", "lz4"])
def test_what_was_read_can_be_appended(store: Store, codec: str) -> None:
    log = make_log(store)
    log.append_columns(VALUES * 3, keys=KEYS * 3, compression=codec, now_ms=NOW_MS)
    columns = log.read_columns(2)
    chosen = columns.values.sizes != 0
    copy = store.create("copy")
    copy.append_columns(
        columns.values.take(chosen),
        keys=columns.keys.take(chosen),
        timestamps_ms=columns.timestamps_ms[chosen],
    )
    expected = [record for record in log.records(2) if record.value != b""]
    assert [(r.timestamp_ms, r.key, r.value) for r in copy.records()] == [
        (r.timestamp_ms, r.key, r.value) for r in expected
    ]


def test_arrays_of_numpy() -> None:
    numbers = np.array([1.5, -2.0], ">f8")
    assert as_column(numbers).to_list() == [numbers[:1].tobytes(), numbers[1:].tobytes()]
    assert as_column(np.array([b"a", b"", b"abc"])).to_list() == [b"a", b"", b"abc"]
    assert as_column(np.array([b"a", None], object)).to_list() == [b"a", None]
    rows = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert as_column(rows).to_list() == [b"\0\1\2", b"\3\4\5"]
    assert as_column(rows[:, ::2]).to_list() == [b"\0\2", b"\3\5"]
    assert as_column(np.zeros(0)).to_list() == []
    column = as_column([b"abc", None])
    assert as_column(column) is column
    wrong: list[Any] = [np.array(["text"]), np.array(1), ["text"], [1]]
    for one in wrong:
        with pytest.raises(TypeError):
            as_column(one)


def test_columns_that_do_not_fit(store: Store) -> None:
    log = make_log(store)
    wrong: list[tuple[Any, dict[str, Any], type[Exception]]] = [
        ([], {}, ValueError),
        ([b"a"], {"keys": []}, ValueError),
        ([b"a"], {"timestamps_ms": [1, 2]}, ValueError),
        ([b"a"], {"timestamps_ms": [1.5]}, TypeError),
        ([b"a"], {"headers": [None, None]}, ValueError),
        ([b"a"], {"headers": [[(b"name", b"")]]}, TypeError),
        ([b"a"], {"compression": "brotli"}, KafkaError),
        (BinaryColumn(b"abc", np.array([1]), np.array([3])), {}, ValueError),
        (BinaryColumn(b"abc", np.array([-1]), np.array([1])), {}, ValueError),
        (BinaryColumn(b"abc", np.array([0]), np.array([2**62])), {}, ValueError),
        (BinaryColumn(b"abc", np.array([2**63 - 1]), np.array([2])), {}, ValueError),
        (BinaryColumn(b"abc", np.array([], int), np.array([1])), {}, ValueError),
    ]
    for column, options, error in wrong:
        with pytest.raises(error):
            log.append_columns(column, **options)
    assert log.log_end_offset == 0


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({"cleanup_policy": ("compact",)}, {"keys": [b"k", b"k", None]}),
        ({"message_timestamp_before_max_ms": 10}, {"timestamps_ms": [NOW_MS] * 2 + [NOW_MS - 11]}),
        ({"message_timestamp_after_max_ms": 10}, {"timestamps_ms": [NOW_MS] * 2 + [NOW_MS + 11]}),
    ],
)
def test_a_log_refuses_what_it_refuses_of_others(
    store: Store, config: dict[str, Any], refused: dict[str, Any]
) -> None:
    log = make_log(store, **config)
    with pytest.raises(InvalidRecordError):
        log.append_columns([b"value"] * 3, now_ms=NOW_MS, **refused)
    assert log.log_end_offset == 0
    with pytest.raises(InvalidRecordError):
        log.append_columns([b"value"] * 3, now_ms=NOW_MS, batch_size=1, **refused)
    assert log.log_end_offset == 2  # each record was a batch, and the first two were sound


def test_a_record_that_is_too_large(store: Store) -> None:
    log = make_log(store, max_message_bytes=1000)
    log.append_columns([b"x" * 300] * 9, now_ms=NOW_MS)
    assert all(header.size <= 1000 for header in log.batches())
    with pytest.raises(KafkaError) as raised:
        log.append_columns([b"x" * 1000])
    assert raised.value.code == ErrorCode.MESSAGE_TOO_LARGE


def test_log_append_time(store: Store) -> None:
    log = make_log(store, message_timestamp_type="LogAppendTime")
    appended = log.append_columns([b"a"], timestamps_ms=[5], now_ms=NOW_MS)
    assert appended.log_append_time_ms == NOW_MS
    assert [record.timestamp_ms for record in log.records()] == [NOW_MS]


def test_batches_other_builders_would_make() -> None:
    encoder = BatchEncoder(4, values=as_column(VALUES).buffers(), timestamp_ms=NOW_MS)
    made = encoder.next_batch(1 << 20)
    assert made is not None
    data, header = made
    assert bytes(data) == build_batch([(None, value) for value in VALUES], timestamp_ms=NOW_MS)
    (read,) = walk(data)
    assert (read.size, read.crc, read.record_count) == (header.size, header.crc, 4)
    assert encoder.next_batch(1 << 20) is None


@pytest.mark.parametrize("size", [0, 1, 61, 62, 100])
def test_no_batch_is_smaller_than_a_record(size: int) -> None:
    encoder = BatchEncoder(2, values=as_column([b"x" * 50, b""]).buffers())
    batches = []
    while (made := encoder.next_batch(size)) is not None:
        batches.append(bytes(made[0]))
    assert [list(iterate_records(one)) for one in batches] == [
        [Record(0, -1, None, b"x" * 50)],
        [Record(0, -1, None, b"")],
    ]


@pytest.mark.parametrize("work", [pack, pack_headers])
def test_a_table_has_room_for_each_item(work: Callable[..., bytes]) -> None:
    for count in (1, 3):
        with pytest.raises(ValueError, match="items"):
            work([None, None], np.empty((2, count), np.int64))


def test_the_layout_of_arrow() -> None:
    data = bytearray(b"..abc...de")
    column = BinaryColumn(data, np.array([8, 0, 2, 1]), np.array([2, -1, 3, 0]))
    validity, offsets, packed = column.arrow_buffers()
    assert offsets.tolist() == [0, 2, 2, 5, 5]
    assert packed.tobytes() == b"deabc"
    assert validity is not None
    assert validity.tolist() == [0b1101]
    assert column.take(column.sizes >= 0).arrow_buffers()[0] is None
    empty, offsets, packed = column.take(slice(0)).arrow_buffers()
    assert (empty, offsets.tolist(), packed.tolist()) == (None, [0], [])
    with pytest.raises(ValueError, match="string 1"):
        BinaryColumn(b"abc", np.array([0, 3]), np.array([1, 1])).arrow_buffers()
    with pytest.raises(ValueError, match="target"):
        gather(column.buffers(), 4, bytearray(6))
