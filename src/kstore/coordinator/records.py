"""Codecs of the records that coordinators store in `__consumer_offsets`.

The bytes are Kafka's (its `OffsetCommitKey.json` … `GroupMetadataValue.json`, 4.3): a key is its
record type as int16 and its body, a value its version as int16 and its body, no value is a
tombstone. We write what Kafka 4.3 writes: offset commits as value version 4 (1 if the client set
a retention time), group metadata as version 3. All older versions, and version 4 of group
metadata, which no Kafka has written yet, can be read.

Every length is checked against the bytes that are left. Bytes that are not such a record raise
`MalformedRecordError`; a record of a type that we don't know (KIP-848, share and streams groups)
is an `UnknownRecord`, and stays in the log for those who know it. Pure functions; any thread.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kstore.coordinator.fields import NO_UUID, MalformedRecordError, Reader, Writer

__all__ = [
    "NO_UUID",
    "GroupMetadata",
    "GroupMetadataRecord",
    "MalformedRecordError",
    "OffsetCommit",
    "OffsetCommitRecord",
    "PendingOffsetRecord",
    "StoredMember",
    "StoredRecord",
    "UnknownRecord",
    "decode_record",
]

T = TypeVar("T")

LEGACY_OFFSET_COMMIT = 0
OFFSET_COMMIT = 1
GROUP_METADATA = 2

_NEWEST_VALUE_VERSION = 4
_GROUP_METADATA_VERSION = 3
_TOPIC_ID_TAG = 0

_TYPE = struct.Struct(">h")
_MIN_MEMBER_SIZE = 8  # of any version: fewer bytes can't hold even an empty member


@dataclass(frozen=True, slots=True)
class OffsetCommit:
    """What a group has committed for one partition (Kafka's `OffsetCommitValue`).

    Timestamps are wall-clock milliseconds; `expire_timestamp_ms` is -1 unless the client asked
    for a retention time of its own, `topic_id` zero if it is not known.
    """

    offset: int
    leader_epoch: int = -1
    metadata: str = ""
    commit_timestamp_ms: int = -1
    expire_timestamp_ms: int = -1
    topic_id: uuid.UUID = NO_UUID


@dataclass(frozen=True, slots=True)
class OffsetCommitRecord:
    """A group's offset of one partition; without a value, its removal."""

    group_id: str
    topic: str
    partition: int
    value: OffsetCommit | None

    def encode(self) -> tuple[bytes, bytes | None]:
        """Key and value for the log."""
        key = Writer()
        key.int16(OFFSET_COMMIT)
        key.string(self.group_id)
        key.string(self.topic)
        key.int32(self.partition)
        return key.done(), None if self.value is None else _encode_offset(self.value)


@dataclass(frozen=True, slots=True)
class PendingOffsetRecord:
    """A group's offset that a producer's open transaction will have committed, or not.

    Stored as any other offset, in a batch of the transaction. A commit without a value is one that
    a later offset has made void.
    """

    producer_id: int
    commit: OffsetCommitRecord

    def encode(self) -> tuple[bytes, bytes | None]:
        """Key and value for the log."""
        return self.commit.encode()


@dataclass(frozen=True, slots=True)
class StoredMember:
    """A member of a stored generation: its subscription under the chosen protocol, its part."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    subscription: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class GroupMetadata:
    """A generation of a classic group (Kafka's `GroupMetadataValue`)."""

    protocol_type: str
    generation: int
    protocol: str | None
    leader: str | None
    state_timestamp_ms: int
    members: tuple[StoredMember, ...]


@dataclass(frozen=True, slots=True)
class GroupMetadataRecord:
    """The newest generation of a group; without a value, the group's removal."""

    group_id: str
    value: GroupMetadata | None

    def encode(self) -> tuple[bytes, bytes | None]:
        """Key and value for the log."""
        key = Writer()
        key.int16(GROUP_METADATA)
        key.string(self.group_id)
        return key.done(), None if self.value is None else _encode_group(self.value)


@dataclass(frozen=True, slots=True)
class UnknownRecord:
    """A record of another kind of group; we leave it alone."""

    record_type: int


StoredRecord = OffsetCommitRecord | GroupMetadataRecord | UnknownRecord


def decode_record(key: bytes | None, value: bytes | None) -> StoredRecord:
    """The record behind `key` and `value`; raises `MalformedRecordError`."""
    if key is None:
        raise MalformedRecordError("a coordinator's record needs a key")
    reader = Reader(key)
    record_type = reader.int16()
    if record_type in (OFFSET_COMMIT, LEGACY_OFFSET_COMMIT):
        group_id, topic, partition = reader.string(), reader.string(), reader.int32()
        return OffsetCommitRecord(group_id, topic, partition, _decode_value(value, _decode_offset))
    if record_type == GROUP_METADATA:
        return GroupMetadataRecord(reader.string(), _decode_value(value, _decode_group))
    return UnknownRecord(record_type)


def _decode_value(value: bytes | None, decode: Callable[[Reader, int], T]) -> T | None:
    if value is None:
        return None
    reader = Reader(value)
    version = reader.int16()
    if not 0 <= version <= _NEWEST_VALUE_VERSION:
        raise MalformedRecordError(f"version {version} of a stored value is not known")
    return decode(reader, version)


def _encode_offset(value: OffsetCommit) -> bytes:
    writer = Writer()
    if value.expire_timestamp_ms >= 0:
        writer.int16(1)
        writer.int64(value.offset)
        writer.string(value.metadata)
        writer.int64(value.commit_timestamp_ms)
        writer.int64(value.expire_timestamp_ms)
        return writer.done()
    writer.int16(4)
    writer.int64(value.offset)
    writer.int32(value.leader_epoch)
    writer.compact_string(value.metadata)
    writer.int64(value.commit_timestamp_ms)
    if value.topic_id == NO_UUID:
        writer.tags({})
    else:
        writer.tags({_TOPIC_ID_TAG: value.topic_id.bytes})
    return writer.done()


def _decode_offset(reader: Reader, version: int) -> OffsetCommit:
    flexible = version >= 4
    offset = reader.int64()
    leader_epoch = reader.int32() if version >= 3 else -1
    metadata = reader.compact_string() if flexible else reader.string()
    commit_timestamp_ms = reader.int64()
    expire_timestamp_ms = reader.int64() if version == 1 else -1
    topic_id = NO_UUID
    if flexible:
        tagged = reader.tags().get(_TOPIC_ID_TAG)
        if tagged is not None:
            topic_id = Reader(tagged).unique_id()
    return OffsetCommit(
        offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms, topic_id
    )


def _encode_group(value: GroupMetadata) -> bytes:
    writer = Writer()
    writer.int16(_GROUP_METADATA_VERSION)
    writer.string(value.protocol_type)
    writer.int32(value.generation)
    writer.nullable_string(value.protocol)
    writer.nullable_string(value.leader)
    writer.int64(value.state_timestamp_ms)
    writer.int32(len(value.members))
    for member in value.members:
        writer.string(member.member_id)
        writer.nullable_string(member.instance_id)
        writer.string(member.client_id)
        writer.string(member.client_host)
        writer.int32(member.rebalance_timeout_ms)
        writer.int32(member.session_timeout_ms)
        writer.data(member.subscription)
        writer.data(member.assignment)
    return writer.done()


def _decode_group(reader: Reader, version: int) -> GroupMetadata:
    flexible = version >= 4
    string = reader.compact_string if flexible else reader.string
    nullable = reader.compact_nullable_string if flexible else reader.nullable_string
    protocol_type = string()
    generation = reader.int32()
    protocol = nullable()
    leader = nullable()
    state_timestamp_ms = reader.int64() if version >= 2 else -1
    count = reader.compact_count(_MIN_MEMBER_SIZE) if flexible else reader.count(_MIN_MEMBER_SIZE)
    members = tuple(_decode_member(reader, version) for _ in range(count))
    if flexible:
        reader.tags()
    return GroupMetadata(protocol_type, generation, protocol, leader, state_timestamp_ms, members)


def _decode_member(reader: Reader, version: int) -> StoredMember:
    flexible = version >= 4
    string = reader.compact_string if flexible else reader.string
    field = reader.compact_data if flexible else reader.data
    member_id = string()
    instance_id = None
    if version >= 3:
        instance_id = reader.compact_nullable_string() if flexible else reader.nullable_string()
    client_id = string()
    client_host = string()
    rebalance_timeout_ms = reader.int32() if version >= 1 else -1
    session_timeout_ms = reader.int32()
    member = StoredMember(
        member_id=member_id,
        instance_id=instance_id,
        client_id=client_id,
        client_host=client_host,
        # As Kafka's replay: version 0 knew the session timeout only.
        rebalance_timeout_ms=session_timeout_ms
        if rebalance_timeout_ms == -1
        else rebalance_timeout_ms,
        session_timeout_ms=session_timeout_ms,
        subscription=field(),
        assignment=field(),
    )
    if flexible:
        reader.tags()
    return member
