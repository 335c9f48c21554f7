"""The data directory: whose it is, that it is ours alone, and how it was left.

Everything at its top is a file, as Kafka takes each directory there for a partition. Runs on the
thread that opens or closes the store. Source: Kafka's LogManager, MetaPropertiesEnsemble.
"""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from kstore.errors import DirectoryFailure, StoreError
from kstore.log.aside import CORRUPT, put_aside
from kstore.log.checkpoints import CHECKPOINTS, parse_offsets
from kstore.log.files import Files
from kstore.log.names import CLUSTER_METADATA, parse_directory
from kstore.log.properties import (
    CLEAN_SHUTDOWN,
    CLEAN_SHUTDOWN_TEXT,
    LOCK,
    META_PROPERTIES,
    MetaProperties,
    format_uuid,
    random_uuid,
)

__all__ = [
    "DirectoryLock",
    "holds_data",
    "identify",
    "mark_clean",
    "read_identity",
    "read_offsets",
    "remove_unfinished",
    "take_mark",
]

logger = logging.getLogger("kstore.log")


class DirectoryLock:
    """Holds a data directory for this store until `release`."""

    def __init__(self, files: Files, directory: Path) -> None:
        """Makes the directory if there is none. Raises StoreError if somebody else has it,
        DirectoryFailure."""
        self._files = files
        self._path = directory / LOCK
        try:
            _make_directory(files, directory)
            descriptor = files.lock(self._path)
        except OSError as error:
            raise DirectoryFailure(
                f"the data directory {directory} can't be used: {error}"
            ) from error
        if descriptor is None:
            raise StoreError(
                f"the data directory {directory} is in use: another process or store holds the "
                f"lock on {LOCK} in it"
            )
        self._descriptor = descriptor

    def check(self) -> None:
        """Is the directory still the one that was locked? Any thread. Raises OSError if not."""
        if not self._files.is_file_of(self._descriptor, self._path):
            raise OSError(errno.ENOENT, f"this is not the {LOCK} that was locked", str(self._path))

    def release(self) -> None:
        """Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._files.close(descriptor)


def _make_directory(files: Files, directory: Path) -> None:
    """Makes what is missing of the path, so that it lasts; what is there may be somebody else's."""
    missing = [path for path in (directory, *directory.parents) if not files.exists(path)]
    if missing:
        files.make_directory(directory, parents=True)
        for made in missing:
            files.sync_directory(made.parent)


def read_identity(files: Files, directory: Path) -> MetaProperties | None:
    """Whose directory this is, None if nobody's yet. Raises StoreError, OSError."""
    path = directory / META_PROPERTIES
    data = files.read_file(path)
    try:
        return None if data is None else MetaProperties.parse(data)
    except ValueError as error:
        raise StoreError(f"{path} can't be read: {error}") from None


def identify(
    files: Files, directory: Path, cluster_id: str | None, node_id: int | None
) -> MetaProperties:
    """Whose directory this is; a new one becomes that of `cluster_id` and `node_id`.

    Raises StoreError if it is somebody else's, OSError.
    """
    path = directory / META_PROPERTIES
    found = read_identity(files, directory)
    if found is None:
        found = MetaProperties(
            cluster_id or format_uuid(random_uuid()),
            1 if node_id is None else node_id,
            format_uuid(random_uuid()),
        )
        files.replace_file(path, found.format())
        return found
    if cluster_id is not None and cluster_id != found.cluster_id:
        raise StoreError(
            f"{path}: the directory is of cluster {found.cluster_id}, not {cluster_id}"
        )
    if node_id is not None and node_id != found.node_id:
        raise StoreError(f"{path}: this is of node {found.node_id}, not {node_id}")
    return found


def holds_data(files: Files, directory: Path) -> bool:
    """Are there partitions in a data directory, or metadata of Kafka? Raises OSError."""
    return directory.is_dir() and any(
        name == CLUSTER_METADATA or ((parsed := parse_directory(name)) and not parsed.mark)
        for name in files.directories(directory)
    )


def remove_unfinished(files: Files, directory: Path) -> None:
    """Removes what a crash has left of a small file that was being replaced. Raises OSError."""
    for name in (META_PROPERTIES, CLEAN_SHUTDOWN, *CHECKPOINTS):
        files.delete(directory / f"{name}.tmp", missing_ok=True)


def take_mark(files: Files, directory: Path) -> bool:
    """Was the store closed cleanly? The mark is gone afterwards. Raises OSError."""
    path = directory / CLEAN_SHUTDOWN
    if not files.exists(path):
        return False
    files.delete(path)
    files.sync_directory(directory)
    return True


def mark_clean(files: Files, directory: Path) -> None:
    """Says that everything was synced and closed. Raises OSError."""
    files.replace_file(directory / CLEAN_SHUTDOWN, CLEAN_SHUTDOWN_TEXT)


def read_offsets(files: Files, path: Path) -> dict[tuple[str, int], int]:
    """A checkpoint of offsets; one that can't be read is set aside and says nothing."""
    try:
        try:
            return parse_offsets(files.read_file(path) or b"")
        except ValueError as error:
            put_aside(files, path, CORRUPT, error)
    except OSError as error:
        logger.warning("ignoring the checkpoint %s: %s", path, error)
    return {}
