"""What lies in the data directories of a Kafka node, looked at without changing anything.

The directories are locked for as long as they are looked at, by both kinds of locks: no broker runs
on them meanwhile. What is no partition's directory is named and left alone. Any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from kstore.errors import StoreError
from kstore.log.checkpoints import EPOCHS, parse_epochs
from kstore.log.directory import DirectoryLock, read_identity
from kstore.log.files import Files
from kstore.log.names import CLUSTER_METADATA, LOG, SNAPSHOT, parse_directory, parse_file
from kstore.log.producers import CorruptSnapshotError, decode_snapshot
from kstore.log.properties import (
    CLEAN_SHUTDOWN,
    IMPORTED,
    META_PROPERTIES,
    PARTITION_METADATA,
    MetaProperties,
    parse_partition_metadata,
    parse_uuid,
)
from kstore.metadata.importing.metadata import KafkaMetadata, UnreadableMetadataError
from kstore.metadata.importing.reading import read_metadata
from kstore.metadata.sqlite_tree import METADATA_FILE

__all__ = [
    "DataDirectory",
    "FoundPartition",
    "KafkaNode",
    "locked_node",
]

_NO_TOPIC_ID = UUID(int=0)
_MAGIC_AT = 16
"""Where a batch, and a message before there were batches, says its format."""
_MAX_PRODUCER_ID = (1 << 62) - 1
"""Ids above are none that Kafka gives out one after the other: some client made them up."""


@dataclass(frozen=True, slots=True)
class FoundPartition:
    """The directory of a partition. `topic_id` is zero where it can't be read, `leader_epoch` and
    `producer_id` are the highest that its small files know of, -1 if none; `size` is bytes."""

    topic: str
    index: int
    directory: Path
    topic_id: UUID
    leader_epoch: int
    producer_id: int
    size: int


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """One data directory; `directory_id` is what Kafka's metadata call it, `closed` whether it was
    closed cleanly, `left_alone` the directories in it that hold no partition."""

    path: Path
    directory_id: UUID
    closed: bool
    partitions: tuple[FoundPartition, ...]
    left_alone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """A node of Kafka as its directories show it. Without `metadata`, `reason` says why."""

    cluster_id: str
    node_id: int
    directories: tuple[DataDirectory, ...]
    metadata_directory: Path
    metadata: KafkaMetadata | None
    reason: str = ""


@contextmanager
def locked_node(
    paths: Sequence[Path], metadata_path: Path | None, files: Files
) -> Iterator[KafkaNode]:
    """The node whose data directories (log.dirs) are `paths`, locked for the `with` block.

    `metadata_path` is where its metadata lie if they have a directory of their own. Ours will lie
    there too, else in the first of `paths`. Raises StoreError, OSError.
    """
    paths = [path.absolute() for path in paths]
    metadata_directory = paths[0] if metadata_path is None else metadata_path.absolute()
    places = list(dict.fromkeys([metadata_directory, *paths]))
    with ExitStack() as locks:
        identities = []
        for path in places:
            identities.append(_identify(files, path))
            locks.callback(DirectoryLock(files, path).release)
            _refuse_imported(files, path)
        first = identities[0]
        for path, found in zip(places, identities, strict=True):
            if (found.cluster_id, found.node_id) != (first.cluster_id, first.node_id):
                raise StoreError(
                    f"{path} is of node {found.node_id} of cluster {found.cluster_id}, "
                    f"{places[0]} of node {first.node_id} of cluster {first.cluster_id}"
                )
        by_path = dict(zip(places, identities, strict=True))
        directories = tuple(_look_at(files, path, by_path[path]) for path in dict.fromkeys(paths))
        metadata, reason = _metadata(files, places)
        yield KafkaNode(
            first.cluster_id, first.node_id, directories, metadata_directory, metadata, reason
        )


def _identify(files: Files, path: Path) -> MetaProperties:
    found = read_identity(files, path) if path.is_dir() else None
    if found is None:
        raise StoreError(f"{path} is no data directory of Kafka: it has no {META_PROPERTIES}")
    if found.version == 0:
        raise StoreError(
            f"{path} was written by a Kafka with ZooKeeper, which keeps what is known of its "
            "topics elsewhere; let Kafka 3.9 bring the cluster to KRaft first"
        )
    return found


def _refuse_imported(files: Files, path: Path) -> None:
    for name in (METADATA_FILE, IMPORTED):
        if files.exists(path / name):
            raise StoreError(f"{path} is kstore's already: there is a {name} in it")


def _metadata(files: Files, places: Sequence[Path]) -> tuple[KafkaMetadata | None, str]:
    holders = [path for path in places if (path / CLUSTER_METADATA).is_dir()]
    if not holders:
        return None, f"there is no {CLUSTER_METADATA} in {', '.join(map(str, places))}"
    if len(holders) > 1:
        return None, f"there are several {CLUSTER_METADATA}: in {', '.join(map(str, holders))}"
    closed = files.exists(holders[0] / CLEAN_SHUTDOWN)
    try:
        return read_metadata(files, holders[0] / CLUSTER_METADATA, closed=closed), ""
    except UnreadableMetadataError as error:
        return None, str(error)


def _look_at(files: Files, path: Path, identity: MetaProperties) -> DataDirectory:
    partitions, left_alone = [], []
    for name in files.directories(path):
        parsed = parse_directory(name)
        if parsed is not None and not parsed.mark:
            partitions.append(_look_at_partition(files, path / name, *parsed[:2]))
        elif name != CLUSTER_METADATA and (parsed is None or parsed.mark == "stray"):
            left_alone.append(name)
    closed = files.exists(path / CLEAN_SHUTDOWN)
    try:
        directory_id = parse_uuid(identity.directory_id)
    except ValueError as error:
        raise StoreError(f"{path / META_PROPERTIES} can't be read: {error}") from None
    return DataDirectory(path, directory_id, closed, tuple(partitions), tuple(left_alone))


def _look_at_partition(files: Files, path: Path, topic: str, index: int) -> FoundPartition:
    found = files.scan(path)
    logs = [(name, size) for name, size in found if (parse_file(name) or ())[1:] == (LOG, "")]
    size = sum(size for _, size in logs)
    _refuse_old_format(files, [path / name for name, size in logs if size])
    snapshots = [name for name, _ in found if (parse_file(name) or ())[1:] == (SNAPSHOT, "")]
    ids = [_highest_producer(files.read_file(path / name) or b"") for name in snapshots]
    return FoundPartition(
        topic, index, path, _topic_id(files, path), _epoch(files, path), max(ids, default=-1), size
    )


def _refuse_old_format(files: Files, segments: Sequence[Path]) -> None:
    """Raises StoreError if the oldest segment begins with records that kstore does not read."""
    if not segments:
        return
    descriptor = files.open_to_read(segments[0])
    try:
        head = files.read(descriptor, _MAGIC_AT + 1, 0)
    finally:
        files.close(descriptor)
    if any(head) and head[_MAGIC_AT:] in (b"\0", b"\1"):
        raise StoreError(
            f"{segments[0]} holds records in a format older than that of Kafka 0.11, which kstore "
            "does not read"
        )


def _topic_id(files: Files, path: Path) -> UUID:
    try:
        return parse_partition_metadata(files.read_file(path / PARTITION_METADATA) or b"")
    except ValueError:
        return _NO_TOPIC_ID


def _epoch(files: Files, path: Path) -> int:
    try:
        entries = parse_epochs(files.read_file(path / EPOCHS) or b"")
    except ValueError:
        return -1
    return max((epoch for epoch, _ in entries), default=-1)


def _highest_producer(snapshot: bytes) -> int:
    try:
        ids = [entry.producer_id for entry in decode_snapshot(snapshot)]
    except CorruptSnapshotError:
        return -1
    return max((one for one in ids if one <= _MAX_PRODUCER_ID), default=-1)
