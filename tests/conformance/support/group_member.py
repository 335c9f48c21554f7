"""A consumer of a group in a process of its own, so that a test can kill it as an accident would.

`python -m tests.conformance.support.group_member CLIENT BOOTSTRAP GROUP TOPIC` prints its
partitions as a JSON list each time they change, and runs until it is ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from contextlib import suppress

SESSION_TIMEOUT_MS = 6_000  # the least that a broker allows by default
HEARTBEAT_INTERVAL_MS = 500


class Reporter:
    """Prints the assignment when it is not what was printed last."""

    def __init__(self) -> None:
        self._last: list[int] | None = None

    def report(self, partitions: Iterable[int]) -> None:
        assignment = sorted(partitions)
        if assignment != self._last:
            self._last = assignment
            print(json.dumps(assignment), flush=True)


def run_confluent(bootstrap_servers: str, group: str, topic: str) -> None:
    from confluent_kafka import Consumer

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "partition.assignment.strategy": "range",
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": HEARTBEAT_INTERVAL_MS,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    reporter = Reporter()
    while True:
        consumer.poll(0.1)
        reporter.report(part.partition for part in consumer.assignment())


def run_kafka_python(bootstrap_servers: str, group: str, topic: str) -> None:
    from kafka import KafkaConsumer
    from kafka.coordinator.assignors.range import RangePartitionAssignor

    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
        auto_offset_reset="earliest",
    )
    reporter = Reporter()
    while True:
        consumer.poll(timeout_ms=100)
        reporter.report(part.partition for part in consumer.assignment())


async def run_aiokafka(bootstrap_servers: str, group: str, topic: str) -> None:
    from aiokafka import AIOKafkaConsumer
    from aiokafka.coordinator.assignors.range import RangePartitionAssignor

    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    reporter = Reporter()
    while True:
        await consumer.getmany(timeout_ms=100)
        reporter.report(part.partition for part in consumer.assignment())


def main() -> None:
    client, bootstrap_servers, group, topic = sys.argv[1:]
    with suppress(KeyboardInterrupt):
        if client == "confluent-kafka":
            run_confluent(bootstrap_servers, group, topic)
        elif client == "kafka-python":
            run_kafka_python(bootstrap_servers, group, topic)
        else:
            asyncio.run(run_aiokafka(bootstrap_servers, group, topic))


if __name__ == "__main__":
    main()
