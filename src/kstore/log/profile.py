"""What retention and compaction would take of a partition, segment by segment; nothing is changed.

Reads the files as they lie, and may do so while a broker has them: no lock is taken or asked for,
no file is opened to be written. What the broker has only in memory (the newest index entries) is
found again in the batches. A segment that goes away while it is looked for is an OSError: the
caller looks again. Compaction is the real one (`compaction.rewrite`), but what it keeps is only
counted.

Any thread may use this; memory is bounded by the map of keys and the largest batch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kstore._native.batch import BatchHeader, parse_header
from kstore._native.key_map import ENTRY_SIZE, KeyMap
from kstore._native.scan import read_headers
from kstore.configs import LogConfig
from kstore.log.compaction.choice import Cleanable, choose, group
from kstore.log.compaction.rewrite import Rewriter
from kstore.log.compaction.rules import LastBatches, Transactions
from kstore.log.expiry import choose_expired
from kstore.log.handles import Handles
from kstore.log.names import LOG, SNAPSHOT, file_name, parse_file
from kstore.log.producers import CorruptSnapshotError, ProducerStates
from kstore.log.segment import Segment
from kstore.log.transaction_index import AbortedTransaction, read_aborted

__all__ = [
    "CompactionProfile",
    "PartitionView",
    "SegmentProfile",
    "profile_compaction",
    "profile_retention",
    "view_partition",
]

_SCAN_SIZE = 64 << 10


@dataclass(frozen=True, slots=True)
class SegmentView:
    """What is known of a segment without reading its batches."""

    segment: Segment
    size: int
    newest_ms: int

    @property
    def base_offset(self) -> int:
        return self.segment.base_offset

    def largest_timestamp(self) -> int:
        return self.newest_ms


@dataclass(frozen=True, slots=True)
class PartitionView:
    """A partition as it was when it was looked at; the last segment is the active one."""

    handles: Handles
    directory: Path
    segments: list[SegmentView]
    log_start_offset: int
    log_end_offset: int
    cleaned_offset: int
    producers: ProducerStates


@dataclass(frozen=True, slots=True)
class SegmentProfile:
    """One segment and what is to become of it.

    `verdict` is of retention: below-start, size, time, or stays; of compaction: clean and dirty,
    both of which would be rewritten, too-new, or active. `kept_size` bytes would be left. Records
    are counted where they are read.
    """

    base_offset: int
    size: int
    kept_size: int
    newest_ms: int
    verdict: str
    record_count: int | None = None
    kept_count: int | None = None


@dataclass(frozen=True, slots=True)
class CompactionProfile:
    """`part` is what could be compacted now, as the cleaner sees it, and `end_offset` how far the
    keys found room in the map; the segments before it would become `segment_count` ones."""

    segments: list[SegmentProfile]
    part: Cleanable
    end_offset: int
    segment_count: int
    key_count: int
    map_size: int


def view_partition(
    handles: Handles,
    directory: Path,
    *,
    log_start_offset: int,
    cleaned_offset: int,
    now_ms: int,
) -> PartitionView:
    """Looks at a partition's directory; the offsets are those of the checkpoints.

    Raises OSError, CorruptLogError.
    """
    sizes = {
        parsed[0]: size
        for name, size in handles.files.scan(directory)
        if (parsed := parse_file(name)) is not None and parsed[1:] == (LOG, "")
    }
    segments = [
        Segment(handles, directory, base_offset, size=size, created_ms=now_ms)
        for base_offset, size in sorted(sizes.items())
    ]
    views = [
        SegmentView(segment, segment.size, segment.largest_timestamp()) for segment in segments[:-1]
    ]
    end_offset = log_start_offset
    if segments:
        active = segments[-1]
        end_offset, size, newest_ms = _end_of(handles, active)
        views.append(SegmentView(active, size, max(newest_ms, active.largest_timestamp())))
        log_start_offset = max(log_start_offset, segments[0].base_offset)
    producers = _producers(handles, directory, views, log_start_offset, end_offset, now_ms)
    return PartitionView(
        handles, directory, views, log_start_offset, end_offset, cleaned_offset, producers
    )


def _end_of(handles: Handles, segment: Segment) -> tuple[int, int, int]:
    """Where a segment ends whose file may be longer, or end in a batch that is being written:
    (offset, bytes, largest timestamp behind the last entry of the index)."""
    end_offset, end, newest_ms = segment.base_offset, 0, -1
    for header in _headers(handles, segment, segment.offsets.lookup(segment.offsets.last_offset())):
        end_offset, end = header.last_offset + 1, header.position + header.size
        newest_ms = max(newest_ms, header.max_timestamp)
    return end_offset, end, newest_ms


def _headers(handles: Handles, segment: Segment, position: int) -> Iterator[BatchHeader]:
    """The headers from a batch's begin on, as far as there are whole batches."""
    handle = handles.get(segment.path)
    while True:
        data = handle.read(_SCAN_SIZE, position)
        headers = read_headers(data, position)
        for header in headers:
            if header.position + header.size > segment.size:
                return
            yield header
        if not headers:
            return
        position = headers[-1].position + headers[-1].size


def _producers(
    handles: Handles,
    directory: Path,
    views: list[SegmentView],
    log_start_offset: int,
    end_offset: int,
    now_ms: int,
) -> ProducerStates:
    """The producers at the end of the log, of the newest snapshot and the batches behind it."""
    producers = ProducerStates()
    start = log_start_offset
    for offset in sorted(_snapshots(handles, directory), reverse=True):
        data = handles.files.read_file(directory / file_name(offset, SNAPSHOT))
        if data is not None and log_start_offset <= offset <= end_offset:
            try:
                producers.load(data, offset, now_ms)
            except CorruptSnapshotError:
                continue
            start = offset
            break
    for view, following in zip(views, [*views[1:], None], strict=True):
        if following is not None and following.base_offset <= start:
            continue
        for header in _headers(handles, view.segment, view.segment.offsets.lookup(start)):
            if header.base_offset >= start and header.producer_id >= 0:
                data = view.segment.read(header.position, header.size) if header.is_control else b""
                producers.replay(parse_header(data) if data else header, data)
    return producers


