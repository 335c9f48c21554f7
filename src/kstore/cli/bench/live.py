"""The line that shows a run while it goes on: on stderr, if that is a terminal.

It is written by the thread that makes the load, as a thread of its own would come between the load
and its clock; and plainly, as rich takes a quarter of a millisecond to draw a line.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Self

from kstore.cli.bench.recorder import Interval

__all__ = ["LiveLine"]

_BEGIN_AGAIN = "\r\x1b[K"  # to the first column, and clear the line


class LiveLine:
    """For the length of a `with` block. `seconds`: how long it will be measured, if known."""

    def __init__(self, title: str, seconds: float | None) -> None:
        self._title = title
        self._seconds = seconds
        self._is_watched = sys.stderr.isatty()

    def __enter__(self) -> Self:
        self._write(f"{self._title}: warming up")
        return self

    def show(self, interval: Interval) -> None:
        """Draws the line anew."""
        if not self._is_watched:
            return
        whole = "" if self._seconds is None else f"/{self._seconds:g}"
        span_s = (interval.end_ns - interval.start_ns) / 1e9
        latency = interval.latency
        self._write(
            f"{self._title}  {interval.end_ns / 1e9:.1f}{whole} s  "
            f"{interval.record_count / span_s:,.0f} records/s  "
            f"{interval.batch_size / span_s / 1e6:.1f} MB/s  "
            f"p50 {latency.percentile(50) / 1e6:.2f} ms  p99 {latency.percentile(99) / 1e6:.2f} ms"
        )

    def _write(self, text: str) -> None:
        if self._is_watched:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
            sys.stderr.write(_BEGIN_AGAIN + text[: max(width - 1, 0)])
            sys.stderr.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write("")
