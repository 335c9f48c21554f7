"""What of a log is to be compacted, and which segments become one. Pure.

    clean                | dirty                     | not cleanable yet
    log start            ^ first dirty offset        ^ end: a segment's base       ^ log end

Keys are looked up in the dirty part only; both parts are rewritten. Not cleanable are the active
segment, what is not decided yet (open transactions), and what is younger than
`min.compaction.lag.ms`.

Source: Kafka's LogCleanerManager, LogToClean, Cleaner.groupSegmentsBySize.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

from kstore.configs import LogConfig

__all__ = ["Cleanable", "choose", "group"]

_NEVER = (1 << 63) - 1
_MAX_RELATIVE_OFFSET = (1 << 31) - 1


class _Segment(Protocol):
    """What is asked of a segment."""

    base_offset: int

    @property
    def size(self) -> int: ...
    def largest_timestamp(self) -> int: ...
    def first_timestamp(self) -> int: ...
    def index_sizes(self) -> tuple[int, int]: ...


_S = TypeVar("_S", bound=_Segment)


class Cleanable(NamedTuple):
    """The part of a log that can be compacted now: segments that end at `end_offset`."""

    first_dirty_offset: int
    end_offset: int
    clean_size: int
    dirty_size: int
    is_overdue: bool
    """Dirty records are older than `max.compaction.lag.ms`."""

    @property
    def ratio(self) -> float:
        """The share of dirty bytes, 0 to 1."""
        total = self.clean_size + self.dirty_size
        return self.dirty_size / total if total else 0.0

    def is_due(self, min_ratio: float) -> bool:
        return self.dirty_size > 0 and (self.is_overdue or self.ratio > min_ratio)


def choose(
    segments: Sequence[_Segment],
    *,
    cleaned_offset: int,
    log_start_offset: int,
    log_end_offset: int,
    stable_offset: int,
    config: LogConfig,
    now_ms: int,
) -> Cleanable:
    """The cleanable part of the log of `segments`, of which the last one is active.

    `cleaned_offset` is where the last compaction ended; records from `stable_offset` on are not
    decided.
    """
    first_dirty = cleaned_offset
    if not log_start_offset <= cleaned_offset <= log_end_offset:
        first_dirty = log_start_offset
    end, clean_size, dirty = first_dirty, 0, []
    for segment, following in pairwise(segments):
        if following.base_offset <= first_dirty:
            clean_size += segment.size
        elif following.base_offset > stable_offset or _is_young(segment, config, now_ms):
            break
        else:
            dirty.append(segment)
            end = following.base_offset
    dirty_size = sum(segment.size for segment in dirty)
    return Cleanable(first_dirty, end, clean_size, dirty_size, _is_overdue(dirty, config, now_ms))


def _is_young(segment: _Segment, config: LogConfig, now_ms: int) -> bool:
    lag_ms = config.min_compaction_lag_ms
    return lag_ms > 0 and segment.largest_timestamp() > now_ms - lag_ms


def _is_overdue(dirty: Sequence[_Segment], config: LogConfig, now_ms: int) -> bool:
    if config.max_compaction_lag_ms >= _NEVER:
        return False
    latest = now_ms - config.max_compaction_lag_ms
    return any(0 < segment.first_timestamp() < latest for segment in dirty)


def group(
    segments: Sequence[_S], *, max_size: int, max_index_size: int, end_offset: int
) -> list[list[_S]]:
    """Neighbours that fit together into one segment, even if nothing of them goes.

    Limits: bytes of batches, bytes of each index, and offsets within 2**31 of the first one's.
    """
    groups: list[list[_S]] = []
    size = offsets_size = times_size = 0
    for index, segment in enumerate(segments):
        follows = index + 1 < len(segments)
        last_offset = (segments[index + 1].base_offset if follows else end_offset) - 1
        own_offsets, own_times = segment.index_sizes()
        if (
            groups
            and size + segment.size <= max_size
            and offsets_size + own_offsets <= max_index_size
            and times_size + own_times <= max_index_size
            and last_offset - groups[-1][0].base_offset <= _MAX_RELATIVE_OFFSET
        ):
            groups[-1].append(segment)
            size += segment.size
            offsets_size += own_offsets
            times_size += own_times
        else:
            groups.append([segment])
            size, offsets_size, times_size = segment.size, own_offsets, own_times
    return groups
