"""Which segments of a log are past their time, or beyond its size: a choice, nothing is done.

Segments go whole and from the front; the first that has to stay keeps all behind it. The active one
goes too if every record in it may, but not while it is empty. What is not committed stays.

Source: Kafka's UnifiedLog.deletableSegments and its three conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

__all__ = ["Aging", "Expired", "choose_expired"]


class Aging(Protocol):
    """What has to be known of a segment."""

    @property
    def base_offset(self) -> int: ...

    @property
    def size(self) -> int:
        """Bytes of batches."""

    def largest_timestamp(self) -> int:
        """The newest record's; may read a file, so it is asked only where it decides."""


class Expired(NamedTuple):
    """How many segments go, from the front: first those that lie below the log's start already,
    then those that the size is too large for, then those that are too old."""

    below_start: int
    by_size: int
    by_time: int

    @property
    def total(self) -> int:
        return self.below_start + self.by_size + self.by_time


def choose_expired(
    segments: Sequence[Aging],
    log_end_offset: int,
    *,
    size: int,
    log_start_offset: int,
    high_watermark: int,
    retention_bytes: int,
    retention_ms: int,
    now_ms: int,
    limit: int,
) -> Expired:
    """The segments to let go, of which at most `limit` lie above the log's start.

    `size` is that of all segments: no more of them are looked at than go, however many there are.

    With `retention_bytes` the log keeps at least so many bytes, with `retention_ms` every segment
    with a record that is not older than that; negative means no bound.
    """
    last = len(segments) - 1

    def may_go(index: int) -> bool:
        if index < last:
            return segments[index + 1].base_offset <= high_watermark
        return index == last and segments[last].size > 0 and log_end_offset <= high_watermark

    start = 0
    while start < last and segments[start + 1].base_offset <= log_start_offset:
        start += 1
    end = start
    if retention_bytes >= 0:
        below = sum(segments[index].size for index in range(start))
        excess = size - below - retention_bytes
        while end - start < limit and may_go(end) and excess >= segments[end].size:
            excess -= segments[end].size
            end += 1
    by_size = end - start
    if retention_ms >= 0:
        oldest_ms = now_ms - retention_ms
        while end - start < limit and may_go(end) and segments[end].largest_timestamp() < oldest_ms:
            end += 1
    return Expired(start, by_size, end - start - by_size)
