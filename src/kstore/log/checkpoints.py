"""The small text files of offsets: what is synced, where logs start, which epoch began where.

All have one form, Kafka's CheckpointFile: a line with the version, 0, a line with the number of
entries, then the entries, one a line. An empty file has no entries. Pure functions from values to
bytes and back; malformed bytes are a ValueError that says what is wrong.

Sources: Kafka's OffsetCheckpointFile, LeaderEpochCheckpointFile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = [
    "CHECKPOINTS",
    "CLEANER_OFFSETS",
    "EPOCHS",
    "HIGH_WATERMARKS",
    "LOG_START_OFFSETS",
    "RECOVERY_POINTS",
    "format_epochs",
    "format_offsets",
    "parse_epochs",
    "parse_offsets",
]

RECOVERY_POINTS = "recovery-point-offset-checkpoint"
LOG_START_OFFSETS = "log-start-offset-checkpoint"
HIGH_WATERMARKS = "replication-offset-checkpoint"
CLEANER_OFFSETS = "cleaner-offset-checkpoint"
CHECKPOINTS = (RECOVERY_POINTS, LOG_START_OFFSETS, HIGH_WATERMARKS, CLEANER_OFFSETS)
EPOCHS = "leader-epoch-checkpoint"

_VERSION = 0


def format_offsets(offsets: Mapping[tuple[str, int], int]) -> bytes:
    """`<topic> <partition> <offset>` for each partition, in the order of the mapping."""
    return _format(
        f"{topic} {partition} {offset}" for (topic, partition), offset in offsets.items()
    )


def parse_offsets(data: bytes) -> dict[tuple[str, int], int]:
    """Partition → offset. Raises ValueError."""
    offsets = {}
    for fields in _parse(data, 3):
        offsets[fields[0], int(fields[1])] = int(fields[2])
    return offsets


def format_epochs(epochs: Iterable[tuple[int, int]]) -> bytes:
    """`<epoch> <start offset>` for each epoch, the oldest first."""
    return _format(f"{epoch} {start_offset}" for epoch, start_offset in epochs)


def parse_epochs(data: bytes) -> list[tuple[int, int]]:
    """(epoch, start offset), as they stand in the file. Raises ValueError."""
    return [(int(fields[0]), int(fields[1])) for fields in _parse(data, 2)]


def _format(entries: Iterable[str]) -> bytes:
    lines = list(entries)
    return "\n".join([str(_VERSION), str(len(lines)), *lines, ""]).encode()


def _parse(data: bytes, field_count: int) -> list[list[str]]:
    if not data:
        return []
    version, *rest = data.decode().splitlines()
    if int(version) != _VERSION:
        raise ValueError(f"unknown version {version}")
    if not rest:
        raise ValueError("the number of entries is missing")
    count = int(rest[0])
    entries = [line.split() for line in rest[1:]]
    if count != len(entries):
        raise ValueError(f"{count} entries are promised, {len(entries)} are there")
    for line, fields in enumerate(entries, start=3):
        if len(fields) != field_count:
            raise ValueError(f"line {line} has {len(fields)} fields instead of {field_count}")
    return entries
