"""Reading back what was acknowledged."""

from __future__ import annotations

import confluent_kafka

from tests.conformance.support.broker import BrokerProcess

DEADLINE_S = 20


def start_offset(broker: BrokerProcess, topic: str, partition: int = 0) -> int:
    """Where a partition begins for its readers."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "reader"}
    )
    try:
        place = confluent_kafka.TopicPartition(topic, partition)
        return int(consumer.get_watermark_offsets(place, timeout=DEADLINE_S)[0])
    finally:
        consumer.close()


def read_all(
    broker: BrokerProcess, topic: str, partition: int = 0, start: int = 0
) -> dict[int, bytes]:
    """Every record of a partition by its offset, as a consumer sees it."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",  # for a log that is let go of meanwhile
        }
    )
    found: dict[int, bytes] = {}
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, partition, start)])
        while True:
            message = consumer.poll(DEADLINE_S)
            assert message is not None, "the consumer got no answer"
            error = message.error()
            if error is not None:
                assert error.code() == confluent_kafka.KafkaError._PARTITION_EOF, error
                return found
            found[message.offset()] = message.value()
    finally:
        consumer.close()
