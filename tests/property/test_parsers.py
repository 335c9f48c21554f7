"""Every parser meets damaged input: it ends in a value or in its one error, and stays small.

The parsers come from tests/support/parsers.py.
"""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.support.parsers import Parser, registered

PARSERS = registered()
JUNK = (b"\x00", b"\xff", b"\x01\x02\x03\x04")

MEMORY_LIMIT = 1 << 20
"""Bytes that reading a sample or a damaged form of it may take at its peak."""


@pytest.fixture(params=PARSERS, ids=lambda parser: parser.name)
def parser(request: pytest.FixtureRequest) -> Parser:
    found: Parser = request.param
    return found


def flipped(sample: bytes) -> Iterator[bytes]:
    """The sample with one byte changed: its lowest bit, its highest, all."""
    for index in range(len(sample)):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(sample)
            damaged[index] ^= mask
            yield bytes(damaged)


def test_whole(parser: Parser) -> None:
    samples = list(parser.samples())
    assert samples
    for sample in samples:
        parser.parse(sample)


def test_truncated(parser: Parser) -> None:
    for sample in parser.samples():
        for size in range(len(sample)):
            if parser.truncated_is_error:
                with pytest.raises(parser.error):
                    parser.parse(sample[:size])
            else:
                ends_well(parser, sample[:size])


def test_junk_behind(parser: Parser) -> None:
    for sample in parser.samples():
        for junk in JUNK:
            if parser.junk_is_error:
                with pytest.raises(parser.error):
                    parser.parse(sample + junk)
            else:
                ends_well(parser, sample + junk)


def test_flipped(parser: Parser) -> None:
    for sample in parser.samples():
        for damaged in flipped(sample):
            ends_well(parser, damaged)


def test_memory(parser: Parser) -> None:
    """A length that lies must not be believed before it was compared with the bytes there are."""
    for sample in parser.samples():
        parser.parse(sample)
        tracemalloc.start()
        try:
            for index in range(len(sample)):
                ends_well(parser, sample[:index] + b"\x7f" + sample[index + 1 :])
                ends_well(parser, sample[:index] + b"\xff\xff\xff\xff\x07" + sample[index + 5 :])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < MEMORY_LIMIT


def ends_well(parser: Parser, data: bytes) -> None:
    """Any other exception than the parser's own fails the test."""
    with contextlib.suppress(parser.error):
        parser.parse(data)
