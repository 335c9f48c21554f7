"""Is a data directory sound? Looks at everything and changes nothing.

`kstore check`, and the last line of tests. A directory that a broker holds is refused: what is
being written is neither sound nor unsound. One that was not closed cleanly is not at fault for
that: a segment may end in zeros, indexes may be short; but a torn batch is reported, until the next
start cuts it off.

Memory is bounded by the largest batch, the producers and the partitions. Any thread may use this.
"""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

from kstore.errors import StoreError
from kstore.log import names
from kstore.log.check_partition import TEMPORARY, check_partition, entry_position
from kstore.log.checkpoints import (
    HIGH_WATERMARKS,
    LOG_START_OFFSETS,
    RECOVERY_POINTS,
    parse_offsets,
)
from kstore.log.faults import Fault, Faults
from kstore.log.files import Files
from kstore.log.properties import CLEAN_SHUTDOWN, LOCK, META_PROPERTIES, MetaProperties

__all__ = ["Fault", "check"]

CLEANER_OFFSETS = "cleaner-offset-checkpoint"

_CHECKPOINTS = (RECOVERY_POINTS, LOG_START_OFFSETS, HIGH_WATERMARKS, CLEANER_OFFSETS)


def check(directory: Path | str, *, files: Files | None = None) -> list[Fault]:
    """The faults of a data directory, or of the directory of one partition in it.

    Raises StoreError, whose text is one line for a person, if the directory is in use, can't be
    read, or is neither.
    """
    path = Path(directory).absolute()
    files = files or Files()
    faults = Faults()
    try:
        if _is_partition(files, path):
            _refuse_locked(files, path.parent)
            closed = files.exists(path.parent / CLEAN_SHUTDOWN)
            _check_partition(files, path, faults, closed=closed)
        else:
            _refuse_locked(files, path)
            _check_store(files, path, faults)
    except OSError as error:
        raise StoreError(f"{path} can't be checked: {error}") from error
    return faults.all()


def _is_partition(files: Files, directory: Path) -> bool:
    """Raises StoreError if the directory is neither a partition's nor one with partitions."""
    found = [name for name, _ in files.scan(directory)]
    if any(names.parse_file(name) for name in found):
        return True
    if META_PROPERTIES in found or _partitions(files, directory):
        return False
    raise StoreError(f"{directory} holds no data of kstore or Kafka")


def _partitions(files: Files, directory: Path) -> list[tuple[str, names.PartitionName]]:
    """The directories in a data directory that hold partitions and are not being deleted."""
    return [
        (name, parsed)
        for name in files.directories(directory)
        if (parsed := names.parse_directory(name)) is not None and parsed.mark != "delete"
    ]


def _refuse_locked(files: Files, directory: Path) -> None:
    """Raises StoreError if a broker runs on the directory.

    kstore holds `.lock` by flock and by a record lock, Kafka by a record lock. Both are let go at
    once: a broker that starts meanwhile is not hindered.
    """
    path = directory / LOCK
    if not files.exists(path):
        return
    descriptor = files.open_to_read(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        raise StoreError(
            f"{directory} is in use: a broker holds the lock on {LOCK} in it"
        ) from None
    finally:
        files.close(descriptor)


def _check_store(files: Files, directory: Path, faults: Faults) -> None:
    found = [name for name, _ in files.scan(directory)]
    for name in found:
        if name.endswith(TEMPORARY):
            faults.add(directory / name, 0, "a temporary file was left behind")
    _check_meta_properties(files, directory / META_PROPERTIES, faults)
    closed = CLEAN_SHUTDOWN in found
    end_offsets = {}
    for name, (topic, partition, mark) in _partitions(files, directory):
        end_offset = _check_partition(files, directory / name, faults, closed=closed)
        if not mark:
            end_offsets[topic, partition] = end_offset
    for name in _CHECKPOINTS:
        _check_checkpoint(files, directory / name, end_offsets, faults)


def _check_partition(files: Files, directory: Path, faults: Faults, *, closed: bool) -> int | None:
    try:
        return check_partition(files, directory, faults, closed=closed)
    except OSError as error:
        faults.add(Path(error.filename or directory), 0, f"it can't be read: {error.strerror}")
        return None


def _check_meta_properties(files: Files, path: Path, faults: Faults) -> None:
    data = files.read_file(path)
    try:
        if data is None:
            raise ValueError("the file is missing")
        MetaProperties.parse(data)
    except ValueError as error:
        faults.add(path, 0, str(error))


def _check_checkpoint(
    files: Files,
    path: Path,
    end_offsets: dict[tuple[str, int], int | None],
    faults: Faults,
) -> None:
    """The offsets of a checkpoint lie within the logs. Partitions that are gone may be named."""
    data = files.read_file(path) or b""
    try:
        offsets = parse_offsets(data)
    except ValueError as error:
        faults.add(path, 0, str(error))
        return
    for index, ((topic, partition), offset) in enumerate(offsets.items()):
        end_offset = end_offsets.get((topic, partition))
        if offset < 0:
            reason = f"{topic}-{partition} can't have offset {offset}"
        elif end_offset is not None and offset > end_offset:
            reason = f"{topic}-{partition} ends at offset {end_offset}, before {offset}"
        else:
            continue
        faults.add(path, entry_position(data, index), reason)
