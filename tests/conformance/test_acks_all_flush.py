"""`kstore.acks.all.flush` with a real client: answers and consumers wait for the disk.

The disk is held up at the broker's call of fdatasync, in this process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import confluent_kafka.admin
import pytest
from kio.schema.errors import ErrorCode

from kstore.testing.broker import BrokerThread
from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import produce_values

TIMEOUT_S = 20
RECORDS = 200


class Disk:
    """Counts syncs of segments; while `held` they don't come back."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()
        self.count = 0
        self._sync = os.fdatasync

    def sync(self, descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".log"):
            self.count += 1
            self.entered.set()
            assert self.free.wait(TIMEOUT_S)
        self._sync(descriptor)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fdatasync", disk.sync)
    return disk


@pytest.fixture
def broker(tmp_path: Path, disk: Disk) -> Iterator[BrokerThread]:
    with BrokerThread(tmp_path / "data", {"kstore.acks.all.flush": "true"}) as broker:
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        made = admin.create_topics([confluent_kafka.admin.NewTopic("topic", 1)])
        made["topic"].result(TIMEOUT_S)
        yield broker
        disk.free.set()


class Sender:
    """A producer, and what it was told."""

    def __init__(self, broker: BrokerThread, acks: str) -> None:
        self.delivered = 0
        self.errors: list[int] = []
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "acks": acks,
                "linger.ms": 0,
                "batch.num.messages": 1,
                "retries": 0,
            }
        )

    def _told(self, error: confluent_kafka.KafkaError | None, _: object) -> None:
        if error is None:
            self.delivered += 1
        else:
            self.errors.append(error.code())

    def send(self, count: int) -> None:
        for number in range(count):
            self._producer.produce("topic", b"%d" % number, partition=0, on_delivery=self._told)

    def flush(self) -> None:
        assert self._producer.flush(TIMEOUT_S) == 0


def visible(broker: BrokerThread) -> int:
    """How many records a consumer may read."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "any"}
    )
    try:
        partition = confluent_kafka.TopicPartition("topic", 0)
        _, high = consumer.get_watermark_offsets(partition, timeout=TIMEOUT_S)
    finally:
        consumer.close()
    return int(high)


def test_acks_all_waits_for_the_disk_and_shares_its_syncs(broker: BrokerThread, disk: Disk) -> None:
    disk.free.clear()
    disk.entered.clear()
    everything, leader = Sender(broker, "all"), Sender(broker, "1")
    everything.send(RECORDS)
    assert disk.entered.wait(TIMEOUT_S)
    # acks=1 is answered without the disk, but nobody may read it yet.
    leader.send(1)
    leader.flush()
    assert leader.delivered == 1
    assert visible(broker) == 0
    assert everything.delivered == 0
    before = disk.count
    disk.free.set()
    everything.flush()
    assert everything.delivered == RECORDS
    assert not everything.errors
    assert visible(broker) == RECORDS + 1
    assert disk.count - before < RECORDS / 4


def test_an_answer_waits_no_longer_than_was_asked(broker: BrokerThread, disk: Disk) -> None:
    disk.free.clear()
    with RawClient(broker.bootstrap_servers) as client:
        values = produce_values("topic", {0: batch()}, acks=-1)
        reply = client.ask(ApiKey.PRODUCE, 9, {**values, "timeout": 20})
        assert reply.responses[0].partition_responses[0].error_code is ErrorCode.request_timed_out
        disk.free.set()
        reply = client.ask(ApiKey.PRODUCE, 9, values)
        # What took too long is in the log all the same, as in Kafka.
        assert reply.responses[0].partition_responses[0].base_offset == 1


def test_a_group_commits_offsets_that_are_on_disk(broker: BrokerThread, disk: Disk) -> None:
    sender = Sender(broker, "all")
    sender.send(1)
    sender.flush()
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "group",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    try:
        consumer.subscribe(["topic"])
        message = consumer.poll(TIMEOUT_S)
        assert message is not None
        assert message.error() is None
        before = disk.count
        consumer.commit(message, asynchronous=False)
        assert disk.count > before
        partition = confluent_kafka.TopicPartition("topic", 0)
        assert consumer.committed([partition], timeout=TIMEOUT_S)[0].offset == 1
    finally:
        consumer.close()
