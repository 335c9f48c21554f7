"""Directories as a Kafka node leaves them, made here: metadata log, snapshot, partitions."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID

from kstore.log.checkpoints import EPOCHS, format_epochs
from kstore.log.names import CLUSTER_METADATA, LOG, SNAPSHOT, file_name
from kstore.log.producers import ProducerEntry, encode_snapshot
from kstore.log.properties import (
    CLEAN_SHUTDOWN,
    CLEAN_SHUTDOWN_TEXT,
    META_PROPERTIES,
    PARTITION_METADATA,
    MetaProperties,
    format_partition_metadata,
    format_uuid,
)
from kstore.log.records import build_batch
from kstore.metadata.importing import records
from kstore.wire.codec import encode
from kstore.wire.schema import Message

CLUSTER_ID = "ASNFZ4mrze8BI0VniavN7w"
NODE_ID = 3
DIRECTORY_ID = UUID(int=0xD1)
_SNAPSHOT_HEADER = struct.pack(">hh", 0, 3)
_SNAPSHOT_FOOTER = struct.pack(">hh", 0, 4)


def frame(message: Message, version: int | None = None) -> bytes:
    """A record's value; by default in its newest version."""
    version = message.VERSIONS.max if version is None else version
    return bytes([1, message.API_KEY, version]) + encode(message, version)


def unknown(record_type: int) -> bytes:
    """A record of a type that is not decoded."""
    return bytes([1, record_type, 0]) + b"whatever"


def batch(values: Sequence[bytes], base_offset: int) -> bytes:
    """A batch of metadata records."""
    rows = [(None, value, 1_760_000_000_000) for value in values]
    return build_batch(rows, base_offset=base_offset, leader_epoch=1)


def control_batch(key: bytes, base_offset: int) -> bytes:
    return build_batch([(key, b"\0\0", 1)], base_offset=base_offset, control=True)


def write_log(directory: Path, values: Iterable[bytes], base_offset: int = 0) -> Path:
    """A segment of the metadata log with one record in a batch; its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / file_name(base_offset, LOG)
    data = [batch([value], base_offset + number) for number, value in enumerate(values)]
    path.write_bytes(b"".join(data))
    return path


def write_snapshot(
    directory: Path, values: Sequence[bytes], end_offset: int, *, footer: bool = True
) -> Path:
    """A snapshot of what counts before `end_offset`; its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{end_offset:020d}-{1:010d}.checkpoint"
    data = control_batch(_SNAPSHOT_HEADER, 0)
    data += batch(values, 1) if values else b""
    if footer:
        data += control_batch(_SNAPSHOT_FOOTER, 1 + len(values))
    path.write_bytes(data)
    return path


def topic(
    name: str,
    topic_id: UUID,
    replicas: Sequence[Sequence[int]] = ((NODE_ID,),),
    directory_id: UUID = DIRECTORY_ID,
    leader_epoch: int = 4,
) -> list[bytes]:
    """The records that make a topic, with a partition for each list of replicas."""
    made: list[Message] = [records.TopicRecord(name=name, topic_id=topic_id)]
    made += [
        records.PartitionRecord(
            partition_id=index,
            topic_id=topic_id,
            replicas=list(ids),
            isr=list(ids),
            leader=ids[0],
            leader_epoch=leader_epoch,
            directories=[directory_id] * len(ids),
        )
        for index, ids in enumerate(replicas)
    ]
    return [frame(one) for one in made]


def config(resource_type: int, name: str, key: str, value: str | None) -> bytes:
    return frame(
        records.ConfigRecord(resource_type=resource_type, resource_name=name, name=key, value=value)
    )


class NodeDirectory:
    """A data directory of a node of Kafka, cleanly closed."""

    def __init__(self, path: Path, directory_id: UUID = DIRECTORY_ID) -> None:
        path.mkdir(parents=True)
        self.path = path
        meta = MetaProperties(CLUSTER_ID, NODE_ID, format_uuid(directory_id))
        (path / META_PROPERTIES).write_bytes(meta.format())
        self.closed = path / CLEAN_SHUTDOWN
        self.closed.write_bytes(CLEAN_SHUTDOWN_TEXT)
        self.metadata = path / CLUSTER_METADATA

    def partition(
        self,
        name: str,
        topic_id: UUID | None,
        *,
        values: Sequence[bytes] = (b"one", b"two"),
        epochs: Sequence[tuple[int, int]] = ((0, 0),),
        producer_id: int = -1,
    ) -> Path:
        """A partition's directory with one batch, and maybe a producer in its snapshot."""
        directory = self.path / name
        directory.mkdir()
        data = build_batch([(b"key", value, 1) for value in values], leader_epoch=epochs[-1][0])
        (directory / file_name(0, LOG)).write_bytes(data)
        (directory / EPOCHS).write_bytes(format_epochs(epochs))
        if topic_id is not None:
            (directory / PARTITION_METADATA).write_bytes(format_partition_metadata(topic_id))
        if producer_id >= 0:
            entries = [ProducerEntry(producer_id, 0, timestamp_ms=1)]
            path = directory / file_name(len(values), SNAPSHOT)
            path.write_bytes(encode_snapshot(entries))
        return directory
