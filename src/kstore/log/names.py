"""The names of files and directories: what they mean, and which are ours to touch.

Kafka's LogFileUtils and LocalLog. A file of a segment is its base offset in twenty digits and a
suffix; a partition's directory is `<topic>-<partition>`, cut at the last `-`.
"""

from __future__ import annotations

import re
import uuid
from typing import NamedTuple

from kstore.errors import ErrorCode, KafkaError

__all__ = [
    "CLEANED",
    "CLUSTER_METADATA",
    "DELETED",
    "INDEX",
    "LOG",
    "SNAPSHOT",
    "SWAP",
    "TIME_INDEX",
    "TRANSACTION_INDEX",
    "PartitionName",
    "check_partition",
    "deletion_name",
    "file_name",
    "future_name",
    "parse_directory",
    "parse_file",
    "partition_name",
    "stray_name",
]

LOG = ".log"
INDEX = ".index"
TIME_INDEX = ".timeindex"
TRANSACTION_INDEX = ".txnindex"
SNAPSHOT = ".snapshot"

# A second suffix, behind the first: what happens to the file.
DELETED = ".deleted"
CLEANED = ".cleaned"
SWAP = ".swap"

_MAX_NAME_LENGTH = 255
_MAX_OFFSET = (1 << 63) - 1
_FILE = re.compile(r"([0-9]{20})(\.(?:log|index|timeindex|txnindex|snapshot))((?:\.[a-z]+)?)")
_MARKED = re.compile(r"(\S+)-(\S+)\.(\S+)-(delete|future|stray)")
_MARKS = ("-delete", "-future", "-stray")

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")

CLUSTER_METADATA = "__cluster_metadata-0"
"""The directory of a Kafka cluster's own metadata."""

# Directories that stand in a data directory of Kafka but hold no partition that a broker serves.
_FOREIGN = frozenset({"remote-log-index-cache", CLUSTER_METADATA, "lost+found"})


class PartitionName(NamedTuple):
    """What the name of a directory says: `mark` is "", "delete", "future" or "stray"."""

    topic: str
    partition: int
    mark: str


def file_name(offset: int, suffix: str) -> str:
    return f"{offset:020d}{suffix}"


def parse_file(name: str) -> tuple[int, str, str] | None:
    """(offset, suffix, second suffix or "") of a segment's file or a snapshot, else None."""
    match = _FILE.fullmatch(name)
    if match is None or int(match[1]) > _MAX_OFFSET:
        return None
    return int(match[1]), match[2], match[3]


def check_partition(topic: str, partition: int) -> None:
    """Raises KafkaError for a topic or partition that can't have a directory (Kafka's Topic)."""
    if topic in (".", "..") or not _TOPIC.fullmatch(topic):
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"{topic!r} is no name for a topic")
    if not 0 <= partition < 1 << 31:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"{topic} can't have partition {partition}")


def partition_name(topic: str, partition: int) -> str:
    return f"{topic}-{partition}"


def _marked_name(topic: str, partition: int, mark: str) -> str:
    end = f"-{partition}.{uuid.uuid4().hex}-{mark}"
    return topic[: _MAX_NAME_LENGTH - len(end)] + end


def deletion_name(topic: str, partition: int) -> str:
    """A name for a partition's directory from when it is deleted until its files are gone."""
    return _marked_name(topic, partition, "delete")


def future_name(topic: str, partition: int) -> str:
    """A name for the directory of a partition's copy until it takes the partition's place."""
    return _marked_name(topic, partition, "future")


def stray_name(topic: str, partition: int) -> str:
    """A name for the directory of a partition that does not belong here."""
    return _marked_name(topic, partition, "stray")


def parse_directory(name: str) -> PartitionName | None:
    """What a directory in a data directory is, None if it is no partition's."""
    if name in _FOREIGN:
        return None
    mark = ""
    if name.endswith(_MARKS) and (match := _MARKED.fullmatch(name)):
        name = f"{match[1]}-{match[2]}"
        mark = match[4]
    topic, _, partition = name.rpartition("-")
    if not topic or not partition.isascii() or not partition.isdigit():
        return None
    return PartitionName(topic, int(partition), mark)
