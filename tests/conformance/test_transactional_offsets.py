"""Consume, transform, produce, with librdkafka: records and offsets count together, or not."""

from __future__ import annotations

import time
from collections.abc import Iterator

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic
from tests.conformance.support.verbs import new_name
from tests.conftest import StartBroker

DEADLINE_S = 20
GROUP = "pipeline"


class Pipeline:
    """Reads `source` and writes what it read to `target`, in transactions."""

    def __init__(self, broker: BrokerProcess) -> None:
        self.servers = broker.bootstrap_servers
        self.source, self.target = new_name("source"), new_name("target")
        for topic in (self.source, self.target):
            create_topic(self.servers, topic, 1)
        self.consumer = self.reader(GROUP)
        self.consumer.subscribe([self.source])
        self.producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self.servers,
                "transactional.id": new_name("pipeline"),
                # Else librdkafka 2.16 takes the broker for another one after a kill, and waits for
                # ever for the group's coordinator that it remembers.
                "metadata.recovery.strategy": "none",
            }
        )
        self.producer.init_transactions(DEADLINE_S)

    def reader(self, group: str) -> confluent_kafka.Consumer:
        return confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
            }
        )

    def fill(self, count: int) -> None:
        producer = confluent_kafka.Producer({"bootstrap.servers": self.servers})
        for number in range(count):
            producer.produce(self.source, b"%d" % number)
        assert producer.flush(DEADLINE_S) == 0

    def move(self, count: int) -> None:
        """Begins a transaction with the next `count` records; it is yet to be ended."""
        self.producer.begin_transaction()
        taken = 0
        deadline = time.monotonic() + DEADLINE_S
        while taken < count:
            assert time.monotonic() < deadline, f"{taken} of {count} records came"
            message = self.consumer.poll(1)
            if message is not None and message.error() is None:
                self.producer.produce(self.target, message.value())
                taken += 1
        assert self.producer.flush(DEADLINE_S) == 0
        self.producer.send_offsets_to_transaction(
            self.consumer.position(self.consumer.assignment()),
            self.consumer.consumer_group_metadata(),
            DEADLINE_S,
        )

    def go_back(self) -> None:
        """The consumer goes on where the group has committed."""
        committed = self.consumer.committed(self.consumer.assignment(), DEADLINE_S)
        for partition in committed:
            self.consumer.seek(TopicPartition(partition.topic, 0, max(partition.offset, 0)))

    def moved(self, count: int) -> list[int]:
        """What is in the target, for who reads what is committed."""
        consumer = self.reader("none")
        consumer.assign([TopicPartition(self.target, 0, 0)])
        found: list[int] = []
        deadline = time.monotonic() + DEADLINE_S
        try:
            while len(found) < count:
                assert time.monotonic() < deadline, f"{len(found)} of {count} records are there"
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    found.append(int(message.value() or b""))
            message = consumer.poll(0.1)
            assert message is None or message.error() is not None
        finally:
            consumer.close()
        return found

    def close(self) -> None:
        self.consumer.close()


@pytest.fixture
def pipelines() -> Iterator[list[Pipeline]]:
    made: list[Pipeline] = []
    yield made
    for pipeline in made:
        pipeline.close()


def test_records_and_offsets_are_committed_together(
    broker: BrokerProcess, pipelines: list[Pipeline]
) -> None:
    pipeline = Pipeline(broker)
    pipelines.append(pipeline)
    pipeline.fill(30)
    pipeline.move(10)
    pipeline.producer.commit_transaction(DEADLINE_S)
    pipeline.move(10)
    pipeline.producer.abort_transaction(DEADLINE_S)
    pipeline.go_back()
    pipeline.move(20)
    pipeline.producer.commit_transaction(DEADLINE_S)
    assert pipeline.moved(30) == list(range(30))
    (committed,) = pipeline.consumer.committed([TopicPartition(pipeline.source, 0)], DEADLINE_S)
    assert committed.offset == 30


@pytest.mark.slow
@pytest.mark.parametrize("commit", [True, False])
def test_a_kill_in_the_middle_of_a_transaction(
    start_broker: StartBroker, pipelines: list[Pipeline], commit: bool
) -> None:
    broker = start_broker(
        {"offsets.topic.num.partitions": 1, "transaction.state.log.num.partitions": 1}
    )
    pipeline = Pipeline(broker)
    pipelines.append(pipeline)
    pipeline.fill(20)
    pipeline.move(10)
    broker.kill()
    broker.start()
    if commit:
        pipeline.producer.commit_transaction(DEADLINE_S)
    else:
        pipeline.producer.abort_transaction(DEADLINE_S)
        pipeline.go_back()
    pipeline.move(10)
    pipeline.producer.commit_transaction(DEADLINE_S)
    count = 20 if commit else 10
    assert pipeline.moved(count) == list(range(count))
