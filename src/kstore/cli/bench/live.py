"""The line that shows a run while it goes on: on stderr, if that is a terminal.

It is drawn by the thread that makes the load, once for each interval and never by a thread of its
own, which would come between the load and its clock.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kstore.cli.bench.recorder import Interval

if TYPE_CHECKING:
    from rich.live import Live

__all__ = ["LiveLine", "rate_text"]


class LiveLine:
    """For the length of a `with` block. `seconds`: how long it will be measured, if known."""

    def __init__(self, title: str, seconds: float | None) -> None:
        self._title = title
        self._seconds = seconds
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                f"{self._title}: warming up",
                console=Console(stderr=True, highlight=False),
                auto_refresh=False,
                transient=True,
            )
            self._live.start(refresh=True)
        return self

    def show(self, interval: Interval) -> None:
        """Draws the line anew."""
        if self._live is not None:
            self._live.update(_text(self._title, self._seconds, interval), refresh=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()


def _text(title: str, seconds: float | None, interval: Interval) -> str:
    elapsed = f"{interval.end_ns / 1e9:.1f}"
    whole = "" if seconds is None else f"/{seconds:g}"
    span_s = (interval.end_ns - interval.start_ns) / 1e9
    latency = interval.latency
    return (
        f"{title}  {elapsed}{whole} s  "
        f"{rate_text(interval.record_count / span_s, interval.batch_size / span_s)}  "
        f"p50 {latency.percentile(50) / 1e6:.2f} ms  p99 {latency.percentile(99) / 1e6:.2f} ms"
    )


def rate_text(records_per_s: float, bytes_per_s: float) -> str:
    """`12,345 records/s (1.2 MB/s)`."""
    return f"{records_per_s:,.0f} records/s ({bytes_per_s / 1e6:.1f} MB/s)"
