"""Transactional producers of confluent-kafka and aiokafka, and what readers see of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiokafka
import confluent_kafka
import pytest

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic

DEADLINE_S = 30


def read(broker: BrokerProcess, topic: str, isolation: str, last: bytes) -> list[bytes]:
    """The values of a topic's one partition, up to `last`."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "reader",
            "enable.auto.commit": False,
            "isolation.level": isolation,
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    deadline = time.monotonic() + DEADLINE_S
    try:
        while last not in values:
            assert time.monotonic() < deadline, f"only {values}"
            message = consumer.poll(0.1)
            if message is not None:
                assert message.error() is None, message.error()
                values.append(message.value())
    finally:
        consumer.close()
    return values


def committed_offset(broker: BrokerProcess, topic: str, group_id: str) -> int:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": group_id}
    )
    try:
        (found,) = consumer.committed([confluent_kafka.TopicPartition(topic, 0)], timeout=30)
    finally:
        consumer.close()
    assert found.error is None, found.error
    return int(found.offset)


OUTCOMES = [(b"1", True), (b"2", False), (b"3", True), (b"4", True), (b"5", False), (b"6", True)]
COMMITTED = [value for value, commit in OUTCOMES if commit]


def with_confluent(broker: BrokerProcess, topic: str) -> None:
    """A transaction for each outcome: a value, and an offset with it."""
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": f"{topic}-producer"}
    )
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": topic}
    )
    try:
        producer.init_transactions(DEADLINE_S)
        for number, (value, commit) in enumerate(OUTCOMES, 1):
            producer.begin_transaction()
            producer.produce(topic, value, partition=0)
            producer.flush(DEADLINE_S)  # what is not sent yet when it is aborted never is
            offsets = [confluent_kafka.TopicPartition(topic, 0, number)]
            producer.send_offsets_to_transaction(
                offsets, consumer.consumer_group_metadata(), DEADLINE_S
            )
            if commit:
                producer.commit_transaction(DEADLINE_S)
            else:
                producer.abort_transaction(DEADLINE_S)
    finally:
        consumer.close()


def with_aiokafka(broker: BrokerProcess, topic: str) -> None:
    async def run() -> None:
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=broker.bootstrap_servers, transactional_id=f"{topic}-producer"
        )
        await producer.start()
        try:
            for number, (value, commit) in enumerate(OUTCOMES, 1):
                await producer.begin_transaction()
                await producer.send_and_wait(topic, value, partition=0)
                offsets = {aiokafka.TopicPartition(topic, 0): number}
                await producer.send_offsets_to_transaction(offsets, topic)
                if commit:
                    await producer.commit_transaction()
                else:
                    await producer.abort_transaction()
        finally:
            await producer.stop()

    asyncio.run(asyncio.wait_for(run(), DEADLINE_S))


@pytest.mark.parametrize("write", [with_confluent, with_aiokafka])
def test_clients_see_what_was_committed(
    broker: BrokerProcess, write: Callable[[BrokerProcess, str], None]
) -> None:
    topic = f"transactions-{write.__name__}"
    create_topic(broker.bootstrap_servers, topic, 1)
    write(broker, topic)
    assert read(broker, topic, "read_committed", b"6") == COMMITTED
    assert read(broker, topic, "read_uncommitted", b"6") == [value for value, _ in OUTCOMES]
    assert committed_offset(broker, topic, topic) == len(OUTCOMES)


def test_a_client_that_was_fenced_is_told(broker: BrokerProcess) -> None:
    topic = "transactions-fenced"
    create_topic(broker.bootstrap_servers, topic, 1)
    settings = {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": topic}
    first, second = confluent_kafka.Producer(settings), confluent_kafka.Producer(settings)
    first.init_transactions(DEADLINE_S)
    first.begin_transaction()
    first.produce(topic, b"lost", partition=0)
    first.flush(DEADLINE_S)
    second.init_transactions(DEADLINE_S)
    second.begin_transaction()
    second.produce(topic, b"kept", partition=0)
    with pytest.raises(confluent_kafka.KafkaException) as fenced:
        first.commit_transaction(DEADLINE_S)
    assert fenced.value.args[0].code() == confluent_kafka.KafkaError._FENCED
    second.commit_transaction(DEADLINE_S)
    assert read(broker, topic, "read_committed", b"kept") == [b"kept"]
