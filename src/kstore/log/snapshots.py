"""The files of producer snapshots, and rebuilding the producers of a log from them.

`<offset>.snapshot` holds the producers as they were before that offset. One is written whenever a
segment begins and at a clean close, so that opening a log replays little. They are a help, never
the truth: without a sound one, the headers of the log itself are replayed. Runs on the thread that
loads or owns the log. Source: Kafka's ProducerStateManager, UnifiedLog.rebuildProducerState.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from kstore._native.batch import BatchHeader, parse_header
from kstore.log.aside import CORRUPT, put_aside
from kstore.log.files import TEMPORARY_ERRNOS
from kstore.log.names import SNAPSHOT, file_name, parse_file
from kstore.log.producers import CorruptSnapshotError
from kstore.log.segment import Segment
from kstore.log.state import LogState
from kstore.log.tasks import WriteSnapshot
from kstore.log.transaction_index import note_aborted

__all__ = [
    "Known",
    "delete_snapshots_above",
    "rebuild_producers",
    "remove_stray_snapshots",
    "snapshot_offsets",
    "snapshot_task",
    "write_snapshot",
]

logger = logging.getLogger("kstore.log")

Known = list[BatchHeader] | None
"""The batches that the producers of a segment are known by; None: look through all of them."""


def _path(log: LogState, offset: int) -> Path:
    return log.directory / file_name(offset, SNAPSHOT)


def snapshot_offsets(log: LogState) -> list[int]:
    """The offsets of the snapshots in the log's directory, the lowest first."""
    parsed = (parse_file(name) for name, _ in log.files.scan(log.directory))
    return [found[0] for found in parsed if found is not None and found[1:] == (SNAPSHOT, "")]


def write_snapshot(log: LogState, offset: int) -> Path:
    """Writes the producers as they are before `offset`; not synced. Raises OSError."""
    log.producers.end_offset = offset
    path = _path(log, offset)
    log.handles.forget(path)
    log.files.replace_file(path, log.producers.snapshot(), durable=False)
    return path


def snapshot_task(log: LogState, offset: int) -> WriteSnapshot:
    """Writes and syncs the producers as they are now, before `offset`, whenever it is run."""
    log.producers.end_offset = offset
    path = _path(log, offset)
    log.handles.forget(path)
    return WriteSnapshot(log.files, path, log.producers.snapshot())


def delete_snapshots_above(log: LogState, offset: int) -> None:
    """Removes the snapshots of what is no longer in the log."""
    for found in snapshot_offsets(log):
        if found > offset:
            log.files.delete(_path(log, found), missing_ok=True)


def remove_stray_snapshots(log: LogState, snapshots: list[int]) -> list[int]:
    """Keeps those where a segment begins, and the newest one if it is above all of these; what is
    left of `snapshots`."""
    bases = {segment.base_offset for segment in log.segments.all()}
    newest = max((found for found in snapshots if found not in bases), default=-1)
    keep = newest if newest > max(bases) else -1
    left = []
    for found in snapshots:
        if found in bases or found == keep:
            left.append(found)
        else:
            log.files.delete(_path(log, found), missing_ok=True)
    return left


def rebuild_producers(
    log: LogState,
    upto: int,
    *,
    snapshots: list[int],
    recovered: Mapping[Segment, Known] = MappingProxyType({}),
    after_clean_stop: bool = False,
) -> None:
    """Sets the producers to what they were before offset `upto`, and leaves a snapshot of that.

    `snapshots` are those that are there. The segments of `recovered` are replayed whole, by the
    batches that recovery has noted, where it has: aborted transactions whose markers stand in them
    go into their transaction indexes, which recovery has emptied. A log that was closed cleanly
    without any snapshot, as before Kafka 0.11, has no producers worth a walk through all of it.
    Raises OSError.
    """
    first = min([upto, *(segment.base_offset for segment in recovered)])
    start = _load_newest(log, snapshots, first, upto)
    if start == upto:
        log.producers.end_offset = upto
        return
    if start is None:
        # Not from the log's start: a transaction that it cuts has a marker behind it.
        first_base = log.segments.first.base_offset
        log.producers.clear(first_base)
        start = upto if after_clean_stop else first_base
    bases = [segment.base_offset for segment in log.segments.all()[-2:]]
    for segment in log.segments.from_offset(start):
        if segment.base_offset >= upto:
            break
        if segment.base_offset > start and segment.base_offset in bases:
            _keep_snapshot(log, segment.base_offset)
        into_index = segment in recovered
        for header in _to_replay(segment, start, upto, recovered.get(segment)):
            _replay(log, segment, header, into_index=into_index)
    if upto > log.log_start_offset:
        _keep_snapshot(log, upto)
    log.producers.end_offset = upto


def _keep_snapshot(log: LogState, offset: int) -> None:
    """Writes a snapshot unless the same one is there. A full disk has to do without it."""
    if log.files.read_file(_path(log, offset)) == log.producers.snapshot():
        return
    try:
        write_snapshot(log, offset)
    except OSError as error:
        if error.errno not in TEMPORARY_ERRNOS:
            raise
        logger.warning("no snapshot of the producers of %s at %d: %s", log.name, offset, error)


def _load_newest(log: LogState, snapshots: list[int], upto: int, end_offset: int) -> int | None:
    """Loads the newest sound snapshot up to `upto`; its offset, None if there is none.

    Those that are of no use, below the log's first segment or above its end, are deleted.
    """
    first_base = log.segments.first.base_offset
    now_ms = log.runtime.time_ms()
    for offset in reversed(snapshots):
        path = _path(log, offset)
        if not first_base <= offset <= end_offset:
            log.files.delete(path, missing_ok=True)
        if not first_base <= offset <= upto:
            continue
        data = log.files.read_file(path)
        if data is None:
            continue  # it went with its segment
        try:
            log.producers.load(data, offset, now_ms)
        except CorruptSnapshotError as error:
            put_aside(log.files, path, CORRUPT, error)
        else:
            return offset
    return None


def _to_replay(segment: Segment, start: int, upto: int, known: Known) -> Iterator[BatchHeader]:
    """The headers from `start` up to `upto` that producers are known by, at least."""
    headers: Iterable[BatchHeader]
    if known is not None and start <= segment.base_offset:
        headers = known
    else:
        found = segment.find(start) if start > segment.base_offset else (0, 0)
        headers = () if found is None else segment.headers(found[0])
    for header in headers:
        if header.base_offset >= upto:
            return
        if header.base_offset >= start and header.producer_id >= 0:
            yield header


def _replay(log: LogState, segment: Segment, header: BatchHeader, *, into_index: bool) -> None:
    if not header.is_control:
        log.producers.update(header)
        return
    data = segment.read(header.position, header.size)
    completed = log.producers.replay(parse_header(data), data)
    if completed is not None and completed.is_aborted and into_index:
        note_aborted(log, segment, completed)
