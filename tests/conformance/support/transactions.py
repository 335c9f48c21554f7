"""Transactions as producers of confluent-kafka make them, and one that nobody will end."""

from __future__ import annotations

from confluent_kafka import Producer

import kstore
from tests.conformance.support.batches import batch, now_ms
from tests.conformance.support.broker import BrokerProcess

HOUR_MS = 3_600_000
TRANSACTIONAL = 0x10
DEADLINE_S = 30


def transactional_producer(broker: BrokerProcess, transactional_id: str) -> Producer:
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": transactional_id}
    )
    producer.init_transactions(DEADLINE_S)
    return producer


def begin(producer: Producer, *places: tuple[str, int]) -> None:
    """Begins a transaction that has sent a record to each of these partitions."""
    producer.begin_transaction()
    for topic, partition in places:
        producer.produce(topic, b"value", partition=partition)
    assert producer.flush(DEADLINE_S) == 0


def leave_hanging(broker: BrokerProcess, topic: str, producer_id: int) -> None:
    """Opens a transaction on partition 0 behind the back of every coordinator; for kstore alone.

    The broker is stopped meanwhile. The transaction is an hour old.
    """
    broker.stop()
    with kstore.open(broker.data_dir) as store:
        log = store.logs[topic, 0]
        data = batch(
            base_offset=log.log_end_offset,
            leader_epoch=log.leader_epoch,
            attributes=TRANSACTIONAL,
            producer_id=producer_id,
            producer_epoch=0,
            base_sequence=0,
            base_timestamp_ms=now_ms() - HOUR_MS,
        )
        log.append_verbatim(data)
    broker.start()
