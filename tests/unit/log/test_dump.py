"""Dumps: of Kafka's own files the rows say what Kafka's DumpLogSegments says."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from kstore.errors import StoreError
from kstore.log.dump import Row, dump
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    build_batch,
    build_end_transaction_marker,
)

GOLDEN = Path(__file__).parents[2] / "golden"
DATA = GOLDEN / "kafka-4.3.1"


def option(value: int | None) -> str:
    return "OptionalLong.empty" if value is None else f"OptionalLong[{value}]"


def lower(value: bool) -> str:
    return str(value).lower()


def as_kafka_prints(row: Row) -> str:
    """A row in the words of DumpLogSegments 4.3.1."""
    if row["kind"] == "batch":
        return (
            f"baseOffset: {row['base_offset']} lastOffset: {row['last_offset']} "
            f"count: {row['count']} baseSequence: {row['base_sequence']} "
            f"lastSequence: {row['last_sequence']} producerId: {row['producer_id']} "
            f"producerEpoch: {row['producer_epoch']} "
            f"partitionLeaderEpoch: {row['partition_leader_epoch']} "
            f"isTransactional: {lower(row['is_transactional'])} "
            f"isControl: {lower(row['is_control'])} "
            f"deleteHorizonMs: {option(row['delete_horizon_ms'])} position: {row['position']} "
            f"{row['timestamp_type']}: {row['timestamp_ms']} size: {row['size']} "
            f"magic: {row['magic']} compresscodec: {row['compression']} crc: {row['crc']} "
            f"isvalid: {lower(row['is_valid'])}"
        )
    if row["kind"] == "record":
        control = ""
        if "control_type" in row:
            control = (
                f" endTxnMarker: {row['control_type']} coordinatorEpoch: {row['coordinator_epoch']}"
            )
        return (
            f"| offset: {row['offset']} {row['timestamp_type']}: {row['timestamp_ms']} "
            f"keySize: {row['key_size']} valueSize: {row['value_size']} "
            f"sequence: {row['sequence']} headerKeys: [{','.join(row['header_keys'])}]{control}"
        )
    if row["kind"] == "offset_entry":
        return f"offset: {row['offset']} position: {row['position']}"
    if row["kind"] == "time_entry":
        return f"timestamp: {row['timestamp_ms']} offset: {row['offset']}"
    if row["kind"] == "aborted_transaction":
        return (
            f"version: {row['version']} producerId: {row['producer_id']} "
            f"firstOffset: {row['first_offset']} lastOffset: {row['last_offset']} "
            f"lastStableOffset: {row['last_stable_offset']}"
        )
    assert row["kind"] == "producer", row
    batch = ""
    if row["last_offset"] is not None:
        batch = (
            f" firstSequence: {row['first_sequence']} lastSequence: {row['last_sequence']} "
            f"lastOffset: {row['last_offset']} offsetDelta: {row['offset_delta']} "
            f"timestamp: {row['last_timestamp_ms']}"
        )
    return (
        f"producerId: {row['producer_id']} producerEpoch: {row['producer_epoch']} "
        f"coordinatorEpoch: {row['coordinator_epoch']} "
        f"currentTxnFirstOffset: {option(row['current_txn_first_offset'])} "
        f"lastTimestamp: {row['last_timestamp_ms']}{batch}"
    )


def kafkas_dumps() -> Iterator[tuple[str, list[str]]]:
    """(file, lines) for each file in dump.txt."""
    lines = (GOLDEN / "dump.txt").read_text().splitlines()
    name = ""

    def section(line: str) -> str:
        nonlocal name
        if line.startswith("Dumping "):
            name = line.removeprefix("Dumping ")
        return name

    noise = ("Dumping ", "Log starting offset: ")
    for file, group in groupby(lines, key=section):
        yield (
            file,
            [line for line in group if not line.startswith(noise) and " is empty." not in line],
        )


def test_every_row_is_a_line_of_kafkas_tool() -> None:
    files = dict(kafkas_dumps())
    assert len(files) >= 25
    kinds = set()
    for file, lines in files.items():
        rows = list(dump(DATA / file, deep=True))
        assert [as_kafka_prints(row) for row in rows] == lines, file
        kinds |= {row["kind"] for row in rows}
    assert kinds == {
        "batch",
        "record",
        "offset_entry",
        "time_entry",
        "aborted_transaction",
        "producer",
    }


def test_the_small_files() -> None:
    rows = list(dump(str(DATA / "recovery-point-offset-checkpoint")))
    assert {"kind": "offset", "topic": "rolled", "partition": 0, "offset": 60} in rows
    rows = list(dump(DATA / "cleaner-offset-checkpoint"))
    assert rows == [{"kind": "offset", "topic": "compacted", "partition": 0, "offset": 36}]
    rows = list(dump(DATA / "rolled-0" / "leader-epoch-checkpoint"))
    assert rows == [{"kind": "epoch", "epoch": 0, "start_offset": 0}]
    (row,) = dump(DATA / "meta.properties")
    assert (row["cluster_id"], row["node_id"]) == ("5L6g3nShT-eMCtK--X86sw", 1)
    (row,) = dump(DATA / "rolled-0" / "partition.metadata")
    assert len(row["topic_id"]) == 22
    assert list(dump(DATA / "log-start-offset-checkpoint")) == []


def test_records_show_their_bytes() -> None:
    rows = list(dump(DATA / "codecs-0" / f"{0:020}.log", deep=True))
    records = [row for row in rows if row["kind"] == "record"]
    assert records[4]["value"] is None
    assert records[4]["headers"] == (("header0", b"h4"),)
    assert records[3]["key"] is None
    assert records[0]["key"] == b"key0"


def log_file(directory: Path, data: bytes) -> Path:
    path = directory / f"{0:020}.log"
    path.write_bytes(data)
    return path


def test_junk_ends_a_dump_with_a_fault(tmp_path: Path) -> None:
    batch = build_batch([(b"k", b"v")])
    for junk, reason in (
        (b"x" * 40, "magic"),
        (b"\0" * 100, "length"),
        (batch[:-1], "end inside"),
        (b"\0", "end inside"),
    ):
        rows = list(dump(log_file(tmp_path, batch + junk)))
        assert [row["kind"] for row in rows] == ["batch", "fault"]
        assert (rows[1]["position"], rows[1]["size"]) == (len(batch), len(junk))
        assert reason in rows[1]["reason"]


def test_a_batch_with_a_wrong_crc_is_shown_and_those_behind_it_too(tmp_path: Path) -> None:
    first = bytearray(build_batch([(b"k", b"v")]))
    first[-1] ^= 1
    second = build_batch([(b"k", b"v")], base_offset=1)
    rows = list(dump(log_file(tmp_path, bytes(first) + second), deep=True))
    assert [row["kind"] for row in rows] == ["batch", "batch", "record"]
    assert [row["is_valid"] for row in rows[:2]] == [False, True]
    assert rows[1]["position"] == len(first)


def test_large_batches_are_read_whole_and_damaged_ones_are_not(tmp_path: Path) -> None:
    large = build_batch([(b"k", bytes(3 << 20))], base_offset=1)
    small = build_batch([(b"k", b"v")])
    path = log_file(tmp_path, small + large + small)
    rows = list(dump(path, deep=True))
    assert [row["kind"] for row in rows] == ["batch", "record"] * 3
    assert rows[3]["value_size"] == 3 << 20
    damaged = bytearray(large)
    damaged[-5] ^= 1
    rows = list(dump(log_file(tmp_path, small + damaged + small), deep=True))
    assert [row.get("is_valid") for row in rows] == [True, None, False, True, None]
    claims = bytearray(large)
    struct.pack_into(">i", claims, 8, len(large) + 100)
    rows = list(dump(log_file(tmp_path, small + claims)))
    assert [row["kind"] for row in rows] == ["batch", "fault"]


def test_batches_across_the_pieces_that_a_file_is_read_in(tmp_path: Path) -> None:
    data = b"".join(
        build_batch([(b"%d" % n, bytes(1000 + n % 77))], base_offset=n) for n in range(2500)
    )
    rows = list(dump(log_file(tmp_path, data)))
    assert [row["base_offset"] for row in rows] == list(range(2500))
    assert all(row["is_valid"] for row in rows)
    position = 0
    for row in rows:
        assert row["position"] == position
        position += row["size"]
    assert position == len(data)


def test_records_that_make_no_sense_are_a_fault_of_the_batch(tmp_path: Path) -> None:
    marker = EndTransactionMarker(ControlType.COMMIT, 4)
    good = build_end_transaction_marker(marker, producer_id=1, producer_epoch=0, timestamp_ms=5)
    bad = build_batch([(b"no key of control", b"")], base_offset=1, control=True)
    rows = list(dump(log_file(tmp_path, good + bad), deep=True))
    assert [row["kind"] for row in rows] == ["batch", "record", "batch", "record"]
    assert (rows[1]["control_type"], rows[1]["coordinator_epoch"]) == ("COMMIT", 4)
    assert rows[3]["control_type"] == "UNKNOWN"
    short = build_batch([(b"k", b"")], base_offset=1, control=True)
    rows = list(dump(log_file(tmp_path, short), deep=True))
    assert [row["kind"] for row in rows] == ["batch", "fault"]
    assert "key is too short" in rows[1]["reason"]


def test_an_index_that_was_not_closed_ends_in_zeros(tmp_path: Path) -> None:
    offsets = tmp_path / f"{100:020}.index"
    offsets.write_bytes(struct.pack(">iiii", 5, 0, 9, 4200) + bytes(8 * 5000))
    assert [(row["offset"], row["position"]) for row in dump(offsets)] == [(105, 0), (109, 4200)]
    times = tmp_path / f"{100:020}.timeindex"
    times.write_bytes(struct.pack(">qi", 77, 5) + bytes(12 * 5000))
    assert [(row["timestamp_ms"], row["offset"]) for row in dump(times)] == [(77, 105)]


def test_an_index_of_many_entries_and_a_ragged_end(tmp_path: Path) -> None:
    offsets = tmp_path / f"{0:020}.index"
    data = b"".join(struct.pack(">ii", n + 1, n * 10) for n in range(10_000))
    offsets.write_bytes(data + b"abc")
    *rows, fault = dump(offsets)
    assert [row["offset"] for row in rows] == list(range(1, 10_001))
    assert (fault["kind"], fault["position"], fault["size"]) == ("fault", len(data), 3)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (f"{5:020}.snapshot", b"\0\1junk that is no snapshot"),
        ("leader-epoch-checkpoint", b"0\n2\n0 0\n"),
        ("replication-offset-checkpoint", b"0\n1\ntopic zero 5\n"),
        ("partition.metadata", b"version: 0\n"),
        ("meta.properties", b"version=9\n"),
        ("meta.properties", b"\xff\xfe"),
    ],
)
def test_malformed_small_files_are_a_fault(tmp_path: Path, name: str, data: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    (fault,) = dump(path)
    assert (fault["kind"], fault["position"], fault["size"]) == ("fault", 0, len(data))
    assert fault["reason"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("hello")
    with pytest.raises(StoreError, match="no file of a log"):
        list(dump(other))
    for missing in (f"{0:020}.log", f"{0:020}.index", "meta.properties"):
        with pytest.raises(StoreError, match=missing):
            list(dump(tmp_path / missing))
