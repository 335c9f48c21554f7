"""Opening a log: from a directory of files to a log that can be appended to.

After a clean stop nothing is scanned but the end of the last segment. After any other, the segment
that holds the recovery point and all later ones are recovered; at the first damage the log ends,
and later segments are deleted. Then epochs and producers are brought to that end. All damage is
logged, and kept in `log.faults`.

May run in any thread, several logs at a time; uses neither loop nor workers. Source: Kafka's
LogLoader.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from kstore.errors import CorruptLogError
from kstore.log.epochs import LeaderEpochs
from kstore.log.flush import flush
from kstore.log.index import OffsetIndex, TimeIndex
from kstore.log.names import INDEX, LOG, TIME_INDEX, file_name, parse_file
from kstore.log.recovery import Recovered, recover_segment
from kstore.log.segment import Segment
from kstore.log.snapshots import rebuild_producers, remove_stray_snapshots
from kstore.log.state import LogState
from kstore.log.sweep import sweep

__all__ = ["load"]

logger = logging.getLogger("kstore.log")


class _Loaded(NamedTuple):
    """The segments of a log, where they end, and which of them were recovered."""

    segments: list[Segment]
    end_offset: int
    recovered: list[Segment]


def load(log: LogState, *, clean: bool, recovery_point: int, log_start_offset: int) -> None:
    """Fills `log`, which is new, from its directory; the offsets are those of the checkpoints.

    Raises OSError, StoreError, KafkaError.
    """
    sizes = sweep(log.handles, log.directory)
    try:
        log.epochs = LeaderEpochs.load(log.files, log.directory)
    except ValueError as error:
        # A power cut can leave this file behind in pieces. All batches together tell it again.
        logger.warning("rebuilding the leader epochs of %s: %s", log.directory, error)
        clean, recovery_point = False, 0
    try:
        loaded = _load_segments(log, sizes, clean, recovery_point)
    except CorruptLogError as error:
        # A clean stop leaves sound files; something else has touched these since.
        logger.warning("recovering all of %s: %s", log.directory, error)
        clean, recovery_point = False, 0
        loaded = _load_segments(log, sizes, clean, recovery_point)
    end_offset = loaded.end_offset
    for segment in loaded.segments:
        log.segments.add(segment)
    if loaded.segments and end_offset < log_start_offset:
        _drop_all(log, end_offset, log_start_offset)
    if not len(log.segments):
        end_offset = log_start_offset
        now_ms = log.runtime.time_ms()
        log.segments.add(Segment.create(log.handles, log.directory, end_offset, now_ms))
    log.log_end_offset = end_offset
    log.log_start_offset = max(log_start_offset, log.segments.first.base_offset)
    log.recovery_point = end_offset if clean else min(recovery_point, end_offset)
    log.epochs.truncate_from_end(end_offset)
    log.epochs.truncate_from_start(log_start_offset)
    log.leader_epoch = log.epochs.latest
    remove_stray_snapshots(log)
    rebuild_producers(log, end_offset, recovered=loaded.recovered, after_clean_stop=clean)
    if log.config.kstore_acks_all_flush:
        # What was found is shown to consumers at once, so it has to be as durable as the rest.
        flush(log)


def _load_segments(
    log: LogState, sizes: dict[str, int], clean: bool, recovery_point: int
) -> _Loaded:
    """Raises CorruptLogError if the end of the log can't be found after a clean stop."""
    now_ms = log.runtime.time_ms()
    segments = [
        Segment(log.handles, log.directory, parsed[0], size=size, created_ms=now_ms)
        for name, size in sizes.items()
        if (parsed := parse_file(name)) is not None and parsed[1:] == (LOG, "")
    ]
    first_unclean = len(segments)
    if not clean:
        covered = [segment.base_offset <= recovery_point for segment in segments]
        first_unclean = max(0, sum(covered) - 1)
    recovered = []
    for segment in segments[:first_unclean]:
        if not _has_indexes(segment, sizes):
            logger.warning("rebuilding the indexes of %s", segment.path)
            _report(log, segment, recover_segment(log, segment, segment.size))
            recovered.append(segment)
    end_offset = -1
    if first_unclean < len(segments):
        # The batches that are about to be read know better.
        log.epochs.truncate_from_end(segments[first_unclean].base_offset)
    for index in range(first_unclean, len(segments)):
        segment = segments[index]
        found = recover_segment(log, segment, segment.size)
        recovered.append(segment)
        end_offset = found.next_offset
        if _ends_log(log, segment, found, segments[index + 1 :]):
            _delete_later(segments[index + 1 :])
            del segments[index + 1 :]
            break
    if segments and end_offset < 0:
        end_offset = segments[-1].next_offset()
    return _Loaded(segments, end_offset, recovered)


def _has_indexes(segment: Segment, sizes: dict[str, int]) -> bool:
    """Are both there, and of a size that an index can have?"""
    offsets = sizes.get(file_name(segment.base_offset, INDEX), 1)
    times = sizes.get(file_name(segment.base_offset, TIME_INDEX), 1)
    return offsets % OffsetIndex.entry_size == 0 and times % TimeIndex.entry_size == 0


def _ends_log(log: LogState, segment: Segment, found: Recovered, later: list[Segment]) -> bool:
    """Is there damage in this segment, so that nothing behind it can be kept?"""
    lost = bool(later) and found.zero_size > 0 and later[0].base_offset != found.next_offset
    if lost:
        # Preallocated room, but the next segment begins at a later offset: batches were here.
        fault = CorruptLogError(str(segment.path), segment.size, "the batches here were lost")
        found = found._replace(fault=fault, cut_size=found.zero_size)
    return _report(log, segment, found)


def _report(log: LogState, segment: Segment, found: Recovered) -> bool:
    if found.fault is None:
        return False
    log.faults.append(found.fault)
    logger.warning(
        "cut off %d bytes: %s; the segment ends at offset %d now",
        found.cut_size,
        found.fault,
        found.next_offset,
    )
    return True


def _delete_later(segments: list[Segment]) -> None:
    for segment in reversed(segments):
        logger.warning("deleting %s, which is behind the damage", segment)
        segment.delete()


def _drop_all(log: LogState, end_offset: int, log_start_offset: int) -> None:
    logger.warning(
        "deleting all segments of %s: the log ends at %d, before its start at %d",
        log.directory,
        end_offset,
        log_start_offset,
    )
    while len(log.segments):
        log.segments.remove_last().delete()
    log.epochs.clear()
