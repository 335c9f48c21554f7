"""Partitions added to topics, and topics and clusters described."""

from __future__ import annotations

from typing import Any

import pytest
from kio.schema.describe_topic_partitions.v0.request import Cursor
from kio.schema.errors import ErrorCode
from kio.schema.types import TopicName
from kio.static.primitive import i32

from kstore.wire.versions import ApiKey
from tests.conformance.support.api_scenarios import record_batch
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import (
    TIMEOUT_MS,
    create_topic,
    describe_topic,
    end_offset,
    new_name,
    produce,
    wait_for_leaders,
)
from tests.conftest import StartBroker

OK = ErrorCode.none
BAD_ASSIGNMENT = ErrorCode.invalid_replica_assignment
MISMATCHED_ENDPOINT_TYPE, UNSUPPORTED_ENDPOINT_TYPE = 114, 115
CONTROLLERS = 2


def more(
    client: RawClient, *topics: tuple[str, int, list[list[int]] | None], **others: Any
) -> dict[str, Any]:
    wanted = [
        {
            "name": name,
            "count": count,
            "assignments": None if ids is None else [{"broker_ids": one} for one in ids],
        }
        for name, count, ids in topics
    ]
    values = {"topics": wanted, "timeout": TIMEOUT_MS, **others}
    results = client.ask(ApiKey.CREATE_PARTITIONS, 3, values).results
    return {result.name: result for result in results}


def partition_count(client: RawClient, name: str) -> int:
    return len(describe_topic(client, name).partitions)


