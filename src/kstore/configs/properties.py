"""Java's `.properties` format, as in `server.properties`.

The grammar is that of `java.util.Properties.load`: comment lines start with `#` or `!`; a key ends
at the first unescaped `=`, `:` or blank; a backslash at the end of a line joins the next one to it;
`\\t`, `\\n`, `\\r`, `\\f` and `\\uXXXX` are escapes, any other escaped character stands for itself.
"""

from __future__ import annotations

import re

from kstore.configs.definitions import ConfigError

__all__ = ["parse_properties"]

_BLANKS = " \t\f"
_LINE_END = re.compile(r"\r\n|\n|\r")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse_properties(text: str) -> dict[str, str]:
    """The keys and values of a properties file; of a key that comes twice the later value.

    Java reads such files as ISO-8859-1; the caller decodes. ConfigError for a broken `\\uXXXX`.
    """
    properties: dict[str, str] = {}
    for line in _logical_lines(text):
        end = _key_end(line)
        rest = line[end:].lstrip(_BLANKS)
        if rest[:1] in ("=", ":"):
            rest = rest[1:].lstrip(_BLANKS)
        properties[_unescape(line[:end], line)] = _unescape(rest, line)
    return properties


def _logical_lines(text: str) -> list[str]:
    """Lines without comments and blank ones, with continued lines joined."""
    lines: list[str] = []
    joined: str | None = None
    for natural in _LINE_END.split(text):
        line = natural.lstrip(_BLANKS)
        if joined is None and (not line or line[0] in "#!"):
            continue
        backslashes = len(line) - len(line.rstrip("\\"))
        continued = backslashes % 2 == 1
        joined = (joined or "") + (line[:-1] if continued else line)
        if not continued:
            lines.append(joined)
            joined = None
    if joined:
        lines.append(joined)
    return lines


def _key_end(line: str) -> int:
    """Where the key ends: at the first separator that is not escaped."""
    position = 0
    while position < len(line):
        if line[position] == "\\":
            position += 2
            continue
        if line[position] in "=:" or line[position] in _BLANKS:
            return position
        position += 1
    return len(line)


def _unescape(text: str, line: str) -> str:
    def character(match: re.Match[str]) -> str:
        escaped = match[1]
        if len(escaped) == 5:
            return chr(int(escaped[1:], 16))
        if escaped == "u":
            raise ConfigError(line[: _key_end(line)], f"Malformed \\uxxxx encoding in {line!r}")
        return _CONTROLS.get(escaped, escaped)

    return _ESCAPE.sub(character, text)
