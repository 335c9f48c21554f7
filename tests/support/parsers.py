"""The registry of parsers: everything that reads bytes which somebody else wrote.

A room puts its parsers into a file `parsers.py` beside its unit tests, which calls `register` when
imported, once per format:

    register(Parser("checkpoint", parse_checkpoint, lambda: [b"0\\n0\\n"], CorruptLogError))

tests/property/test_parsers.py imports all such files and treats every parser alike: its samples
whole, truncated at each byte, each byte flipped, and with junk behind.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Parser", "register", "registered"]

TESTS = Path(__file__).parent.parent


@dataclass(frozen=True)
class Parser:
    """One format: how to read it, whole samples of it, and the one error for all other bytes."""

    name: str
    parse: Callable[[bytes], object]
    samples: Callable[[], Iterable[bytes]]
    """Makes valid inputs, a few hundred bytes each; every byte costs about ten calls of `parse`."""
    error: type[Exception]
    truncated_is_error: bool = True
    """Whether each proper prefix of a sample must fail; else it may also yield a value."""
    junk_is_error: bool = True
    """Whether bytes behind a sample must fail; else it may also yield a value."""


_parsers: dict[str, Parser] = {}


def register(parser: Parser) -> None:
    """Adds a parser to those that the suite runs over; names are unique."""
    if parser.name in _parsers:
        raise ValueError(f"there are two parsers of the name {parser.name}")
    _parsers[parser.name] = parser


def registered() -> list[Parser]:
    """All parsers of all rooms."""
    for path in sorted(TESTS.rglob("parsers.py")):
        if path.parent.name != "support":
            importlib.import_module(".".join(path.relative_to(TESTS.parent).with_suffix("").parts))
    return list(_parsers.values())
