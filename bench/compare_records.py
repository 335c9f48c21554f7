"""Our record batches against other people's code on the same bytes.

    python -m pytest bench/compare_records.py --benchmark-json=bench/results/records.json

Each figure is processor time, the median of many rounds, of `COUNT` records of about 100 bytes:
batches of 16 KB made from keys and values, the records of these batches read one by one ("records":
looked at no further; "fields": what columns hold, as two arrays and three lists), and the
same as columns. Judges: aiokafka's Cython and kafka-python. Small with KSTORE_BENCH_COUNT=100.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from aiokafka.record._crecords.default_records import (  # type: ignore[import-untyped]
    DefaultRecordBatchBuilder,
)
from aiokafka.record._crecords.memory_records import (  # type: ignore[import-untyped]
    MemoryRecords as AiokafkaRecords,
)
from kafka.record import MemoryRecords, MemoryRecordsBuilder  # type: ignore[import-untyped]

import kstore
from kstore._native.column_writer import BatchEncoder
from kstore._native.columns import ROW_COUNT, fill_table, survey
from kstore.configs import LogConfig
from kstore.log.columns import as_column
from kstore.log.log import Log
from kstore.log.records import build_batch, iterate_records

COUNT = int(os.environ.get("KSTORE_BENCH_COUNT", "100000"))
NOW_MS = 1_700_000_000_000
BATCH_SIZE = 16 << 10
KEYS = [b"key-%06d" % number for number in range(COUNT)]
VALUES = [b"%086d" % number for number in range(COUNT)]
PER_BATCH = 150
ROUNDS = 50 if COUNT > 1000 else 1


def kstore_batches() -> list[bytes]:
    return [
        build_batch(
            zip(
                KEYS[start : start + PER_BATCH],
                VALUES[start : start + PER_BATCH],
                strict=True,
            ),
            timestamp_ms=NOW_MS,
            base_offset=start,
        )
        for start in range(0, COUNT, PER_BATCH)
    ]


def kstore_lists() -> list[bytes]:
    encoder = BatchEncoder(
        COUNT,
        values=as_column(VALUES).buffers(),
        keys=as_column(KEYS).buffers(),
        timestamp_ms=NOW_MS,
    )
    batches = []
    while (made := encoder.next_batch(BATCH_SIZE)) is not None:
        batches.append(bytes(made[0]))
    return batches


def aiokafka_batches() -> list[bytes]:
    batches = []
    for start in range(0, COUNT, PER_BATCH):
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 2 * BATCH_SIZE)
        for index in range(start, min(start + PER_BATCH, COUNT)):
            builder.append(index - start, NOW_MS, KEYS[index], VALUES[index], [])
        batches.append(bytes(builder.build()))
    return batches


def kafka_python_batches() -> list[bytes]:
    batches = []
    for start in range(0, COUNT, PER_BATCH):
        builder = MemoryRecordsBuilder(2, 0, 2 * BATCH_SIZE)
        for index in range(start, min(start + PER_BATCH, COUNT)):
            builder.append(NOW_MS, KEYS[index], VALUES[index])
        builder.close()
        batches.append(bytes(builder.buffer()))
    return batches


DATA = b"".join(kstore_batches())


def kstore_records() -> int:
    return sum(1 for _ in iterate_records(DATA))


def kstore_read_columns() -> int:
    """Without a log around it: what `Log.read_columns` does with the bytes of 1 MB of batches."""
    found = position = 0
    view = memoryview(DATA)
    while position < len(DATA):
        data = bytes(view[position : position + (1 << 20)])
        size, count, _ = survey(data, 1 << 20, COUNT)
        table = np.empty((ROW_COUNT, count), np.int64)
        found += fill_table(data, size, 0, table)[0]
        position += size
    return found


def aiokafka_read() -> Iterator[Any]:
    batches = AiokafkaRecords(DATA)
    while batches.has_next():
        batch = batches.next_batch()
        assert batch.validate_crc()
        yield batch


def aiokafka_records() -> int:
    count = 0
    for batch in aiokafka_read():
        for _ in batch:
            count += 1
    return count


def aiokafka_fields() -> int:
    offsets, timestamps = [], []
    keys, values, headers = [], [], []
    for batch in aiokafka_read():
        for record in batch:
            offsets.append(record.offset)
            timestamps.append(record.timestamp)
            keys.append(record.key)
            values.append(record.value)
            headers.append(record.headers)
    return len(np.array([offsets, timestamps], np.int64).T)


def kafka_python_records() -> int:
    count = 0
    for batch in MemoryRecords(DATA):
        assert batch.validate_crc()
        for _ in batch:
            count += 1
    return count


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    directory = tmp_path_factory.mktemp("bench")
    with kstore.open(directory, config=LogConfig(segment_bytes=1 << 30)) as store:
        yield store.create("topic")


@pytest.mark.parametrize(
    "make", [kstore_batches, kstore_lists, aiokafka_batches, kafka_python_batches]
)
def test_make_batches(benchmark: Any, make: Callable[[], list[bytes]]) -> None:
    batches = benchmark(make)
    assert sum(1 for batch in batches for _ in iterate_records(batch)) == COUNT


@pytest.mark.parametrize(
    "read",
    [kstore_records, kstore_read_columns, aiokafka_records, aiokafka_fields, kafka_python_records],
)
def test_read_records(benchmark: Any, read: Callable[[], int]) -> None:
    assert benchmark(read) == COUNT


def test_read_log_as_columns(benchmark: Any, log: Log) -> None:
    """The whole way: from the files of a log to arrays."""
    log.truncate_to(0)
    for batch in kstore_batches():
        log.append(b"\0" * 8 + batch[8:], now_ms=NOW_MS)

    def read() -> int:
        offset = count = 0
        while offset < log.log_end_offset:
            columns = log.read_columns(offset)
            offset = columns.next_offset
            count += len(columns)
        return count

    assert benchmark(read) == COUNT


@pytest.mark.parametrize("kind", ["columns", "lists"])
def test_append_to_log(benchmark: Any, log: Log, kind: str) -> None:
    """The whole way: from arrays to a log whose pages were touched before."""
    values: Any = as_column(VALUES) if kind == "columns" else VALUES
    keys: Any = as_column(KEYS) if kind == "columns" else KEYS

    def append() -> None:
        log.append_columns(values, keys=keys, now_ms=NOW_MS)

    append()
    benchmark.pedantic(append, setup=lambda: log.truncate_to(0), rounds=ROUNDS)
    assert log.log_end_offset == COUNT
