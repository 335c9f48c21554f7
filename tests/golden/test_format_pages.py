"""docs/formats: the bytes in each page are those of a golden file, and mean what it says."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from kstore._native.batch import check_batch
from kstore.coordinator.records import (
    GroupMetadata,
    GroupMetadataRecord,
    OffsetCommit,
    OffsetCommitRecord,
    StoredMember,
)
from kstore.coordinator.transaction_records import (
    Transaction,
    TransactionRecord,
    TransactionState,
)
from kstore.log import names
from kstore.log.dump import dump
from kstore.log.properties import (
    CLEAN_SHUTDOWN_TEXT,
    MetaProperties,
    parse_partition_metadata,
)
from kstore.log.records import batch_records
from kstore.metadata import layout
from kstore.metadata.image import PartitionImage, TopicImage
from kstore.metadata.sqlite_nodes import NodeTable
from kstore.metadata.tree import Create

GOLDEN = Path(__file__).parent
PAGES = GOLDEN.parents[1] / "docs" / "formats"
DATA = GOLDEN / "kafka-4.3.1"
ROLLED = DATA / "rolled-0"


def examples(page: str) -> list[tuple[bytes, list[dict[str, int]], str]]:
    """Of each example of a page the bytes, the `name = value` pairs line by line, and all notes."""
    text = (PAGES / page).read_text()
    found = []
    for block in re.findall(r"```hex\n(.*?)```", text, flags=re.DOTALL):
        data = bytearray()
        fields = []
        notes = []
        for line in block.splitlines():
            digits, note = re.fullmatch(r"((?:[0-9a-f]{2} +)+) *(.*)", line).groups()  # type: ignore[union-attr]
            data += bytes.fromhex(digits)
            notes.append(note)
            if pairs := re.findall(r"(\w+) = (-?\d+)", note):
                fields.append({name: int(value) for name, value in pairs})
        found.append((bytes(data), fields, "\n".join(notes)))
    return found


def example(page: str) -> tuple[bytes, list[dict[str, int]], str]:
    (only,) = examples(page)
    return only


def merged(fields: list[dict[str, int]]) -> dict[str, int]:
    return {name: value for line in fields for name, value in line.items()}


def rows(path: Path) -> list[dict[str, Any]]:
    return [{**row, "kind": None} for row in dump(path)]


def test_the_record_batch() -> None:
    data, fields, notes = example("record-batch.md")
    assert (ROLLED / f"{21:020}.log").read_bytes()[170:270] == data
    header = check_batch(data)
    stated = merged(fields)
    assert stated.pop("length") == len(data) - 12
    assert len(stated) == 12
    assert {name: getattr(header, name) for name in stated} == stated
    (record,) = batch_records(header, data)
    assert record.headers == (("header0", b"h23"), ("header1", None))
    for text in (record.key, record.value, b"header0", b"h23", b"header1"):
        assert text is not None
        assert f'{len(text)} bytes, "{text.decode()}"' in notes


@pytest.mark.parametrize(
    ("page", "file", "count"),
    [("offset-index.md", ".index", 3), ("time-index.md", ".timeindex", 2)],
)
def test_the_indexes(page: str, file: str, count: int) -> None:
    data, fields, _ = example(page)
    path = ROLLED / f"{21:020}{file}"
    assert path.read_bytes().startswith(data)
    assert [{**stated, "kind": None} for stated in fields] == rows(path)[:count]


def test_the_producer_snapshot() -> None:
    data, fields, _ = example("producer-snapshot.md")
    path = ROLLED / f"{42:020}.snapshot"
    assert path.read_bytes() == data
    stated = merged(fields)
    assert (stated.pop("version"), stated.pop("count")) == (1, 1)
    assert stated.pop("crc") == int.from_bytes(data[2:6], "big")
    assert stated.pop("current_txn_first_offset") == -1
    (row,) = dump(path)
    assert row["current_txn_first_offset"] is None
    assert {name: row[name] for name in stated} == stated
    assert len(stated) == 7


def test_the_transaction_index() -> None:
    data, fields, _ = example("transaction-index.md")
    path = DATA / "transactions-0" / f"{2:020}.txnindex"
    assert path.read_bytes().startswith(data)
    assert {**merged(fields), "kind": None} == rows(path)[0]


def test_the_checkpoints() -> None:
    data, _, notes = example("checkpoints.md")
    assert (ROLLED / "leader-epoch-checkpoint").read_bytes() == data
    assert notes + "\n" == data.decode()
    page = (PAGES / "checkpoints.md").read_text()
    text = (DATA / "replication-offset-checkpoint").read_text()
    assert f"```text\n{text}```" in page


def test_every_page_is_in_the_list() -> None:
    listed = set(
        re.findall(r"^\| \[[^\]]+\]\(([a-z.-]+\.md)\)", (PAGES / "README.md").read_text(), re.M)
    )
    assert listed == {path.name for path in PAGES.glob("*.md")} - {"README.md"}
    for page in listed:
        assert examples(page), page


def test_the_partition_metadata() -> None:
    data, _, notes = example("partition-metadata.md")
    assert (ROLLED / "partition.metadata").read_bytes() == data
    lines = notes.splitlines()
    assert data.decode() == f"{lines[0]}\n{lines[1]} {lines[2]}{lines[3]}"
    assert str(parse_partition_metadata(data)) in (PAGES / "partition-metadata.md").read_text()


def test_the_properties_of_a_data_directory() -> None:
    data, _, _ = example("meta-properties.md")
    assert (DATA / "meta.properties").read_bytes() == data
    MetaProperties.parse(data)
    page = (PAGES / "meta-properties.md").read_text()
    assert f"`{CLEAN_SHUTDOWN_TEXT.decode()}`" in page


def test_the_names() -> None:
    data, _, notes = example("names.md")
    assert data.decode() == notes.replace("\n", "")
    assert names.parse_file(data.decode()) == (21, names.LOG, names.SWAP)
    page = (PAGES / "names.md").read_text()
    for mark in ("delete", "future", "stray"):
        assert f"| `-{mark}` |" in page
        parsed = names.parse_directory(f"orders-7.{uuid.uuid4().hex}-{mark}")
        assert parsed == ("orders", 7, mark)
    for suffix in (names.DELETED, names.CLEANED, names.SWAP, ".tmp"):
        assert f"| `{suffix}` |" in page


def test_the_metadata_tree(tmp_path: Path) -> None:
    topic_id = parse_partition_metadata((ROLLED / "partition.metadata").read_bytes())
    partition = PartitionImage(index=0, leader=1, leader_epoch=0, replicas=(1,), isr=(1,))
    configs = {"retention.ms": "86400000"}
    topic = TopicImage("orders", topic_id, (partition,), configs, internal=False)
    file = tmp_path / "kstore-metadata.sqlite"
    table = NodeTable(file)
    table.begin()
    table.apply([*map(Create, layout.ROOTS), *layout.create_topic(topic, controller_epoch=1)])
    table.commit()
    nodes = [f"{node.path} {node.data.decode()}".strip() for node in table.walk("/")]
    table.close()

    data, fields, _ = example("metadata-tree.md")
    assert file.read_bytes()[56:72] == data
    stated = [int.from_bytes(data[start : start + 4], "big") for start in range(0, 16, 4)]
    assert list(merged(fields).values()) == stated
    page = (PAGES / "metadata-tree.md").read_text()
    (block,) = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)
    assert sorted(block.splitlines()) == sorted(node for node in nodes if "orders" in node)


def test_the_records_of_groups() -> None:
    committed, generation = examples("consumer-offsets.md")
    topic_id = parse_partition_metadata((ROLLED / "partition.metadata").read_bytes())
    stated = merged(committed[1])
    offset = OffsetCommit(
        stated["offset"],
        stated["leader_epoch"],
        commit_timestamp_ms=stated["commit_timestamp_ms"],
        topic_id=topic_id,
    )
    key, value = OffsetCommitRecord("billing", "orders", stated["partition"], offset).encode()
    assert key + (value or b"") == committed[0]
    assert str(topic_id) in committed[2]
    stated = merged(generation[1])
    member = StoredMember(
        member_id="c-1",
        instance_id=None,
        client_id="c",
        client_host="/127.0.0.1",
        rebalance_timeout_ms=stated["rebalance_timeout_ms"],
        session_timeout_ms=stated["session_timeout_ms"],
        subscription=b"\1\2",
        assignment=b"\3",
    )
    group = GroupMetadata(
        "consumer", stated["generation"], "range", "c-1", stated["state_timestamp_ms"], (member,)
    )
    key, value = GroupMetadataRecord("billing", group).encode()
    assert key + (value or b"") == generation[0]
    check_notes(committed[2], "billing", "orders", "")
    check_notes(generation[2], "billing", "consumer", "range", "c-1", "c", "/127.0.0.1")


def check_notes(notes: str, *texts: str) -> None:
    """The texts that the notes show are these."""
    assert set(re.findall(r': "([^"]*)"', notes)) == set(texts)


def test_the_records_of_transactions() -> None:
    data, fields, notes = example("transaction-state.md")
    stated = merged(fields)
    transaction = Transaction(
        stated["producer_id"],
        stated["producer_epoch"],
        stated["timeout_ms"],
        TransactionState(stated["state"]),
        frozenset({("orders", 0), ("orders", 1)}),
        update_ms=stated["update_ms"],
        start_ms=stated["start_ms"],
        client_version=stated["client_version"],
    )
    key, value = TransactionRecord("payments", transaction).encode()
    assert key + (value or b"") == data
    check_notes(notes, "payments", "orders")
