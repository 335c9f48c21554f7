"""Is the directory of a partition sound? Its small files, then its segments one after the other.

See `check_segment` for what is looked at in a segment. Files whose names mean nothing here, and
those that the next start deletes (`.deleted`), are left alone; those of a rewrite or a write that
never ended (`.cleaned`, `.swap`, `.tmp`) are reported.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from pathlib import Path

from kstore.log import names
from kstore.log.check_segment import PartitionFacts, SegmentPlace, check_segment
from kstore.log.checkpoints import EPOCHS, parse_epochs
from kstore.log.faults import Faults
from kstore.log.files import Files
from kstore.log.producers import CorruptSnapshotError, ProducerEntry, decode_snapshot
from kstore.log.properties import PARTITION_METADATA, parse_partition_metadata

__all__ = ["TEMPORARY", "check_partition", "entry_position"]

TEMPORARY = (".tmp", names.CLEANED, names.SWAP)

_SNAPSHOT_HEADER_SIZE = 10
_SNAPSHOT_ENTRY_SIZE = 46


def check_partition(files: Files, directory: Path, faults: Faults, *, closed: bool) -> int | None:
    """Checks a partition; `closed`: the store was closed cleanly after the last write.

    Returns the log's end offset, None if damage hides it. Raises OSError.
    """
    found = dict(files.scan(directory))
    for name in found:
        if name.endswith(TEMPORARY):
            faults.add(directory / name, 0, "a temporary file was left behind")
    parsed = [entry for name in found if (entry := names.parse_file(name)) and not entry[2]]
    bases = sorted(offset for offset, suffix, _ in parsed if suffix == names.LOG)
    snapshots = sorted(offset for offset, suffix, _ in parsed if suffix == names.SNAPSHOT)
    for offset, suffix, _ in sorted(parsed):
        if suffix not in (names.LOG, names.SNAPSHOT) and offset not in bases:
            path = directory / names.file_name(offset, suffix)
            faults.add(path, 0, "the index belongs to no segment")
    _check_metadata(files, directory, faults)
    epochs = _check_epochs(files, directory, faults)
    facts = PartitionFacts(partial(_epoch_at, epochs if closed else []))
    for offset in snapshots:
        _check_snapshot(files, directory, offset, facts, faults)
    end_offset: int | None = bases[0] if bases else 0
    for base_offset, next_base in zip(bases, [*bases[1:], None], strict=True):
        is_closed = closed or next_base is not None
        place = SegmentPlace(directory, base_offset, next_base, is_closed)
        end_offset = check_segment(files, place, set(found), facts, faults)
    if end_offset is not None:
        _check_ends(directory, end_offset, epochs, snapshots, faults)
    return end_offset


def _check_metadata(files: Files, directory: Path, faults: Faults) -> None:
    data = files.read_file(directory / PARTITION_METADATA)
    if data is not None:
        try:
            parse_partition_metadata(data)
        except ValueError as error:
            faults.add(directory / PARTITION_METADATA, 0, str(error))


def _check_epochs(files: Files, directory: Path, faults: Faults) -> list[tuple[int, int, int]]:
    """(start offset, epoch, position in the checkpoint) of the entries that make sense."""
    path = directory / EPOCHS
    data = files.read_file(path) or b""
    try:
        entries = parse_epochs(data)
    except ValueError as error:
        faults.add(path, 0, str(error))
        return []
    sound: list[tuple[int, int, int]] = []
    for index, (epoch, start_offset) in enumerate(entries):
        position = entry_position(data, index)
        if epoch < 0 or start_offset < 0:
            faults.add(path, position, f"epoch {epoch} can't begin at offset {start_offset}")
        elif sound and (epoch <= sound[-1][1] or start_offset <= sound[-1][0]):
            faults.add(
                path,
                position,
                f"epoch {epoch} at offset {start_offset} follows epoch {sound[-1][1]} at offset "
                f"{sound[-1][0]}",
            )
        else:
            sound.append((start_offset, epoch, position))
    return sound


def entry_position(data: bytes, index: int) -> int:
    """Where the entry `index` of a checkpoint begins: behind the lines of version and count."""
    position = 0
    for _ in range(index + 2):
        position = data.index(b"\n", position) + 1
    return position


def _epoch_at(epochs: list[tuple[int, int, int]], offset: int) -> int:
    """The leader epoch of `offset`, -1 where the checkpoint says nothing."""
    above = bisect_right(epochs, offset, key=lambda entry: entry[0])
    return epochs[above - 1][1] if above else -1


def _check_snapshot(
    files: Files, directory: Path, offset: int, facts: PartitionFacts, faults: Faults
) -> None:
    path = directory / names.file_name(offset, names.SNAPSHOT)
    try:
        entries = decode_snapshot(files.read_file(path) or b"")
    except CorruptSnapshotError as error:
        faults.add(path, 0, str(error))
        return
    for index, entry in enumerate(entries):
        position = _SNAPSHOT_HEADER_SIZE + index * _SNAPSHOT_ENTRY_SIZE
        reason = _contradiction(entry, offset)
        if reason:
            faults.add(path, position, reason)
        elif entry.last_offset >= 0:
            facts.producers.setdefault(entry.last_offset, []).append((path, position, entry))


def _contradiction(entry: ProducerEntry, offset: int) -> str:
    if entry.producer_id < 0 or entry.epoch < 0:
        return f"producer {entry.producer_id} with epoch {entry.epoch} can't be"
    for named in (entry.last_offset, entry.transaction_first_offset):
        if named >= offset:
            return f"offset {named} is not before that of the snapshot"
    return ""


def _check_ends(
    directory: Path,
    end_offset: int,
    epochs: list[tuple[int, int, int]],
    snapshots: list[int],
    faults: Faults,
) -> None:
    """Nothing may speak of offsets behind the log's end."""
    for start_offset, epoch, position in epochs:
        if start_offset > end_offset:
            faults.add(
                directory / EPOCHS,
                position,
                f"epoch {epoch} begins at offset {start_offset}, the log ends at {end_offset}",
            )
    for offset in snapshots:
        if offset > end_offset:
            path = directory / names.file_name(offset, names.SNAPSHOT)
            faults.add(path, 0, f"it is of offset {offset}, the log ends at {end_offset}")
