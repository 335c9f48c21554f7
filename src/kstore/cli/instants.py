"""Points in time as Kafka's tools take them: an ISO 8601 date and time, or a duration until now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from kstore.cli.errors import CallError

__all__ = ["parse_datetime_ms", "parse_duration_ms"]

_DATETIME = re.compile(
    r"(?P<text>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(?P<ms>\d{1,3})"
    r"(?:Z|(?P<sign>[+-])(?P<hours>\d\d)(?::?(?P<minutes>\d\d))?)?"
)

# As java.time.Duration reads them: each number may have a sign, and the whole may have one.
_DURATION = re.compile(
    r"(?P<sign>[-+]?)P(?:(?P<days>[-+]?\d+)D)?"
    r"(?:T(?=[-+\d])(?:(?P<hours>[-+]?\d+)H)?(?:(?P<minutes>[-+]?\d+)M)?"
    r"(?:(?P<seconds>[-+]?\d+(?:[.,]\d{0,9})?)S)?)?",
    re.IGNORECASE,
)


def parse_datetime_ms(text: str) -> int:
    """Milliseconds since the epoch of `2026-01-31T23:59:59.000`, in UTC unless an offset follows.

    As in Kafka's tools the milliseconds must be there. Raises `CallError`.
    """
    found = _DATETIME.fullmatch(text)
    if found is None:
        raise CallError(f"{text}: want a time like 2026-01-31T23:59:59.000, with Z or +01:00")
    try:
        moment = datetime.strptime(found["text"], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
        shift = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    except ValueError as error:
        raise CallError(f"{text}: {error}") from None
    if found["sign"] == "-":
        shift = -shift
    seconds = (moment - datetime(1970, 1, 1, tzinfo=UTC) - shift) // timedelta(seconds=1)
    return seconds * 1000 + int(found["ms"])


def parse_duration_ms(text: str) -> int:
    """Milliseconds of an ISO 8601 duration, `PnDTnHnMnS`. Raises `CallError`."""
    found = _DURATION.fullmatch(text)
    if found is None or not any(found[name] for name in ("days", "hours", "minutes", "seconds")):
        raise CallError(f"{text}: want a duration like P1DT2H30M or PT90S")
    hours = int(found["days"] or 0) * 24 + int(found["hours"] or 0)
    seconds = (hours * 60 + int(found["minutes"] or 0)) * 60
    whole, _, fraction = (found["seconds"] or "0").replace(",", ".").partition(".")
    milliseconds = (seconds + int(whole)) * 1000
    part = int(fraction.ljust(3, "0")[:3])
    milliseconds += -part if whole.startswith("-") else part
    return -milliseconds if found["sign"] == "-" else milliseconds