def _snapshots(handles: Handles, directory: Path) -> list[int]:
    found = (parse_file(name) for name, _ in handles.files.scan(directory))
    return [parsed[0] for parsed in found if parsed is not None and parsed[1:] == (SNAPSHOT, "")]


# Retention


def profile_retention(view: PartitionView, config: LogConfig, now_ms: int) -> list[SegmentProfile]:
    """What a pass of retention would do now; on one node all of a log is committed."""
    deletes = "delete" in config.cleanup_policy
    expired = choose_expired(
        view.segments,
        view.log_end_offset,
        size=sum(segment.size for segment in view.segments),
        log_start_offset=view.log_start_offset,
        high_watermark=view.log_end_offset,
        retention_bytes=config.retention_bytes if deletes else -1,
        retention_ms=config.retention_ms if deletes else -1,
        now_ms=now_ms,
        limit=len(view.segments),
    )
    verdicts = (
        ["below-start"] * expired.below_start
        + ["size"] * expired.by_size
        + ["time"] * expired.by_time
    )
    verdicts += ["stays"] * (len(view.segments) - len(verdicts))
    return [
        SegmentProfile(
            one.base_offset,
            one.size,
            one.size if verdict == "stays" else 0,
            one.newest_ms,
            verdict,
        )
        for one, verdict in zip(view.segments, verdicts, strict=True)
    ]


# Compaction


def profile_compaction(
    view: PartitionView,
    config: LogConfig,
    now_ms: int,
    map_size: int,
    on_bytes: Callable[[int], None] = lambda size: None,
) -> CompactionProfile:
    """What a compaction would do now, in one pass with a map of at most `map_size` bytes.

    `on_bytes` is told of bytes that were read so far: the dirty part twice, the clean part once.
    Raises OSError, CorruptLogError.
    """
    undecided = view.producers.first_undecided_offset()
    segments = [one.segment for one in view.segments]
    part = choose(
        segments,
        cleaned_offset=view.cleaned_offset,
        log_start_offset=view.log_start_offset,
        log_end_offset=view.log_end_offset,
        stable_offset=view.log_end_offset if undecided is None else undecided,
        config=config,
        now_ms=now_ms,
    )
    if not part.dirty_size:
        return CompactionProfile(
            [_left_alone(one, part, view) for one in view.segments], part, part.end_offset, 0, 0, 0
        )
    work = _Rehearsal(view, config, now_ms, map_size, part, on_bytes)
    profiles = [
        work.measure(one) if one.base_offset < work.end_offset else _left_alone(one, part, view)
        for one in view.segments
    ]
    groups = group(
        [segment for segment in segments if segment.base_offset < work.end_offset],
        max_size=config.segment_bytes,
        max_index_size=config.segment_index_bytes,
        end_offset=part.end_offset,
    )
    return CompactionProfile(
        profiles, part, work.end_offset, len(groups), work.map.count, work.map.memory_size
    )


def _left_alone(one: SegmentView, part: Cleanable, view: PartitionView) -> SegmentProfile:
    if one is view.segments[-1]:
        verdict = "active"
    elif one.base_offset < part.first_dirty_offset:
        verdict = "clean"
    else:
        verdict = "too-new" if one.base_offset >= part.end_offset else "dirty"
    return SegmentProfile(one.base_offset, one.size, one.size, one.newest_ms, verdict)


class _Rehearsal:
    """A compaction that writes nothing: the map is filled, then one segment after the other is
    measured, in order. Everything below `end_offset` is covered by the map."""

    def __init__(
        self,
        view: PartitionView,
        config: LogConfig,
        now_ms: int,
        map_size: int,
        part: Cleanable,
        on_bytes: Callable[[int], None],
    ) -> None:
        self._now_ms = now_ms
        self._part = part

        def told(size: int) -> float:
            on_bytes(self._rewriter.counts.bytes_mapped + self._rewriter.counts.bytes_read)
            return 0.0

        self._rewriter = Rewriter(view.handles, config, threading.Event(), told)
        found: list[AbortedTransaction] = []
        for one in view.segments:
            found.extend(read_aborted(view.handles.files, one.segment.paths()[3]))
        self._transactions = Transactions(found)
        self._last = LastBatches(view.producers.active(), part.end_offset)
        count = part.end_offset - part.first_dirty_offset
        self.map = KeyMap(max(map_size, 2 * ENTRY_SIZE), count, os.urandom(16))
        dirty = [
            one.segment
            for one, following in zip(view.segments, view.segments[1:], strict=False)
            if following.base_offset > part.first_dirty_offset and one.base_offset < part.end_offset
        ]
        self._rewriter.map_keys(self.map, dirty, part.first_dirty_offset, part.end_offset, found)
        self.end_offset = self.map.latest_offset + 1

    def measure(self, one: SegmentView) -> SegmentProfile:
        counts = self._rewriter.counts
        read, kept = counts.records_read, counts.records_kept
        kept_size = self._rewriter.measure(
            one.segment, self.map, self._transactions, self._last, self._now_ms
        )
        return SegmentProfile(
            one.base_offset,
            one.size,
            kept_size,
            one.newest_ms,
            "clean" if one.base_offset < self._part.first_dirty_offset else "dirty",
            counts.records_read - read,
            counts.records_kept - kept,
        )
