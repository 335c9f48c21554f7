"""Latencies counted in buckets whose width is a fixed share of their values. One thread at a time.

As in HdrHistogram: values below 256 have a bucket each; above, each power of two is cut into 128,
so a bucket's largest value is at most 1/128 (0.8 %) above any value in it. Percentiles are given as
that largest value, so they are never too small; the maximum is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

__all__ = ["Histogram"]

_SHARE_BITS = 7
_EXACT_BITS = _SHARE_BITS + 1


class Histogram:
    """Counts of whole numbers from 0 on, such as nanoseconds."""

    __slots__ = ("_buckets", "count", "max", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.max = 0
        self.total = 0

    def record(self, value: int, count: int = 1) -> None:
        """Counts `value`, `count` times; below 0 counts as 0."""
        value = max(value, 0)
        shift = max(value.bit_length() - _EXACT_BITS, 0)
        bucket = (shift << _SHARE_BITS) + (value >> shift)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += count
        self.total += value * count
        if value > self.max:
            self.max = value

    def merge(self, other: Histogram) -> None:
        """Counts all that `other` has counted, too."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.max = max(self.max, other.max)

    @property
    def mean(self) -> float:
        """0 if nothing was counted."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> int:
        """The value that `percent` of all values do not exceed; 0 if nothing was counted."""
        wanted = max(1, math.ceil(self.count * percent / 100))
        for value, count in self.steps():
            if count >= wanted:
                return value
        return 0

    def steps(self) -> Iterator[tuple[int, int]]:
        """(value, how many values do not exceed it), of each bucket that has some, ascending."""
        so_far = 0
        for bucket in sorted(self._buckets):
            so_far += self._buckets[bucket]
            yield min(_largest(bucket), self.max), so_far


def _largest(bucket: int) -> int:
    if bucket < 1 << _EXACT_BITS:
        return bucket
    shift = (bucket >> _SHARE_BITS) - 1
    within = (bucket & ((1 << _SHARE_BITS) - 1)) + (1 << _SHARE_BITS)
    return ((within + 1) << shift) - 1
