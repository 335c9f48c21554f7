"""What commands print: tables for people, plain columns for pipes, JSON rows for programs.

A row is a mapping from column key (the column's name in snake case) to a value. On a terminal rows
become a rich table; anywhere else they become columns padded with spaces, as Kafka's tools print
them, never coloured or wrapped; `--json` gives one list with a row on each line.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

__all__ = [
    "Column",
    "cell",
    "discard_stdout",
    "for_people",
    "json_bytes",
    "json_rows",
    "plain_table",
    "print_json",
    "print_table",
]

MISSING = "-"

Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column: the key of its values in a row, its heading, its least width in plain columns."""

    key: str
    heading: str
    width: int = 0


def for_people() -> bool:
    """Whether stdout is a terminal, so that tables may be drawn and coloured."""
    return sys.stdout.isatty()


def cell(value: Any) -> str:
    """A value as text of a table: nothing is `-`, partitions by topic are `a:0,1;b:2`."""
    if value is None:
        return MISSING
    if isinstance(value, Mapping):
        text = ";".join(f"{name}:{cell(value[name])}" for name in sorted(value))
        return text or MISSING
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)


def print_table(columns: Sequence[Column], rows: Sequence[Row]) -> None:
    """Prints rows: as a rich table on a terminal, as plain columns elsewhere."""
    if not for_people():
        print("\n".join(plain_table(columns, rows)))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        values = [row[column.key] for row in rows if row[column.key] is not None]
        numbers = bool(values) and all(isinstance(value, int) for value in values)
        table.add_column(column.heading, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row[column.key])) for column in columns))
    Console(highlight=False).print(table)


def plain_table(columns: Sequence[Column], rows: Sequence[Row]) -> Iterator[str]:
    """Lines of a table whose columns are padded with spaces; the last column is not padded."""
    lines = [[column.heading for column in columns]]
    lines += [[cell(row[column.key]) for column in columns] for row in rows]
    widths = [
        max(column.width, *(len(line[index]) for line in lines))
        for index, column in enumerate(columns)
    ]
    for line in lines:
        yield " ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def print_json(rows: Iterable[Row]) -> None:
    """Prints rows as one JSON list, a row on each line."""
    with json_rows() as write:
        for row in rows:
            write(row)


@contextmanager
def json_rows() -> Iterator[Callable[[Row], None]]:
    """Gives a function that prints one row of a JSON list; the list is closed at the end.

    For rows that are made one by one: a long list is never held in memory.
    """
    separator = "["

    def write(row: Row) -> None:
        nonlocal separator
        sys.stdout.write(separator + json.dumps(dict(row), ensure_ascii=False, default=str))
        separator = ",\n "

    yield write
    sys.stdout.write("[]\n" if separator == "[" else "]\n")


def json_bytes(name: str, data: bytes | None) -> dict[str, str | None]:
    """Bytes under a key of a JSON row: as text, or in base64 if they are not UTF-8."""
    try:
        return {name: None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data or b"").decode()}


def discard_stdout() -> None:
    """Points stdout at nothing, once its reader has gone.

    Else the interpreter would try at its end to write what is still buffered, and complain.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