REFUSED = {
    "as many as there are": (2, None, ErrorCode.invalid_partitions),
    "fewer": (1, None, ErrorCode.invalid_partitions),
    "none": (0, None, ErrorCode.invalid_partitions),
    "assigned too few": (4, [[1]], BAD_ASSIGNMENT),
    "assigned too many": (3, [[1], [1]], BAD_ASSIGNMENT),
    "assigned to a stranger": (3, [[9]], BAD_ASSIGNMENT),
    "assigned to nobody": (3, [[]], BAD_ASSIGNMENT),
    "assigned twice to one": (3, [[1, 1]], BAD_ASSIGNMENT),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_partitions_are_refused(
    client: RawClient, case: tuple[int, list[list[int]] | None, ErrorCode]
) -> None:
    count, assignments, code = case
    name, _ = create_topic(client, partitions=2)
    result = more(client, (name, count, assignments))[name]
    assert result.error_code is code
    assert result.error_message
    assert partition_count(client, name) == 2


def test_new_partitions_can_be_written_to_at_once(client: RawClient) -> None:
    name, _ = create_topic(client)
    batch = record_batch(b"key", b"value")
    assert produce(client, name, {0: batch})[0].error_code is OK
    assert more(client, (name, 3, None))[name].error_code is OK
    wait_for_leaders(client, name, 3)
    assert partition_count(client, name) == 3
    answers = produce(client, name, {0: batch, 1: batch, 2: batch})
    assert [(answers[index].error_code, answers[index].base_offset) for index in range(3)] == [
        (OK, 1),
        (OK, 0),
        (OK, 0),
    ]
    assert more(client, (name, 5, [[1], [1]]))[name].error_code is OK
    wait_for_leaders(client, name, 5)


def test_validate_only_adds_nothing(client: RawClient) -> None:
    name, _ = create_topic(client)
    assert more(client, (name, 3, None), validate_only=True)[name].error_code is OK
    assert partition_count(client, name) == 1


def test_each_topic_has_an_answer_of_its_own(client: RawClient) -> None:
    good, _ = create_topic(client)
    bad, _ = create_topic(client)
    twice, _ = create_topic(client)
    missing = new_name()
    answers = more(
        client,
        (good, 2, None),
        (bad, 1, None),
        (missing, 2, None),
        (twice, 2, None),
        (twice, 3, None),
    )
    assert {name: one.error_code for name, one in answers.items()} == {
        good: OK,
        bad: ErrorCode.invalid_partitions,
        missing: ErrorCode.unknown_topic_or_partition,
        twice: ErrorCode.invalid_request,
    }
    wait_for_leaders(client, good, 2)
    assert (partition_count(client, good), partition_count(client, twice)) == (2, 1)


def test_added_partitions_are_there_after_a_restart(start_broker: StartBroker) -> None:
    broker = start_broker()
    with RawClient(broker.bootstrap_servers) as client:
        name, _ = create_topic(client)
        more(client, (name, 3, None))
        wait_for_leaders(client, name, 3)
        produce(client, name, {2: record_batch(b"key", b"value")})
    broker.restart()
    with RawClient(broker.bootstrap_servers) as client:
        wait_for_leaders(client, name, 3)
        assert end_offset(client, name, 2) == 1


def page(client: RawClient, names: list[str], limit: int, cursor: tuple[str, int] | None) -> Any:
    start = None
    if cursor is not None:
        start = Cursor(topic_name=TopicName(cursor[0]), partition_index=i32(cursor[1]))
    values = {
        "topics": [{"name": name} for name in names],
        "response_partition_limit": limit,
        "cursor": start,
    }
    return client.ask(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, values)


def summary(reply: Any) -> tuple[list[tuple[str, list[int]]], tuple[str, int] | None]:
    topics = [(one.name, [each.partition_index for each in one.partitions]) for one in reply.topics]
    cursor = reply.next_cursor
    return topics, None if cursor is None else (cursor.topic_name, cursor.partition_index)


def test_topics_page_by_page(client: RawClient) -> None:
    first, second = sorted((create_topic(client, partitions=3)[0], create_topic(client)[0]))
    count = {first: partition_count(client, first), second: partition_count(client, second)}
    everything = [(name, list(range(count[name]))) for name in (first, second)]
    names = [second, first]
    assert summary(page(client, names, 10, None)) == (everything, None)
    seen: list[tuple[str, int]] = []
    cursor: tuple[str, int] | None = None
    for _ in range(3):
        topics, cursor = summary(page(client, names, 2, cursor))
        seen += [(name, index) for name, indexes in topics for index in indexes]
        if cursor is None:
            break
    assert seen == [(name, index) for name, indexes in everything for index in indexes]
    # A limit that makes no sense is one partition; a page that ends with a topic names the next.
    assert summary(page(client, names, 0, None)) == summary(page(client, names, 1, None))
    assert summary(page(client, names, count[first], None))[1] == (second, 0)
    assert summary(page(client, names, 9, (first, 99))) == ([(first, []), everything[1]], None)


def test_cursors_and_names_that_lead_nowhere(client: RawClient) -> None:
    name, _ = create_topic(client)
    for names, cursor in (([name], (name, -1)), ([name], (new_name("a"), 0))):
        (topic,) = page(client, names, 9, cursor).topics
        assert (topic.name, topic.error_code) == (name, ErrorCode.invalid_request)
    missing = new_name("zzz")
    topics = {one.name: one.error_code for one in page(client, ["..", missing], 9, None).topics}
    assert topics == {
        "..": ErrorCode.invalid_topic_exception,
        missing: ErrorCode.unknown_topic_or_partition,
    }
    every = page(client, [], 2000, None)
    assert name in [one.name for one in every.topics]
    later = page(client, [], 2000, (name, 0))
    assert min(one.name for one in later.topics) == name


def test_controllers_are_not_described_by_brokers(client: RawClient) -> None:
    asked = {"endpoint_type": CONTROLLERS}
    assert client.ask(ApiKey.DESCRIBE_CLUSTER, 1, asked).error_code == MISMATCHED_ENDPOINT_TYPE
    asked = {"endpoint_type": 9}
    assert client.ask(ApiKey.DESCRIBE_CLUSTER, 1, asked).error_code == UNSUPPORTED_ENDPOINT_TYPE
