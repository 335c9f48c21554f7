"""The file that says what `kstore delete-records` deletes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kstore.cli.delete_records import parse_offsets
from kstore.cli.main import main

ONE = {"topic": "t", "partition": 0, "offset": 5}


def test_offsets_of_partitions() -> None:
    text = json.dumps({"version": 1, "partitions": [ONE, {**ONE, "partition": 1, "offset": -1}]})
    assert parse_offsets(text) == {("t", 0): 5, ("t", 1): -1}
    assert parse_offsets('{"partitions": []}') == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "not JSON: Expecting property name"),
        ("[" * 100_000, "not JSON: "),
        ("[]", 'want {"version": 1, "partitions": [...]}'),
        ("{}", 'want {"version": 1, "partitions": [...]}'),
        ('{"version": 2, "partitions": []}', "version 2 is not known"),
        (json.dumps({"partitions": [ONE, ONE]}), "t-0 is named twice"),
        (json.dumps({"partitions": [{**ONE, "offset": "5"}]}), "want topic, partition and offset"),
        (json.dumps({"partitions": [{**ONE, "offset": 2**63}]}), "t-0 at 9223372036854775808 is"),
        (json.dumps({"partitions": [{**ONE, "partition": -1}]}), "t--1 at 5 is out of range"),
        (json.dumps({"partitions": [{"topic": "t"}]}), "want topic, partition and offset"),
    ],
)
def test_other_files_are_one_line(
    text: str, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "offsets.json"
    file.write_text(text)
    words = ("--bootstrap-server", "127.0.0.1:1", "--offset-json-file", str(file))
    assert main(["delete-records", *words]) == 2
    assert capsys.readouterr().err.startswith(f"kstore: {file}: {error}")
