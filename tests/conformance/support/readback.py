"""Whole partitions as a consumer sees them: every record with all that belongs to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import confluent_kafka

DEADLINE_S = 60


class Seen(NamedTuple):
    """A record as librdkafka gives it."""

    offset: int
    timestamp: tuple[int, int]
    """Its type (1 create time, 2 append time), and milliseconds."""
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    leader_epoch: int | None


def read_back(
    bootstrap_servers: str, topics: Mapping[str, int], isolation: str = "read_uncommitted"
) -> dict[str, list[Seen]]:
    """All records by partition (`topic-0`) of topics with so many partitions each, up to the end
    that a partition has when it is reached."""
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap_servers,
        "group.id": "read-back",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 10,
        "isolation.level": isolation,
    }
    consumer = confluent_kafka.Consumer(settings)
    places = [(topic, index) for topic, count in topics.items() for index in range(count)]
    found: dict[str, list[Seen]] = {f"{topic}-{index}": [] for topic, index in places}
    left = set(found)
    beginning = confluent_kafka.OFFSET_BEGINNING
    consumer.assign([confluent_kafka.TopicPartition(*place, beginning) for place in places])
    deadline = time.monotonic() + DEADLINE_S
    try:
        while left:
            assert time.monotonic() < deadline, f"partitions {left} have no end"
            message = consumer.poll(1)
            if message is None:
                continue
            error, name = message.error(), f"{message.topic()}-{message.partition()}"
            if error is None:
                found[name].append(_seen(message))
            elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                left.discard(name)
            else:
                raise confluent_kafka.KafkaException(error)
    finally:
        consumer.close()
    return found


def _seen(message: Any) -> Seen:
    return Seen(
        message.offset(),
        message.timestamp(),
        message.key(),
        message.value(),
        message.headers() or [],
        message.leader_epoch(),
    )


def committed_offsets(
    bootstrap_servers: str, group: str, topic: str, partition_count: int
) -> dict[int, tuple[int, str]]:
    """What a group has committed for a topic: offset and metadata by partition."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group})
    asked = [confluent_kafka.TopicPartition(topic, index) for index in range(partition_count)]
    try:
        told = consumer.committed(asked, timeout=30)
        return {one.partition: (one.offset, one.metadata or "") for one in told}
    finally:
        consumer.close()


def commit(
    bootstrap_servers: str, group: str, topic: str, offsets: dict[int, tuple[int, str]]
) -> None:
    """Commits offsets with metadata, as a group without members."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": group, "enable.auto.commit": False}
    )
    try:
        consumer.commit(
            offsets=[
                confluent_kafka.TopicPartition(topic, index, offset, metadata)
                for index, (offset, metadata) in offsets.items()
            ],
            asynchronous=False,
        )
    finally:
        consumer.close()
