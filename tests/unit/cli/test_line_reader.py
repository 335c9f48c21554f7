"""Lines of the console producer: found in a stream, and read as records."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kstore.cli import line_reader
from kstore.cli.errors import CallError, CommandError
from kstore.cli.line_reader import LineReader, ParsedLine, read_lines


def lines_of(chunks: Sequence[bytes]) -> list[bytes]:
    """The lines of a stream that comes in these chunks, each taken before the next is written."""
    reading, writing = os.pipe()
    waiting = list(chunks)

    def write_next() -> None:
        nonlocal writing
        if waiting:
            os.write(writing, waiting.pop(0))
        elif writing >= 0:
            os.close(writing)
            writing = -1

    try:
        return list(read_lines(reading, write_next, idle_s=0))
    finally:
        os.close(reading)


def test_lines_end_as_java_ends_them() -> None:
    assert lines_of([b"a\nb\r\nc\rd"]) == [b"a", b"b", b"c", b"d"]
    assert lines_of([b"\n\n"]) == [b"", b""]
    assert lines_of([]) == []


@given(st.lists(st.text("ab\r\n", min_size=1, max_size=4).map(str.encode), max_size=6))
def test_how_a_stream_is_cut_does_not_matter(chunks: list[bytes]) -> None:
    assert lines_of(chunks) == b"".join(chunks).splitlines()


def test_a_line_is_given_before_the_stream_ends() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"first\nsec")
        lines = read_lines(reading, lambda: None)
        assert next(lines) == b"first"
        os.write(writing, b"ond\r")
        assert next(lines) == b"second"
    finally:
        os.close(writing)
        os.close(reading)


def test_idle_is_called_while_nothing_comes() -> None:
    reading, writing = os.pipe()
    called = threading.Event()

    def idle() -> None:
        if not called.is_set():
            called.set()
            os.close(writing)

    try:
        assert list(read_lines(reading, idle, idle_s=0.001)) == []
    finally:
        os.close(reading)
    assert called.is_set()


def test_a_line_without_end_is_not_gathered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_reader, "MAX_LINE_SIZE", 10)
    with pytest.raises(CommandError, match="longer than 10 bytes"):
        lines_of([b"ten bytes.", b"and one"])


def test_a_line_is_a_value_by_default() -> None:
    assert LineReader({}).parse(b"a\tb", 1) == ParsedLine(None, b"a\tb", [])
    assert LineReader({}).parse(b"", 1) == ParsedLine(None, b"", [])


def test_a_line_may_hold_headers_and_a_key() -> None:
    reader = LineReader({"parse.key": "true", "parse.headers": "TRUE "})
    assert reader.parse(b"h0:v0,h1:v1\tkey\tvalue\tmore", 1) == ParsedLine(
        b"key", b"value\tmore", [("h0", b"v0"), ("h1", b"v1")]
    )


def test_the_separators_may_be_set() -> None:
    reader = LineReader(
        {
            "parse.key": "true",
            "parse.headers": "true",
            "key.separator": "->",
            "headers.delimiter": "!!",
            "headers.separator": "[&|]",
            "headers.key.separator": "==",
        }
    )
    assert reader.parse(b"a==1&b==2|c==!!k->v", 1) == ParsedLine(
        b"k", b"v", [("a", b"1"), ("b", b"2"), ("c", b"")]
    )


def test_what_equals_the_null_marker_is_null() -> None:
    reader = LineReader({"parse.key": "true", "parse.headers": "true", "null.marker": "NULL"})
    assert reader.parse(b"NULL\tNULL\tNULL", 1) == ParsedLine(None, None, [])
    assert reader.parse(b"h:NULL\tk\tNULLs", 1) == ParsedLine(b"k", b"NULLs", [("h", None)])
    with pytest.raises(CommandError, match="header key on line number 4"):
        reader.parse(b"NULL:v\tk\tv", 4)


@pytest.mark.parametrize(
    ("properties", "line", "error"),
    [
        ({"parse.key": "true"}, b"none", "no key separator found on line number 7: 'none'"),
        ({"parse.headers": "true"}, b"none", "no headers delimiter found on line number 7: 'none'"),
        ({"parse.headers": "true"}, b"h\tv", "no header key separator found in pair 'h'"),
    ],
)
def test_a_missing_separator_is_an_error_unless_ignored(
    properties: dict[str, str], line: bytes, error: str
) -> None:
    with pytest.raises(CommandError, match=error):
        LineReader(properties).parse(line, 7)
    forgiven = LineReader({**properties, "ignore.error": "true"}).parse(line, 7)
    if line == b"none":
        assert forgiven == ParsedLine(None, b"none", [])
    else:
        assert forgiven == ParsedLine(None, b"v", [("h", None)])


@pytest.mark.parametrize(
    "properties",
    [
        {"headers.delimiter": ","},
        {"headers.key.separator": ","},
        {"headers.delimiter": ":"},
        {"null.marker": "\t"},
        {"null.marker": ":"},
        {"key.separator": ""},
        {"headers.separator": "("},
    ],
)
def test_separators_that_can_not_be_told_apart_are_refused(properties: dict[str, str]) -> None:
    with pytest.raises(CallError):
        LineReader(properties)


def test_bytes_that_are_not_utf_8_stay_as_they_are() -> None:
    assert LineReader({"parse.key": "true"}).parse(b"\xff\t\xfe", 1) == ParsedLine(
        b"\xff", b"\xfe", []
    )
