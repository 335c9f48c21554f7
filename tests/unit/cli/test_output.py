"""Tables for people, columns for pipes, JSON for programs."""

from __future__ import annotations

import json

import pytest

from kstore.cli import output
from kstore.cli.output import Column, cell, json_rows, plain_table, print_json, print_table

COLUMNS = (Column("topic", "TOPIC", 8), Column("partition", "PARTITION"), Column("lag", "LAG"))
ROWS = [
    {"topic": "vehicle-positions", "partition": 0, "lag": None},
    {"topic": "[red]t[/red]", "partition": 11, "lag": 5},
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        ("", ""),
        ([1, 2], "1,2"),
        ({"b": [2], "a": [0, 1]}, "a:0,1;b:2"),
        ({}, "-"),
    ],
)
def test_values_in_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_plain_columns_are_padded_and_never_wrapped() -> None:
    assert list(plain_table(COLUMNS, ROWS)) == [
        "TOPIC             PARTITION LAG",
        "vehicle-positions 0         -",
        "[red]t[/red]      11        5",
    ]
    assert list(plain_table(COLUMNS, [])) == ["TOPIC    PARTITION LAG"]


def test_a_pipe_gets_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == list(plain_table(COLUMNS, ROWS))


def test_a_terminal_gets_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "for_people", lambda: True)
    print_table(COLUMNS, ROWS)
    drawn = capsys.readouterr().out
    assert "───" in drawn
    for text in ("TOPIC", "vehicle-positions", "[red]t[/red]", "11"):
        assert text in drawn


def test_json_is_one_list_with_a_row_on_each_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(ROWS)
    text = capsys.readouterr().out
    assert json.loads(text) == ROWS
    assert text.count("\n") == len(ROWS)
    print_json([])
    assert capsys.readouterr().out == "[]\n"


def test_rows_of_json_are_written_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    with json_rows() as write:
        write({"a": 1})
        assert capsys.readouterr().out == '[{"a": 1}'
    assert capsys.readouterr().out == "]\n"
