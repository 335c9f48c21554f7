"""The small files that say what a directory is: whose it is, and how it was left.

Pure functions from values to bytes and back; malformed bytes are a ValueError that says what is
wrong. Ids are random UUIDs, written as 22 characters of URL-safe base64.

Sources: Kafka's MetaProperties, PartitionMetadataFile, CleanShutdownFileHandler, Uuid.
"""

from __future__ import annotations

import base64
import time
import uuid
from dataclasses import dataclass, field

__all__ = [
    "CLEAN_SHUTDOWN",
    "CLEAN_SHUTDOWN_TEXT",
    "IMPORTED",
    "LOCK",
    "META_PROPERTIES",
    "MOVED_FROM",
    "PARTITION_METADATA",
    "MetaProperties",
    "format_partition_metadata",
    "format_uuid",
    "parse_partition_metadata",
    "parse_uuid",
    "random_uuid",
]

LOCK = ".lock"
META_PROPERTIES = "meta.properties"
PARTITION_METADATA = "partition.metadata"
IMPORTED = "kstore-imported"
"""In a data directory that was taken over from Kafka: where the metadata made then are."""
MOVED_FROM = "kstore-moved-from"
"""In a partition that was moved here: the directory.id of where it was, until that is gone."""

CLEAN_SHUTDOWN = ".kafka_cleanshutdown"
CLEAN_SHUTDOWN_TEXT = b'{"version":0,"brokerEpoch":-1}'
"""What stands in the marker; only its existence counts."""

_RESERVED = frozenset({uuid.UUID(int=0), uuid.UUID(int=1)})


def random_uuid() -> uuid.UUID:
    """A new id, none that Kafka reserves, and none whose text begins with `-`, as in Kafka."""
    while True:
        made = uuid.uuid4()
        if made not in _RESERVED and not format_uuid(made).startswith("-"):
            return made


def format_uuid(value: uuid.UUID) -> str:
    return base64.urlsafe_b64encode(value.bytes).decode().rstrip("=")


def parse_uuid(text: str) -> uuid.UUID:
    """Raises ValueError."""
    if len(text) != 22:
        raise ValueError(f"{text!r} is no id: it does not have 22 characters")
    return uuid.UUID(bytes=base64.b64decode(text + "==", altchars=b"-_", validate=True))


@dataclass(frozen=True, slots=True)
class MetaProperties:
    """Whose data directory this is: cluster, node, and the directory itself."""

    cluster_id: str
    node_id: int
    directory_id: str
    version: int = field(default=1, compare=False)
    """Of what was read; 0 is that of Kafka with ZooKeeper. Version 1 is written."""

    def format(self) -> bytes:
        date = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime())
        return (
            f"#\n#{date}\nnode.id={self.node_id}\ndirectory.id={self.directory_id}\nversion=1\n"
            f"cluster.id={self.cluster_id}\n"
        ).encode()

    @classmethod
    def parse(cls, data: bytes) -> MetaProperties:
        """Version 1, and version 0 with its `broker.id`. Raises ValueError."""
        values = {}
        for line in data.decode().splitlines():
            if line.strip() and not line.lstrip().startswith(("#", "!")):
                name, _, value = line.partition("=")
                values[name.strip()] = value.strip()
        version = values.get("version")
        if version not in ("0", "1"):
            raise ValueError(f"version {version} is not known")
        node_id = values.get("node.id" if version == "1" else "broker.id", "")
        cluster_id = values.get("cluster.id", "")
        if not cluster_id or not node_id.isdigit():
            raise ValueError("cluster.id or node.id is missing")
        directory_id = values.get("directory.id") or format_uuid(random_uuid())
        return cls(cluster_id, int(node_id), directory_id, int(version))


def format_partition_metadata(topic_id: uuid.UUID) -> bytes:
    return f"version: 0\ntopic_id: {format_uuid(topic_id)}".encode()


def parse_partition_metadata(data: bytes) -> uuid.UUID:
    """The topic id. Raises ValueError."""
    fields = [line.partition(": ") for line in data.decode().splitlines()]
    if len(fields) != 2 or fields[0][0] != "version" or fields[1][0] != "topic_id":
        raise ValueError("it is not made of a version and a topic id")
    if int(fields[0][2]) < 0:
        raise ValueError(f"unknown version {fields[0][2]}")
    topic_id = parse_uuid(fields[1][2])
    if not topic_id.int:
        raise ValueError("the topic id is zero")
    return topic_id
