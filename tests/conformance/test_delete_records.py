"""DeleteRecords: what readers see afterwards, now, after a restart, and after a kill."""

from __future__ import annotations

from typing import Any

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import (
    TIMEOUT_MS,
    create_topic,
    end_offset,
    fetch,
    list_offset,
    produce,
    wait_for_leaders,
)
from tests.conftest import StartBroker

OK = ErrorCode.none
EARLIEST = -2
TO_HIGH_WATERMARK = -1
COUNT = 10


def filled(client: RawClient, **configs: str) -> str:
    """A topic of one partition with ten batches of one record each."""
    settings = {name.replace("_", "."): value for name, value in configs.items()}
    topic, _ = create_topic(client, configs=settings)
    for number in range(COUNT):
        answer = produce(client, topic, {0: batch([record(value=b"%d" % number * 200)])})[0]
        assert answer.error_code is OK
    return topic


def delete(client: RawClient, topic: str, offset: int, partition: int = 0) -> Any:
    wanted = {"name": topic, "partitions": [{"partition_index": partition, "offset": offset}]}
    values = {"topics": [wanted], "timeout": TIMEOUT_MS}
    (answered,) = client.ask(ApiKey.DELETE_RECORDS, 2, values).topics
    (result,) = answered.partitions
    return result.error_code, result.low_watermark


def starts_at(client: RawClient, topic: str, offset: int) -> None:
    """Every way of looking at the partition agrees about its start."""
    found = list_offset(client, topic, EARLIEST)
    assert (found.error_code, found.offset) == (OK, offset)
    assert end_offset(client, topic) == COUNT
    if offset:
        below = fetch(client, topic, {0: offset - 1})[0]
        assert below.error_code is ErrorCode.offset_out_of_range
    here = fetch(client, topic, {0: offset})[0]
    assert (here.error_code, here.log_start_offset) == (OK, offset)
    assert bool(here.records) == (offset < COUNT)


@pytest.mark.parametrize("offset", [0, 1, 5, COUNT])
def test_readers_find_nothing_below_the_new_start(client: RawClient, offset: int) -> None:
    topic = filled(client)
    assert delete(client, topic, offset) == (OK, offset)
    starts_at(client, topic, offset)


def test_everything_is_deleted_up_to_the_high_watermark(client: RawClient) -> None:
    topic = filled(client)
    assert delete(client, topic, TO_HIGH_WATERMARK) == (OK, COUNT)
    starts_at(client, topic, COUNT)
    answer = produce(client, topic, {0: batch([record(value=b"next")])})[0]
    assert (answer.error_code, answer.base_offset, answer.log_start_offset) == (OK, COUNT, COUNT)


def test_the_start_never_goes_back(client: RawClient) -> None:
    topic = filled(client)
    assert delete(client, topic, 5) == (OK, 5)
    assert delete(client, topic, 3) == (OK, 5)
    starts_at(client, topic, 5)


def test_what_cannot_be_deleted(client: RawClient) -> None:
    topic = filled(client)
    for offset in (COUNT + 1, -2):
        assert delete(client, topic, offset) == (ErrorCode.offset_out_of_range, -1)
    unknown = (ErrorCode.unknown_topic_or_partition, -1)
    assert delete(client, topic, 1, partition=1) == unknown
    assert delete(client, "never-made", 1) == unknown
    starts_at(client, topic, 0)
    compacted = filled(client, cleanup_policy="compact")
    assert delete(client, compacted, 1) == (ErrorCode.policy_violation, -1)
    both = filled(client, cleanup_policy="compact,delete")
    assert delete(client, both, 1) == (OK, 1)


def test_internal_topics_keep_their_records(client: RawClient) -> None:
    find = {"key_type": 0, "coordinator_keys": ["some-group"]}
    client.ask(ApiKey.FIND_COORDINATOR, 6, find)
    wait_for_leaders(client, "__consumer_offsets", 1)
    answer = delete(client, "__consumer_offsets", 0)
    assert answer == (ErrorCode.invalid_topic_exception, -1)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_new_start_survives(start_broker: StartBroker, end: str) -> None:
    broker = start_broker()
    if end == "kill" and type(broker) is not BrokerProcess:
        pytest.skip("Kafka writes the start down once a minute only")
    with RawClient(broker.bootstrap_servers) as client:
        topics = {filled(client): 5, filled(client): COUNT}
        for topic, offset in topics.items():
            assert delete(client, topic, offset) == (OK, offset)
    getattr(broker, end)()
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        for topic, offset in topics.items():
            wait_for_leaders(client, topic, 1)
            starts_at(client, topic, offset)


def test_files_below_the_start_are_removed(start_broker: StartBroker) -> None:
    broker = start_broker()
    if type(broker) is not BrokerProcess:
        pytest.skip("Kafka removes files by and by")

    def bases(topic: str) -> list[int]:
        return sorted(int(path.stem) for path in broker.partition_dir(topic, 0).glob("*.log"))

    with RawClient(broker.bootstrap_servers) as client:
        topic, _ = create_topic(client, configs={"segment.bytes": str(1 << 20)})
        for _ in range(COUNT):
            answer = produce(client, topic, {0: batch([record(value=bytes(300_000))])})[0]
            assert answer.error_code is OK
        assert bases(topic) == [0, 3, 6, 9]
        assert delete(client, topic, 7) == (OK, 7)
        assert bases(topic) == [6, 9]
        starts_at(client, topic, 7)
        assert delete(client, topic, TO_HIGH_WATERMARK) == (OK, COUNT)
        assert bases(topic) == [COUNT]
