"""Times and durations as Kafka's tools take them."""

from __future__ import annotations

import pytest

from kstore.cli.errors import CallError
from kstore.cli.instants import parse_datetime_ms, parse_duration_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00.000", 0),
        ("1970-01-01T00:00:01.5", 1005),  # Java counts these digits as milliseconds
        ("2026-01-31T23:59:59.999", 1769903999999),
        ("2026-01-31T23:59:59.999Z", 1769903999999),
        ("2026-02-01T01:59:59.999+02:00", 1769903999999),
        ("2026-02-01T01:59:59.999+0200", 1769903999999),
        ("2026-01-31T20:29:59.999-03:30", 1769903999999),
        ("2026-02-01T01:59:59.999+02", 1769903999999),
        ("1969-12-31T23:59:59.999", -1),
    ],
)
def test_times(text: str, ms: int) -> None:
    assert parse_datetime_ms(text) == ms


@pytest.mark.parametrize(
    "text", ["", "2026-01-31", "2026-01-31T10:00", "2026-02-30T10:00:00.000", "now"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(CallError):
        parse_datetime_ms(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("P1D", 86_400_000),
        ("PT90S", 90_000),
        ("P1DT2H30M", 95_400_000),
        ("pt0.25s", 250),
        ("PT-0.25S", -250),
        ("PT1M-1S", 59_000),
        ("-PT1H", -3_600_000),
    ],
)
def test_durations(text: str, ms: int) -> None:
    assert parse_duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "5m", "P1Y", "PT1D"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(CallError):
        parse_duration_ms(text)
