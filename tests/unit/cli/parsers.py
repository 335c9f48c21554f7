"""What commands read: lines of stdin, properties, plans of offsets, configs, times."""

from __future__ import annotations

from kstore.cli.config_words import parse_added
from kstore.cli.delete_records import parse_offsets
from kstore.cli.errors import CommandError
from kstore.cli.instants import parse_datetime_ms, parse_duration_ms
from kstore.cli.line_reader import LineReader
from kstore.cli.offset_plan import parse_plan
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
register(
    Parser(
        "plan of offsets in CSV",
        lambda data: parse_plan(data.decode("iso-8859-1").splitlines(), ["g"]),
        lambda: [b't,0,5\n"a,b",1,6\nh,t,0,7\n'],
        CommandError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "offsets of delete-records in JSON",
        lambda data: parse_offsets(data.decode("iso-8859-1")),
        lambda: [b'{"version": 1, "partitions": [{"topic": "t", "partition": 0, "offset": 5}]}'],
        CommandError,
        junk_is_error=False,
    )
)
register(
    Parser(
        "configs to add",
        lambda data: parse_added(data.decode("iso-8859-1")),
        lambda: [b"retention.ms=1,cleanup.policy=[compact,delete]"],
        CommandError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "date and time",
        lambda data: parse_datetime_ms(data.decode("iso-8859-1")),
        lambda: [b"2026-01-31T23:59:59.999+02:00", b"2026-01-31T23:59:59.0"],
        CommandError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "duration",
        lambda data: parse_duration_ms(data.decode("iso-8859-1")),
        lambda: [b"P1DT2H30M1.5S", b"-PT5M"],
        CommandError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
