"""What commands read: lines of stdin, and the properties of clients."""

from __future__ import annotations

from kstore.cli.errors import CommandError
from kstore.cli.line_reader import LineReader
from kstore.cli.properties import client_settings
from kstore.configs.properties import parse_properties
from tests.support.parsers import Parser, register

LINES = LineReader({"parse.key": "true", "parse.headers": "true", "null.marker": "NULL"})
CLIENT_PROPERTIES = b"""\
auto.offset.reset=none
partition.assignment.strategy=org.RangeAssignor, x.StickyAssignor
sasl.jaas.config=PlainLoginModule required username="u" password="p";
"""

register(
    Parser(
        "line of the console producer",
        lambda data: LINES.parse(data, 1),
        lambda: ["a:1,größe:NULL\tkey\tvalue".encode(), b"NULL\tNULL\tNULL"],
        CommandError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "properties of a client",
        lambda data: client_settings(parse_properties(data.decode("iso-8859-1"))),
        lambda: [CLIENT_PROPERTIES],
        ValueError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
