"""The partitions that this broker leads, found by topic name or by topic id.

Thread: the loop. A handler's look-up is one dict access whichever way the client names the topic.
"""

from __future__ import annotations

from collections.abc import Iterator

from kstore.broker.partition import Partition
from kstore.errors import ErrorCode, KafkaError

__all__ = ["Partitions"]


class Partitions:
    """Every `Partition`; `by_key` has it under `(name, index)` and `(16 bytes of the topic id,
    index)`, and is for reading only."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[str, int], Partition] = {}
        self.by_key: dict[tuple[str | bytes, int], Partition] = {}

    def __iter__(self) -> Iterator[Partition]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def add(self, partition: Partition) -> None:
        self._by_name[partition.topic, partition.index] = partition
        self.by_key[partition.topic, partition.index] = partition
        self.by_key[partition.topic_id.bytes, partition.index] = partition

    def remove(self, topic: str, index: int) -> Partition | None:
        """Forgets a partition and makes those who wait for it look again."""
        partition = self._by_name.pop((topic, index), None)
        if partition is not None:
            del self.by_key[topic, index]
            del self.by_key[partition.topic_id.bytes, index]
            partition.disturb()
        return partition

    def find(self, topic: str | bytes, index: int) -> Partition:
        """Raises KafkaError: UNKNOWN_TOPIC_ID or UNKNOWN_TOPIC_OR_PARTITION."""
        partition = self.by_key.get((topic, index))
        if partition is not None:
            return partition
        raise KafkaError(self.missing(topic))

    def missing(self, topic: str | bytes) -> ErrorCode:
        """What is wrong with a partition of that topic that is not here."""
        if isinstance(topic, bytes) and (topic, 0) not in self.by_key:
            return ErrorCode.UNKNOWN_TOPIC_ID
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def get(self, topic: str, index: int) -> Partition | None:
        return self._by_name.get((topic, index))
