"""The records of Kafka's metadata log, as far as they say what a node serves.

A record is its frame version (1), its type and its version, as unsigned varints, and then a message
in the flexible form of the protocol. What they say of other things (registrations of brokers,
quotas, ACLs, ...) is not decoded. Pure functions; any thread.

Sources: Kafka's MetadataRecordSerde, metadata/src/main/resources/common/metadata/*.json (4.3.1).
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from kstore.wire.codec import DecodeError, decode
from kstore.wire.schema import Message, array, int8, int16, int32, int64, string, uuid

__all__ = [
    "NO_CHANGE",
    "RECORD_NAMES",
    "RECORD_TYPES",
    "AbortTransactionRecord",
    "BeginTransactionRecord",
    "ConfigRecord",
    "EndTransactionRecord",
    "FeatureLevelRecord",
    "MetadataRecord",
    "PartitionChangeRecord",
    "PartitionRecord",
    "ProducerIdsRecord",
    "RemoveTopicRecord",
    "TopicRecord",
    "ZkMigrationStateRecord",
    "decode_record",
]

_FRAME_VERSION = 1

NO_CHANGE = -2
"""As a leader in a change of a partition: the same as before."""


class TopicRecord(Message, api_key=2, versions="0", flexible="0+"):
    name: str = string("0+")
    topic_id: UUID = uuid("0+")


class PartitionRecord(Message, api_key=3, versions="0-2", flexible="0+"):
    partition_id: int = int32("0+", default=-1)
    topic_id: UUID = uuid("0+")
    replicas: list[int] = array(int32, "0+")
    isr: list[int] = array(int32, "0+")
    removing_replicas: list[int] = array(int32, "0+")
    adding_replicas: list[int] = array(int32, "0+")
    leader: int = int32("0+", default=-1)
    leader_epoch: int = int32("0+", default=-1)
    partition_epoch: int = int32("0+", default=-1)
    directories: list[UUID] = array(uuid, "1+")
    """The directory.id of each replica, in the order of `replicas`."""
    eligible_leader_replicas: list[int] | None = array(
        int32, "2+", nullable="2+", default=None, tag=1
    )


class ConfigRecord(Message, api_key=4, versions="0", flexible="0+"):
    resource_type: int = int8("0+")
    resource_name: str = string("0+")
    name: str = string("0+")
    value: str | None = string("0+", nullable="0+")
    """None: the config is removed."""


class PartitionChangeRecord(Message, api_key=5, versions="0-2", flexible="0+"):
    """What is None, or NO_CHANGE, stays as it is."""

    partition_id: int = int32("0+", default=-1)
    topic_id: UUID = uuid("0+")
    isr: list[int] | None = array(int32, "0+", nullable="0+", default=None, tag=0)
    leader: int = int32("0+", default=NO_CHANGE, tag=1)
    replicas: list[int] | None = array(int32, "0+", nullable="0+", default=None, tag=2)
    eligible_leader_replicas: list[int] | None = array(
        int32, "2+", nullable="2+", default=None, tag=6
    )
    directories: list[UUID] | None = array(uuid, "1+", nullable="1+", default=None, tag=8)


class RemoveTopicRecord(Message, api_key=9, versions="0", flexible="0+"):
    topic_id: UUID = uuid("0+")


class FeatureLevelRecord(Message, api_key=12, versions="0", flexible="0+"):
    name: str = string("0+")
    feature_level: int = int16("0+")


class ProducerIdsRecord(Message, api_key=15, versions="0", flexible="0+"):
    broker_id: int = int32("0+")
    broker_epoch: int = int64("0+", default=-1)
    next_producer_id: int = int64("0+")
    """The first id of the block that is given next."""


class ZkMigrationStateRecord(Message, api_key=21, versions="0", flexible="0+"):
    zk_migration_state: int = int8("0+")


class BeginTransactionRecord(Message, api_key=23, versions="0", flexible="0+"):
    """The records from here on count if an EndTransactionRecord follows (KIP-868)."""


class EndTransactionRecord(Message, api_key=24, versions="0", flexible="0+"):
    """No fields."""


class AbortTransactionRecord(Message, api_key=25, versions="0", flexible="0+"):
    """No fields of interest."""


RECORD_TYPES: dict[int, type[Message]] = {
    one.API_KEY: one
    for one in (
        TopicRecord,
        PartitionRecord,
        ConfigRecord,
        PartitionChangeRecord,
        RemoveTopicRecord,
        FeatureLevelRecord,
        ProducerIdsRecord,
        ZkMigrationStateRecord,
        BeginTransactionRecord,
        EndTransactionRecord,
        AbortTransactionRecord,
    )
}
"""The records that are decoded, by their numbers."""

RECORD_NAMES = {
    0: "RegisterBrokerRecord",
    1: "UnregisterBrokerRecord",
    7: "FenceBrokerRecord",
    8: "UnfenceBrokerRecord",
    10: "DelegationTokenRecord",
    11: "UserScramCredentialRecord",
    14: "ClientQuotaRecord",
    17: "BrokerRegistrationChangeRecord",
    18: "AccessControlEntryRecord",
    19: "RemoveAccessControlEntryRecord",
    20: "NoOpRecord",
    22: "RemoveUserScramCredentialRecord",
    26: "RemoveDelegationTokenRecord",
    27: "RegisterControllerRecord",
    28: "ClearElrRecord",
    **{number: one.__name__ for number, one in RECORD_TYPES.items()},
}
"""Kafka's names of all types of records up to 4.3."""


class MetadataRecord(NamedTuple):
    """A record; `message` is None for a type that is not decoded."""

    type: int
    message: Message | None


def decode_record(data: bytes) -> MetadataRecord:
    """The record that fills `data`. Raises DecodeError."""
    frame_version, position = _varint(data, 0)
    if frame_version != _FRAME_VERSION:
        raise DecodeError(f"the frame version {frame_version} is not known", 0)
    number, position = _varint(data, position)
    version, position = _varint(data, position)
    message_type = RECORD_TYPES.get(number)
    if message_type is None:
        return MetadataRecord(number, None)
    return MetadataRecord(number, decode(message_type, version, data, position))


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """An unsigned number of at most 15 bits, as Kafka's, and the position behind it."""
    value = 0
    for shift in range(0, 21, 7):
        if position == len(data):
            raise DecodeError("the record ends in its head", position)
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if value <= 0x7FFF:
                return value, position
            break
    raise DecodeError("a number in the record's head is too large", position)
