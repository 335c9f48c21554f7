"""Whole topics at an isolation level, and what a group has committed, as librdkafka tells them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

DEADLINE_S = 120
Answer = TypeVar("Answer")
# Of a broker that was started a moment ago.
NOT_YET = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
)


def read_to_end(
    bootstrap_servers: str, topic: str, partitions: Iterable[int], isolation: str
) -> dict[int, list[tuple[int, bytes]]]:
    """Offset and value of each record, up to the end that this level of isolation has now."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "none",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
        }
    )
    found: dict[int, list[tuple[int, bytes]]] = {partition: [] for partition in partitions}
    consumer.assign([TopicPartition(topic, partition, 0) for partition in found])
    unfinished = set(found)
    deadline = time.monotonic() + DEADLINE_S
    try:
        while unfinished:
            assert time.monotonic() < deadline, f"no end of {unfinished} of {topic}"
            for message in consumer.consume(1000, timeout=1):
                error = message.error()
                if error is None:
                    assert message.partition() in unfinished, "records behind the end"
                    found[message.partition()].append((message.offset(), message.value()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    unfinished.discard(message.partition())
    finally:
        consumer.close()
    return found


def committed_offsets(
    bootstrap_servers: str, group: str, topic: str, partitions: Iterable[int]
) -> list[int]:
    """The group's offset of each partition; 0 where it has none yet."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group})
    try:
        asked = [TopicPartition(topic, partition) for partition in partitions]
        found = _when_ready(lambda: consumer.committed(asked, timeout=30))
        return [max(0, one.offset) for one in found]
    finally:
        consumer.close()


def wait_until_stable(bootstrap_servers: str, topic: str, partitions: Iterable[int]) -> None:
    """Until no transaction is open: a commit is answered before its markers are everywhere."""
    deadline = time.monotonic() + DEADLINE_S
    while (stable := _ends(bootstrap_servers, topic, partitions, "read_committed")) != (
        ends := _ends(bootstrap_servers, topic, partitions, "read_uncommitted")
    ):
        assert time.monotonic() < deadline, f"stable up to {stable}, ends {ends} of {topic}"
        time.sleep(0.05)


def _ends(
    bootstrap_servers: str, topic: str, partitions: Iterable[int], isolation: str
) -> list[int]:
    settings = {"group.id": "none", "isolation.level": isolation}
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, **settings})
    try:
        return [
            _when_ready(lambda part=part: consumer.get_watermark_offsets(part, timeout=30)[1])
            for part in [TopicPartition(topic, partition) for partition in partitions]
        ]
    finally:
        consumer.close()


def _when_ready(ask: Callable[[], Answer]) -> Answer:
    """The answer, once the broker has leaders and coordinators again."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in NOT_YET or time.monotonic() > deadline:
                raise
        time.sleep(0.05)
