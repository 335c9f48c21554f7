"""Lines of stdin as records: Kafka's `LineMessageReader`, for `kstore console-producer`.

A line is `headers<TAB>key<TAB>value`, each of the first two only if asked for, with separators that
properties set. Lines end as in Java: by newline, carriage return, or both. Bytes stay what they
are; Kafka's reader replaces those that are not UTF-8.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kstore.cli.errors import CallError, CommandError

__all__ = ["LineReader", "ParsedLine", "read_lines"]

# A line beyond this is no record that a broker would take; without a limit a stream without
# newlines would fill the memory.
MAX_LINE_SIZE = 256 * 1024 * 1024

_CHUNK_SIZE = 256 * 1024

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """What one line says: a record without its topic."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class LineReader:
    """Parses lines by the properties of Kafka's reader (`parse.key`, `key.separator`, ...)."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        """Raises `CallError` if two separators are the same, as Kafka does."""
        self._parse_key = _is_true(properties, "parse.key")
        self._parse_headers = _is_true(properties, "parse.headers")
        self._ignore_error = _is_true(properties, "ignore.error")
        separators = {
            "key.separator": properties.get("key.separator", "\t"),
            "headers.delimiter": properties.get("headers.delimiter", "\t"),
            "headers.separator": properties.get("headers.separator", ","),
            "headers.key.separator": properties.get("headers.key.separator", ":"),
        }
        marker = properties.get("null.marker")
        _check_separators(separators, marker)
        self._key_separator = separators["key.separator"].encode()
        self._headers_delimiter = separators["headers.delimiter"].encode()
        self._header_key_separator = separators["headers.key.separator"].encode()
        self._null_marker = None if marker is None else marker.encode()
        try:
            self._headers_separator = re.compile(separators["headers.separator"].encode())
        except re.error as error:
            raise CallError(f"headers.separator is no regular expression: {error}") from None

    def parse(self, line: bytes, number: int) -> ParsedLine:
        """The record that a line stands for; `number` names the line in errors.

        Raises `CommandError` if a separator is missing and errors are not ignored.
        """
        position = 0
        header_text = key = None
        if self._parse_headers:
            header_text, position = self._field(
                line, position, self._headers_delimiter, "headers delimiter", number
            )
        if self._parse_key:
            key, position = self._field(
                line, position, self._key_separator, "key separator", number
            )
        headers: Headers = []
        if header_text is not None and header_text != self._null_marker:
            headers = [self._header(pair, number) for pair in self._split(header_text)]
        return ParsedLine(self._unmarked(key), self._unmarked(line[position:]), headers)

    def _field(
        self, line: bytes, start: int, separator: bytes, name: str, number: int
    ) -> tuple[bytes | None, int]:
        """The field at `start` up to its separator, and where the next one starts."""
        end = line.find(separator, start)
        if end >= 0:
            return line[start:end], end + len(separator)
        if self._ignore_error:
            return None, start
        raise CommandError(f"no {name} found on line number {number}: '{_shown(line)}'")

    def _split(self, headers: bytes) -> list[bytes]:
        pairs: list[bytes] = self._headers_separator.split(headers)
        while len(pairs) > 1 and not pairs[-1]:  # Java's split drops empty ends
            pairs.pop()
        return pairs

    def _header(self, pair: bytes, number: int) -> tuple[str, bytes | None]:
        name, separator, value = pair.partition(self._header_key_separator)
        if not separator:
            if not self._ignore_error:
                raise CommandError(
                    f"no header key separator found in pair '{_shown(pair)}' on line number"
                    f" {number}"
                )
            return _shown(pair), None
        if name == self._null_marker:
            raise CommandError(f"a header key on line number {number} is the null marker")
        return _shown(name), self._unmarked(value)

    def _unmarked(self, text: bytes | None) -> bytes | None:
        return None if text == self._null_marker else text


def _check_separators(separators: Mapping[str, str], marker: str | None) -> None:
    headers = [name for name in separators if name != "key.separator"]
    for index, name in enumerate(headers):
        for other in headers[index + 1 :]:
            if separators[name] == separators[other]:
                raise CallError(f"{name} and {other} may not be equal")
    for name, separator in separators.items():
        if separator == marker:
            raise CallError(f"null.marker and {name} may not be equal")
        if not separator:
            raise CallError(f"{name} may not be empty")


def _is_true(properties: Mapping[str, str], name: str) -> bool:
    return properties.get(name, "").strip().lower() == "true"


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "replace")


def read_lines(file: int, idle: Callable[[], None], *, idle_s: float = 0.2) -> Iterator[bytes]:
    """The lines of file descriptor `file` to its end, without their line ends.

    While nothing comes, `idle` is called every `idle_s` seconds. One line is held in memory, not
    the stream. Raises `CommandError` for a line that is too long.
    """
    begun: list[bytes] = []
    size = 0
    after_return = False
    while chunk := _next_chunk(file, idle, idle_s):
        if after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]  # the second half of a line end that two reads have split
        after_return = chunk.endswith(b"\r")
        for line in chunk.splitlines(keepends=True):
            ended = line.rstrip(b"\r\n")
            if len(ended) == len(line):
                begun.append(line)
                size += len(line)
                if size > MAX_LINE_SIZE:
                    raise CommandError(f"a line is longer than {MAX_LINE_SIZE} bytes")
                continue
            begun.append(ended)
            yield b"".join(begun)
            begun.clear()
            size = 0
    if begun:
        yield b"".join(begun)


def _next_chunk(file: int, idle: Callable[[], None], idle_s: float) -> bytes:
    while not select.select([file], [], [], idle_s)[0]:
        idle()
    return os.read(file, _CHUNK_SIZE)
