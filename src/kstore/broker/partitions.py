"""The partitions that this broker leads, found by topic name or by topic id.

Thread: the loop. A handler's look-up is one dict access whichever way the client names the topic.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from kstore.broker.partition import Partition
from kstore.errors import ErrorCode, KafkaError

__all__ = ["Partitions"]


class Partitions:
    """Every `Partition`; `by_key` has it under `(name, index)` and `(16 bytes of the topic id,
    index)`, and is for reading only."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, int], Partition] = {}
        self.by_key: dict[tuple[str | bytes, int], Partition] = {}
        self._offline: dict[tuple[str | bytes, int], UUID] = {}

    def __iter__(self) -> Iterator[Partition]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, partition: Partition) -> None:
        self._come_back(partition.topic, partition.index)
        self._by_name[partition.topic, partition.index] = partition
        self.by_key[partition.topic, partition.index] = partition
        self.by_key[partition.topic_id.bytes, partition.index] = partition

    def remove(self, topic: str, index: int) -> Partition | None:
        """Forgets a partition and makes those who wait for it look again."""
        self._come_back(topic, index)
        partition = self._drop(topic, index)
        if partition is not None:
            partition.disturb()
        return partition

    def _drop(self, topic: str, index: int) -> Partition | None:
        partition = self._by_name.pop((topic, index), None)
        if partition is not None:
            del self.by_key[topic, index]
            del self.by_key[partition.topic_id.bytes, index]
        return partition

    def _come_back(self, topic: str, index: int) -> None:
        topic_id = self._offline.pop((topic, index), None)
        if topic_id is not None:
            del self._offline[topic_id.bytes, index]

    def take_offline(self, topic: str, topic_id: UUID, index: int) -> None:
        """The partition is this broker's, but its log can't be had; those who wait look again."""
        self._offline[topic, index] = topic_id
        self._offline[topic_id.bytes, index] = topic_id
        partition = self._drop(topic, index)
        if partition is not None:
            partition.disturb()

    @property
    def any_offline(self) -> bool:
        """Is there a partition that is offline?"""
        return bool(self._offline)

    def is_offline(self, topic: str, index: int) -> bool:
        """Can a partition neither be read nor written, as its data directory has failed?"""
        return (topic, index) in self._offline

    def find(self, topic: str | bytes, index: int) -> Partition:
        """Raises KafkaError: UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR."""
        partition = self.by_key.get((topic, index))
        if partition is not None:
            return partition
        raise KafkaError(self.missing(topic, index))

    def missing(self, topic: str | bytes, index: int) -> ErrorCode:
        """What is wrong with a partition that is not among those that are led."""
        if (topic, index) in self._offline:
            return ErrorCode.KAFKA_STORAGE_ERROR
        first = (topic, 0)
        if isinstance(topic, bytes) and first not in self.by_key and first not in self._offline:
            return ErrorCode.UNKNOWN_TOPIC_ID
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def get(self, topic: str, index: int) -> Partition | None:
        return self._by_name.get((topic, index))
