"""What the records of Kafka's metadata log add up to.

Records are replayed in the order of the log. A record that does not fit those before it means that
something is missing, and nothing of the whole can be believed then. One thread at a time.

Sources: Kafka's MetadataDelta and its parts, PartitionRegistration, MetadataBatchLoader.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from kstore.errors import StoreError
from kstore.metadata.importing.records import (
    NO_CHANGE,
    RECORD_NAMES,
    AbortTransactionRecord,
    BeginTransactionRecord,
    ConfigRecord,
    EndTransactionRecord,
    FeatureLevelRecord,
    MetadataRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RemoveTopicRecord,
    TopicRecord,
    ZkMigrationStateRecord,
)
from kstore.wire.schema import Message

__all__ = [
    "KafkaMetadata",
    "KafkaPartition",
    "KafkaTopic",
    "Replay",
    "UnreadableMetadataError",
]

TOPIC_RESOURCE = 2
BROKER_RESOURCE = 4

_PRE_MIGRATION = 2
"""The state in which ZooKeeper's metadata are not all in the log yet."""

# What no longer means anything once this node is alone, and what says nothing at all.
_OF_OTHER_NODES = frozenset({0, 1, 7, 8, 17, 20, 27, 28})


class UnreadableMetadataError(StoreError):
    """Kafka's metadata can't be read; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class KafkaPartition:
    """A partition in Kafka's metadata.

    `eligible` are replicas that left the in-sync ones with all that was committed, as at a clean
    stop (KIP-966); `directories` are those of the replicas, in their order, empty before Kafka 3.7.
    """

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader_epoch: int
    eligible: tuple[int, ...] = ()
    directories: tuple[UUID, ...] = ()

    def may_lack_records(self, node_id: int) -> bool:
        """Has another replica more than this node's, as far as Kafka knew?"""
        return self.replicas != (node_id,) and node_id not in self.isr + self.eligible

    def directory_of(self, node_id: int) -> UUID | None:
        """The directory.id of this node's replica, where it is known."""
        if node_id not in self.replicas or len(self.directories) != len(self.replicas):
            return None
        return self.directories[self.replicas.index(node_id)]


@dataclass(frozen=True, slots=True)
class KafkaTopic:
    """A topic in Kafka's metadata, its partitions by their numbers."""

    name: str
    topic_id: UUID
    partitions: dict[int, KafkaPartition] = field(default_factory=dict)


@dataclass(slots=True)
class KafkaMetadata:
    """All of it. `skipped` counts the records that were not taken over, by type."""

    topics: dict[UUID, KafkaTopic] = field(default_factory=dict)
    features: dict[str, int] = field(default_factory=dict)
    next_producer_id: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    torn_size: int = 0
    """Bytes at the end of the log that a crash has left behind, which are no record."""
    _configs: dict[tuple[int, str], dict[str, str]] = field(default_factory=dict)

    def topic_configs(self, name: str) -> Mapping[str, str]:
        return self._configs.get((TOPIC_RESOURCE, name), {})

    def broker_configs(self, name: str) -> Mapping[str, str]:
        """Those of one broker, or of all ("")."""
        return self._configs.get((BROKER_RESOURCE, name), {})

    def set_config(self, record: ConfigRecord) -> None:
        key = (record.resource_type, record.resource_name)
        if record.value is not None:
            self._configs.setdefault(key, {})[record.name] = record.value
        elif key in self._configs:
            self._configs[key].pop(record.name, None)

    def remove_topic(self, topic_id: UUID) -> None:
        """Raises KeyError."""
        topic = self.topics.pop(topic_id)
        self._configs.pop((TOPIC_RESOURCE, topic.name), None)


class Replay:
    """Takes the records one after the other; `finish` gives what they add up to."""

    def __init__(self) -> None:
        self._metadata = KafkaMetadata()
        self._transaction: list[Message] | None = None
        self._migration_state = 0

    def take(self, record: MetadataRecord) -> None:
        """Raises UnreadableMetadataError."""
        message = record.message
        if message is None:
            if record.type not in _OF_OTHER_NODES:
                name = RECORD_NAMES.get(record.type, f"type {record.type}")
                self._metadata.skipped[name] += 1
        elif isinstance(message, BeginTransactionRecord):
            self._transaction = []
        elif isinstance(message, EndTransactionRecord):
            ended, self._transaction = self._transaction or [], None
            for one in ended:
                self._apply(one)
        elif isinstance(message, AbortTransactionRecord):
            self._transaction = None
        elif self._transaction is not None:
            self._transaction.append(message)
        else:
            self._apply(message)

    def finish(self, torn_size: int = 0) -> KafkaMetadata:
        """What counts at the end: a transaction that has not ended does not. Raises
        UnreadableMetadataError."""
        if self._migration_state == _PRE_MIGRATION:
            raise UnreadableMetadataError("they had not all been copied from ZooKeeper yet")
        self._metadata.torn_size = torn_size
        return self._metadata

    def _apply(self, message: Message) -> None:
        try:
            self._apply_known(message)
        except KeyError:
            raise UnreadableMetadataError(
                f"a {type(message).__name__} speaks of a topic or partition that is not there"
            ) from None

    def _apply_known(self, message: Message) -> None:
        metadata = self._metadata
        if isinstance(message, TopicRecord):
            metadata.topics[message.topic_id] = KafkaTopic(message.name, message.topic_id)
        elif isinstance(message, PartitionRecord):
            metadata.topics[message.topic_id].partitions[message.partition_id] = KafkaPartition(
                tuple(message.replicas),
                tuple(message.isr),
                message.leader_epoch,
                tuple(message.eligible_leader_replicas or ()),
                tuple(message.directories),
            )
        elif isinstance(message, PartitionChangeRecord):
            partitions = metadata.topics[message.topic_id].partitions
            partitions[message.partition_id] = _changed(partitions[message.partition_id], message)
        elif isinstance(message, RemoveTopicRecord):
            metadata.remove_topic(message.topic_id)
        elif isinstance(message, ConfigRecord):
            metadata.set_config(message)
        elif isinstance(message, FeatureLevelRecord):
            metadata.features[message.name] = message.feature_level
        elif isinstance(message, ProducerIdsRecord):
            metadata.next_producer_id = message.next_producer_id
        elif isinstance(message, ZkMigrationStateRecord):
            self._migration_state = message.zk_migration_state


def _changed(partition: KafkaPartition, change: PartitionChangeRecord) -> KafkaPartition:
    led_anew = change.leader != NO_CHANGE
    eligible = change.eligible_leader_replicas
    return replace(
        partition,
        replicas=partition.replicas if change.replicas is None else tuple(change.replicas),
        isr=partition.isr if change.isr is None else tuple(change.isr),
        leader_epoch=partition.leader_epoch + 1 if led_anew else partition.leader_epoch,
        eligible=partition.eligible if eligible is None else tuple(eligible),
        directories=(
            partition.directories if change.directories is None else tuple(change.directories)
        ),
    )
