"""Files that Apache Kafka 4.3.1 wrote (see make.py): read here as Kafka's consumer read them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kstore.log.check import check
from kstore.log.dump import dump
from kstore.log.records import Record, batch_records, batches, iterate_records
from kstore.log.store import Store

HERE = Path(__file__).parent
DATA = HERE / "kafka-4.3.1"
PARTITIONS = ["append-time-0", "codecs-0", "compacted-0", "rolled-0", "transactions-0"]
EXPECTED: dict[str, list[dict[str, Any]]] = json.loads((HERE / "expected.json").read_text())


def unhex(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def expected(partition: str) -> list[Record]:
    return [
        Record(
            row["offset"],
            row["timestamp_ms"],
            unhex(row["key"]),
            unhex(row["value"]),
            [(name, unhex(value)) for name, value in row["headers"]],
        )
        for row in EXPECTED[partition]
    ]


def segments(partition: str) -> list[Path]:
    return sorted((DATA / partition).glob("*.log"))


def test_the_expectations_are_of_all_partitions() -> None:
    assert sorted(EXPECTED) == PARTITIONS
    assert sum(map(len, EXPECTED.values())) > 150
    assert [len(segments(partition)) for partition in PARTITIONS] == [1, 1, 2, 3, 2]


@pytest.mark.parametrize("partition", PARTITIONS)
def test_iterating_yields_what_kafkas_consumer_read(partition: str) -> None:
    data = b"".join(path.read_bytes() for path in segments(partition))
    assert list(iterate_records(data)) == expected(partition)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_dumping_shows_what_kafkas_consumer_read(partition: str) -> None:
    rows = [row for path in segments(partition) for row in dump(path, deep=True)]
    records = [
        Record(row["offset"], row["timestamp_ms"], row["key"], row["value"], row["headers"])
        for row in rows
        if row["kind"] == "record" and "control_type" not in row
    ]
    assert records == expected(partition)


def test_every_codec_and_every_kind_of_batch_is_among_them() -> None:
    headers = [
        (header, batch_records(header, data))
        for partition in PARTITIONS
        for path in segments(partition)
        for data in [path.read_bytes()]
        for header in batches(data)
    ]
    assert {header.codec for header, _ in headers} == {0, 1, 2, 3, 4}
    assert any(header.is_log_append_time for header, _ in headers)
    assert any(header.is_transactional and not header.is_control for header, _ in headers)
    assert any(header.is_control for header, _ in headers)
    assert any(header.has_delete_horizon for header, _ in headers)
    assert any(header.record_count == 0 for header, _ in headers)
    assert any(len(records) <= header.last_offset_delta for header, records in headers)


def test_the_directory_is_sound() -> None:
    assert check(DATA) == []


def test_kstore_goes_on_where_kafka_stopped(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(DATA, tmp_path / "data"))
    with Store.open(directory) as store:
        assert store.clean_start
        assert store.cluster_id == "5L6g3nShT-eMCtK--X86sw"
        for partition in PARTITIONS:
            topic = partition.removesuffix("-0")
            log = store.logs[topic, 0]
            assert list(log.records()) == expected(partition)
            end_offset = log.log_end_offset
            log.append_records([(b"from", b"kstore")])
            (record,) = log.records(end_offset)
            assert (record.offset, record.value) == (end_offset, b"kstore")
    assert check(directory) == []


def test_kstore_recovers_what_kafka_wrote(tmp_path: Path) -> None:
    """Without the mark of a clean stop everything is built again: it is the same."""
    directory = Path(shutil.copytree(DATA, tmp_path / "data"))
    (directory / ".kafka_cleanshutdown").unlink()
    for name in ("recovery-point-offset-checkpoint", "rolled-0/00000000000000000021.index"):
        (directory / name).unlink()
    with Store.open(directory) as store:
        for partition in PARTITIONS:
            log = store.logs[partition.removesuffix("-0"), 0]
            assert log.faults == []
            assert list(log.records()) == expected(partition)
    assert check(directory) == []
