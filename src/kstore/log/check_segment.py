"""Is a segment sound? All its batches, all records in them, and its indexes.

One walk over the file in pieces: headers and CRCs, records (decompressed where they are
compressed), offsets that rise and stay in the segment, and on the way the entries of the indexes
and the producers of the snapshots. A batch whose CRC is wrong is reported once and not looked into.

What is no fault: gaps between offsets and batches without records (compaction leaves both), a max
timestamp that no record has (a client wrote the header), records and batches of any age, and index
entries that could be there and are not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from kstore.errors import KafkaError
from kstore.log.check_index import OffsetEntries, TimeEntries
from kstore.log.faults import Faults
from kstore.log.files import Files
from kstore.log.names import INDEX, LOG, TIME_INDEX, TRANSACTION_INDEX, file_name
from kstore.log.producers import ProducerEntry
from kstore.log.records import find_record_with_max_timestamp
from kstore.log.walk import TRANSACTION_ENTRY, BatchFile, FileBatch, entries, file_size

__all__ = ["PartitionFacts", "SegmentPlace", "check_segment"]

_MAX_RELATIVE_OFFSET = (1 << 31) - 1


@dataclass(slots=True)
class PartitionFacts:
    """What the other files of the partition say, for its batches to agree with.

    `epoch_at` gives the leader epoch of an offset, -1 if it is not known. `producers` maps the
    last offset of a batch to the entries of snapshots that name it: path, position, entry.
    """

    epoch_at: Callable[[int], int]
    producers: dict[int, list[tuple[Path, int, ProducerEntry]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentPlace:
    """Where a segment stands in its log: `end_offset` is the base offset of the next segment, None
    for the last one. `closed`: the log was closed cleanly since this segment was written."""

    directory: Path
    base_offset: int
    end_offset: int | None
    closed: bool

    def path(self, suffix: str) -> Path:
        return self.directory / file_name(self.base_offset, suffix)


def check_segment(
    files: Files, place: SegmentPlace, names: set[str], facts: PartitionFacts, faults: Faults
) -> int | None:
    """Checks one segment; `names` are the files of its directory.

    Returns the offset behind its last batch, None if that is not known because of the damage.
    Raises OSError.
    """
    with ExitStack() as stack:
        indexes = _open_indexes(files, place, names, faults)
        for index in indexes:
            stack.callback(index.close)
        end_offset = _check_batches(files, place, facts, indexes, faults)
        for index in indexes:
            if isinstance(index, TimeEntries):
                index.finish(complete=place.closed and end_offset is not None)
            else:
                index.finish()
    if file_name(place.base_offset, TRANSACTION_INDEX) in names:
        _check_transactions(files, place, end_offset, faults)
    return end_offset


def _open_indexes(
    files: Files, place: SegmentPlace, names: set[str], faults: Faults
) -> list[OffsetEntries | TimeEntries]:
    opened: list[OffsetEntries | TimeEntries] = []
    for suffix, kind in ((INDEX, OffsetEntries), (TIME_INDEX, TimeEntries)):
        path = place.path(suffix)
        if path.name in names:
            opened.append(
                kind(files, path, faults, closed=place.closed, base_offset=place.base_offset)
            )
        elif place.closed:
            faults.add(path, 0, "the file is missing")
    return opened


def _check_batches(
    files: Files,
    place: SegmentPlace,
    facts: PartitionFacts,
    indexes: list[OffsetEntries | TimeEntries],
    faults: Faults,
) -> int | None:
    path = place.path(LOG)
    next_offset = place.base_offset
    with BatchFile.opened(files, path) as batches:
        for batch in batches:
            if batch.is_sound:
                next_offset = _check_batch(path, batch, place, facts, next_offset, faults)
            else:
                faults.add(path, batch.position, "the CRC of the batch does not match")
            for index in indexes:
                index.visit(batch)
        if batches.position == batches.size:
            return next_offset
        if not place.closed and place.end_offset is None and batches.rest_is_zero():
            return next_offset
        size = batches.size - batches.position
        faults.add(path, batches.position, f"{size} bytes are no batches: {batches.fault}")
        return None


def _check_batch(
    path: Path,
    batch: FileBatch,
    place: SegmentPlace,
    facts: PartitionFacts,
    next_offset: int,
    faults: Faults,
) -> int:
    """Checks a batch whose CRC is right; returns the least offset that the next one may have."""
    header = batch.header
    try:
        find_record_with_max_timestamp(header, batch.data)
    except KafkaError as error:
        faults.add(path, batch.position, error.message)
    reasons = []
    if header.base_offset < next_offset:
        reasons.append(
            f"the batch begins at offset {header.base_offset}, {next_offset} is the least it may"
        )
    if header.last_offset_delta < 0:
        reasons.append(f"the batch ends at offset {header.last_offset}, before it begins")
    elif place.end_offset is not None and header.last_offset >= place.end_offset:
        reasons.append(
            f"the batch ends at offset {header.last_offset}, the next segment begins at "
            f"{place.end_offset}"
        )
    elif header.last_offset - place.base_offset > _MAX_RELATIVE_OFFSET:
        reasons.append(f"offset {header.last_offset} is too far from that of the segment")
    epoch = facts.epoch_at(header.base_offset)
    if epoch >= 0 and header.leader_epoch not in (-1, epoch):
        reasons.append(
            f"the batch has leader epoch {header.leader_epoch}, the checkpoint says {epoch}"
        )
    for reason in reasons:
        faults.add(path, batch.position, reason)
    for snapshot, position, entry in facts.producers.pop(header.last_offset, ()):
        _check_producer(batch, snapshot, position, entry, faults)
    return max(next_offset, header.last_offset + 1)


def _check_producer(
    batch: FileBatch, snapshot: Path, position: int, entry: ProducerEntry, faults: Faults
) -> None:
    header = batch.header
    found = (header.producer_id, header.producer_epoch, header.last_sequence)
    stated = (entry.producer_id, entry.epoch, entry.last_sequence)
    if found != stated:
        faults.add(
            snapshot,
            position,
            f"at offset {entry.last_offset} it has producer {stated[0]}, epoch {stated[1]}, "
            f"sequence {stated[2]}; the batch there has {found[0]}, {found[1]}, {found[2]}",
        )


def _check_transactions(
    files: Files, place: SegmentPlace, end_offset: int | None, faults: Faults
) -> None:
    """`.txnindex`: entries of markers in this segment, in their order."""
    path = place.path(TRANSACTION_INDEX)
    last_marker = place.base_offset - 1
    for position, fields in entries(files, path, TRANSACTION_ENTRY):
        version, producer_id, first, marker, last_stable = fields
        if version != 0:
            faults.add(path, position, f"the entry has the unknown version {version}")
        elif producer_id < 0 or not 0 <= first <= marker or not 0 <= last_stable <= marker + 1:
            faults.add(path, position, "the entry contradicts itself")
        elif marker <= last_marker or (end_offset is not None and marker >= end_offset):
            faults.add(path, position, f"no marker of this segment can be at offset {marker}")
        else:
            last_marker = marker
    size = file_size(files, path)
    ragged = size % TRANSACTION_ENTRY.size
    if ragged:
        faults.add(path, size - ragged, f"the size is no multiple of {TRANSACTION_ENTRY.size}")
