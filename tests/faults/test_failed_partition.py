"""A partition that can't be loaded is offline; the broker serves the others."""

from __future__ import annotations

from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kstore.testing import BrokerThread


def send(bootstrap_servers: str, partition: int, value: bytes) -> KafkaError | None:
    """What became of one record, tried for two seconds."""
    outcomes: list[KafkaError | None] = []

    def told(error: KafkaError | None, _: Message) -> None:
        outcomes.append(error)

    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "retries": 0, "delivery.timeout.ms": 2000}
    )
    producer.produce("t", value, partition=partition, on_delivery=told)
    assert producer.flush(20) == 0
    (outcome,) = outcomes
    return outcome


def first_value(bootstrap_servers: str, partition: int) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "none"})
    try:
        consumer.assign([TopicPartition("t", partition, 0)])
        message = consumer.poll(20)
        return None if message is None else message.value()
    finally:
        consumer.close()


def test_a_damaged_partition_takes_no_other_with_it(tmp_path: Path) -> None:
    with BrokerThread(tmp_path) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        admin.create_topics([NewTopic("t", 2, 1)])["t"].result(20)
        assert send(broker.bootstrap_servers, 0, b"lost from sight") is None
        assert send(broker.bootstrap_servers, 1, b"kept") is None
    segment = tmp_path / "t-0" / "00000000000000000000.log"
    aside = segment.rename(tmp_path / "aside")
    segment.mkdir()  # what can't be read as a file, also by root
    with BrokerThread(tmp_path) as broker:
        assert first_value(broker.bootstrap_servers, 1) == b"kept"
        error = send(broker.bootstrap_servers, 0, b"refused")
        assert error is not None
        assert error.code() == KafkaError.KAFKA_STORAGE_ERROR, error
        assert send(broker.bootstrap_servers, 1, b"goes on") is None
    segment.rmdir()
    aside.rename(segment)
    with BrokerThread(tmp_path) as broker:
        assert first_value(broker.bootstrap_servers, 0) == b"lost from sight"
