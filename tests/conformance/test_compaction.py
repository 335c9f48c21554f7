"""Compaction as clients see it; the same on Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import wait_until
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import create_topic, end_offset
from tests.conftest import SETTINGS, broker_class

OFTEN = {**SETTINGS, "log.cleaner.backoff.ms": 50, "log.cleaner.dedupe.buffer.size": 4 << 20}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with broker_class()(tmp_path_factory.mktemp("broker"), OFTEN) as process:
        yield process


@pytest.fixture
def client(broker: BrokerProcess) -> Iterator[RawClient]:
    with RawClient(broker.bootstrap_servers) as connected:
        yield connected


def compacted_topic(client: RawClient, **configs: str) -> str:
    settings = {
        "cleanup.policy": "compact",
        "internal.segment.bytes": "2000",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "300",
    }
    topic, _ = create_topic(
        client, configs=settings | {name.replace("_", "."): v for name, v in configs.items()}
    )
    return topic


def send(
    broker: BrokerProcess, topic: str, pairs: list[tuple[str, str | None]], **how: str
) -> None:
    config = {"bootstrap.servers": broker.bootstrap_servers, "batch.num.messages": 10, **how}
    producer = Producer(config)
    failures: list[object] = []
    for key, value in pairs:
        producer.produce(
            topic, key=key, value=value, on_delivery=lambda error, _: failures.append(error)
        )
    assert producer.flush(20) == 0
    assert failures == [None] * len(pairs)


def consumed(broker: BrokerProcess, client: RawClient, topic: str) -> list[tuple[int, str, str]]:
    """(offset, key, value) of all that is there; the topic ends with a record of key `end`."""
    last = end_offset(client, topic)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
        found = []
        while not found or found[-1][0] < last - 1:
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            value = message.value()
            found.append(
                (message.offset(), message.key().decode(), "" if value is None else value.decode())
            )
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_the_last_value_of_each_key_is_left(
    broker: BrokerProcess, client: RawClient, codec: str
) -> None:
    topic = compacted_topic(client)
    pairs = [(f"key {number % 7}", f"{number} " * 20) for number in range(200)]
    send(broker, topic, pairs, **{"compression.type": codec})
    wanted = dict(pairs)

    def is_compacted() -> bool:
        # Something new in each round: Kafka compacts a log only while a part of it is dirty.
        send(broker, topic, [("filler", "x" * 500), ("end", "")])
        found = [one for one in consumed(broker, client, topic) if one[1].startswith("key")]
        assert {key: value for _, key, value in found} == wanted
        return len(found) == len(wanted)

    wait_until(is_compacted, "only last values", within_s=30)
    found = consumed(broker, client, topic)
    for offset, key, value in found:
        if key.startswith("key"):
            assert pairs[offset] == (key, value)


def test_a_tombstone_goes(broker: BrokerProcess, client: RawClient) -> None:
    topic = compacted_topic(client)
    send(broker, topic, [("gone", "value"), ("gone", None), ("left", "value")])

    def is_gone() -> bool:
        send(broker, topic, [("filler", "x" * 900), ("filler", "x" * 900), ("end", "")])
        keys = [key for _, key, _ in consumed(broker, client, topic)]
        assert "left" in keys
        return "gone" not in keys

    wait_until(is_gone, "no tombstone", within_s=30)
