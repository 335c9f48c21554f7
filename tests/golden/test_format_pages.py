"""docs/formats: the bytes in each page are those of a golden file, and mean what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from kstore._native.batch import check_batch
from kstore.log.dump import dump
from kstore.log.records import batch_records

GOLDEN = Path(__file__).parent
PAGES = GOLDEN.parents[1] / "docs" / "formats"
DATA = GOLDEN / "kafka-4.3.1"
ROLLED = DATA / "rolled-0"


def example(page: str) -> tuple[bytes, list[dict[str, int]], str]:
    """The bytes of a page's example, its `name = value` pairs line by line, and all its notes."""
    text = (PAGES / page).read_text()
    (block,) = re.findall(r"```hex\n(.*?)```", text, flags=re.DOTALL)
    data = bytearray()
    fields = []
    notes = []
    for line in block.splitlines():
        digits, note = re.fullmatch(r"((?:[0-9a-f]{2} +)+) *(.*)", line).groups()  # type: ignore[union-attr]
        data += bytes.fromhex(digits)
        notes.append(note)
        if pairs := re.findall(r"(\w+) = (-?\d+)", note):
            fields.append({name: int(value) for name, value in pairs})
    return bytes(data), fields, "\n".join(notes)


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
