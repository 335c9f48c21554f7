"""Retention by time and size, as clients see it; the same on Kafka."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition
from kio.schema.errors import ErrorCode

from tests.conformance.support.batches import batch, now_ms, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.config_verbs import alter_topic
from tests.conformance.support.pipeline import wait_until
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import (
    create_topic,
    end_offset,
    fetch,
    produce,
    start_of,
    wait_for_leaders,
)
from tests.conftest import SETTINGS, StartBroker, broker_class

OK = ErrorCode.none
COUNT = 10
HOUR_MS = 3_600_000
VALUE = bytes(200)
OFTEN = {
    **SETTINGS,
    "log.retention.check.interval.ms": 50,
    # Kafka's first look comes after half a minute. Ours comes after the interval.
    **({} if broker_class() is BrokerProcess else {"log.initial.task.delay.ms": 0}),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with broker_class()(tmp_path_factory.mktemp("broker"), OFTEN) as process:
        yield process


def filled(client: RawClient, old_count: int, **configs: str) -> str:
    """Ten batches of one record in segments of three, the first of them an hour old."""
    settings = {"internal.segment.bytes": "1000", "retention.ms": "-1"}
    settings |= {name.replace("_", "."): value for name, value in configs.items()}
    topic, _ = create_topic(client, configs=settings)
    for number in range(COUNT):
        timestamp_ms = now_ms() - (HOUR_MS if number < old_count else 0)
        data = batch([record(value=VALUE)], base_timestamp_ms=timestamp_ms)
        assert produce(client, topic, {0: data})[0].error_code is OK
    return topic


def wait_for_start(client: RawClient, topic: str, offset: int) -> None:
    """Until the partition starts there; from then on everybody agrees about it."""
    wait_until(lambda: start_of(client, topic) >= offset, f"the start at {offset}")
    assert start_of(client, topic) == offset
    assert end_offset(client, topic) == COUNT
    below = fetch(client, topic, {0: offset - 1})[0]
    assert below.error_code is ErrorCode.offset_out_of_range
    here = fetch(client, topic, {0: offset})[0]
    assert (here.error_code, here.log_start_offset) == (OK, offset)
    assert bool(here.records) == (offset < COUNT)


def test_segments_go_when_their_newest_record_is_too_old(client: RawClient) -> None:
    topic = filled(client, old_count=7)
    alter_topic(client, topic, retention_ms=str(HOUR_MS // 2))
    wait_for_start(client, topic, 6)  # the segment of 6 has records that are new
    alter_topic(client, topic, retention_ms="1")
    wait_for_start(client, topic, COUNT)
    alter_topic(client, topic, retention_ms="-1")
    answer = produce(client, topic, {0: batch([record(value=b"next")])})[0]
    assert (answer.error_code, answer.base_offset) == (OK, COUNT)


def test_segments_go_while_the_log_is_too_large(client: RawClient) -> None:
    topic = filled(client, old_count=0)
    size = len(batch([record(value=VALUE)]))
    alter_topic(client, topic, retention_bytes=str(5 * size))
    wait_for_start(client, topic, 3)  # without the segment of 3 less would be left
    alter_topic(client, topic, retention_bytes=str(4 * size))
    wait_for_start(client, topic, 6)
    alter_topic(client, topic, retention_bytes="0")
    wait_for_start(client, topic, COUNT)


@pytest.mark.parametrize("policy", ["compact", ""])
def test_only_what_is_to_be_deleted_goes(client: RawClient, policy: str) -> None:
    kept = filled(client, COUNT, cleanup_policy=policy, retention_ms="1", retention_bytes="0")
    for _ in range(2):  # a whole pass, at least, between the two
        topic = filled(client, COUNT, retention_ms="1")
        wait_for_start(client, topic, COUNT)
    assert start_of(client, kept) == 0
    assert fetch(client, kept, {0: 0})[0].error_code is OK


def test_a_consumer_goes_on_where_the_log_begins_now(
    broker: BrokerProcess, client: RawClient
) -> None:
    topic = filled(client, old_count=6)
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": "retained",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, 0, 1)])
        first = consumer.poll(10)
        assert first is not None
        assert first.offset() == 1
        alter_topic(client, topic, retention_ms=str(HOUR_MS // 2))
        wait_for_start(client, topic, 6)
        consumer.seek(TopicPartition(topic, 0, 2))
        offsets = []
        while not offsets or offsets[-1] < COUNT - 1:
            message = consumer.poll(10)
            assert message is not None
            assert message.error() is None
            offsets.append(message.offset())
        assert offsets == [6, 7, 8, 9]
    finally:
        consumer.close()


def test_files_leave_the_disk_after_file_delete_delay_ms(
    broker: BrokerProcess, client: RawClient
) -> None:
    def names(topic: str) -> set[str]:
        return {path.name for path in broker.partition_dir(topic, 0).glob("0*.log*")}

    later = filled(client, old_count=6)
    alter_topic(client, later, retention_ms=str(HOUR_MS // 2))
    soon = filled(client, old_count=6, file_delete_delay_ms="0")
    alter_topic(client, soon, retention_ms=str(HOUR_MS // 2))
    left = {f"{offset:020d}.log" for offset in (6, 9)}
    aside = {f"{offset:020d}.log.deleted" for offset in (0, 3)}
    wait_until(lambda: names(soon) == left, "the files gone")
    wait_until(lambda: names(later) == left | aside, "the files renamed")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_is_gone_does_not_come_back(start_broker: StartBroker, end: str) -> None:
    broker = start_broker(OFTEN)
    with RawClient(broker.bootstrap_servers) as client:
        topics = {filled(client, 6): 6, filled(client, COUNT): COUNT}
        for topic, start in topics.items():
            alter_topic(client, topic, retention_ms=str(HOUR_MS // 2))
            wait_for_start(client, topic, start)
            first = broker.partition_dir(topic, 0) / f"{0:020d}.log"
            wait_until(lambda at=first: not at.exists(), "the files renamed")
    getattr(broker, end)()
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        for topic, start in topics.items():
            wait_for_leaders(client, topic, 1)
            wait_for_start(client, topic, start)
            if type(broker) is BrokerProcess:
                assert not list(broker.partition_dir(topic, 0).glob("*.deleted"))


def test_the_brokers_configs_hold_for_topics_that_have_none(start_broker: StartBroker) -> None:
    broker = start_broker({**OFTEN, "log.retention.minutes": 30, "log.roll.hours": 2})
    with RawClient(broker.bootstrap_servers) as client:
        # A look while half of the records are there would find them all old, and take them all.
        topic = filled(client, old_count=7)
        alter_topic(client, topic, retention_ms=None)
        wait_for_start(client, topic, 6)
