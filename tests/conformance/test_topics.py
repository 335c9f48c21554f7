"""Topics made and refused, in Kafka's codes: names, counts, assignments, configs."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import (
    TIMEOUT_MS,
    create_topic,
    describe_topic,
    new_name,
)

OK = ErrorCode.none
BAD_NAME = ErrorCode.invalid_topic_exception
BAD_ASSIGNMENT = ErrorCode.invalid_replica_assignment
BAD_CONFIG = ErrorCode.invalid_config
NODE_ID = 1


class Asked(NamedTuple):
    """Fields of a topic to create, and what Kafka answers."""

    fields: dict[str, Any]
    code: ErrorCode


def assigned(*replicas: list[int], first: int = 0, **others: Any) -> dict[str, Any]:
    assignments = [
        {"partition_index": index, "broker_ids": ids} for index, ids in enumerate(replicas, first)
    ]
    return {
        "num_partitions": -1,
        "replication_factor": -1,
        "assignments": assignments,
        **others,
    }


def configured(name: str, value: str | None) -> dict[str, Any]:
    return {"configs": [{"name": name, "value": value}]}


CASES = {
    "two dots": Asked({"name": ".."}, BAD_NAME),
    "one dot": Asked({"name": "."}, BAD_NAME),
    "no name": Asked({"name": ""}, BAD_NAME),
    "250 characters": Asked({"name": "n" * 250}, BAD_NAME),
    "249 characters": Asked({"name": "n" * 249}, OK),
    "a slash": Asked({"name": "../escape"}, BAD_NAME),
    "a space": Asked({"name": "a b"}, BAD_NAME),
    "a zero byte": Asked({"name": "a\0b"}, BAD_NAME),
    "letters beyond ASCII": Asked({"name": "größe"}, BAD_NAME),
    "default counts": Asked({"num_partitions": -1, "replication_factor": -1}, OK),
    "no partitions": Asked({"num_partitions": 0}, ErrorCode.invalid_partitions),
    "-2 partitions": Asked({"num_partitions": -2}, ErrorCode.invalid_partitions),
    "too many partitions": Asked({"num_partitions": 10_001}, ErrorCode.policy_violation),
    "as many as one may ask for": Asked(
        {"num_partitions": 10_000, "replication_factor": 2}, ErrorCode.invalid_replication_factor
    ),
    "no replicas": Asked({"replication_factor": 0}, ErrorCode.invalid_replication_factor),
    "-2 replicas": Asked({"replication_factor": -2}, ErrorCode.invalid_replication_factor),
    "three replicas": Asked({"replication_factor": 3}, ErrorCode.invalid_replication_factor),
    "assigned": Asked(assigned([NODE_ID], [NODE_ID]), OK),
    "assigned, with a count": Asked(
        assigned([NODE_ID], num_partitions=1), ErrorCode.invalid_request
    ),
    "assigned, with a factor": Asked(
        assigned([NODE_ID], replication_factor=1), ErrorCode.invalid_request
    ),
    "assigned to nobody": Asked(assigned([]), BAD_ASSIGNMENT),
    "assigned to a stranger": Asked(assigned([9]), BAD_ASSIGNMENT),
    "assigned twice to one": Asked(assigned([NODE_ID, NODE_ID]), BAD_ASSIGNMENT),
    "assigned from partition 1": Asked(assigned([NODE_ID], first=1), BAD_ASSIGNMENT),
    "an unknown config": Asked(configured("nonsense", "1"), BAD_CONFIG),
    "a config of the wrong type": Asked(configured("retention.ms", "soon"), BAD_CONFIG),
    "a config out of range": Asked(configured("max.message.bytes", "-1"), BAD_CONFIG),
    "a config that is none of": Asked(configured("cleanup.policy", "burn"), BAD_CONFIG),
    "a config without a value": Asked(configured("retention.ms", None), BAD_CONFIG),
    "a good config": Asked(configured("retention.ms", "1000"), OK),
}


def topic_fields(**fields: Any) -> dict[str, Any]:
    return {"name": new_name(), "num_partitions": 1, "replication_factor": 1, **fields}


def create(client: PipelinedClient, *topics: dict[str, Any], **others: Any) -> dict[str, Any]:
    values = {"topics": list(topics), "timeout": TIMEOUT_MS, **others}
    return {topic.name: topic for topic in client.ask(ApiKey.CREATE_TOPICS, 7, values).topics}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_topic_is_made_or_refused(client: PipelinedClient, case: Asked) -> None:
    wanted = topic_fields(**case.fields)
    name = wanted["name"]
    tried = create(client, wanted, validate_only=True)[name]
    assert tried.error_code is case.code
    assert describe_topic(client, name).error_code is not OK
    made = create(client, wanted)[name]
    assert made.error_code is case.code, made.error_message
    if case.code is not OK:
        assert made.error_message
        assert (made.num_partitions, made.replication_factor) == (-1, -1)
        assert describe_topic(client, name).error_code is not OK
        return
    assert (made.num_partitions, made.replication_factor) == (
        max(1, len(wanted.get("assignments", ()))),
        1,
    )
    found = describe_topic(client, name)
    assert (found.error_code, found.topic_id) == (OK, made.topic_id)
    assert len(found.partitions) == made.num_partitions
    configs = {config.name: config.value for config in made.configs or ()}
    for config in wanted.get("configs", ()):
        assert configs[config["name"]] == config["value"]
    again = create(client, wanted)[name]
    assert again.error_code is ErrorCode.topic_already_exists


def test_names_that_differ_in_dots_and_underscores_collide(client: PipelinedClient) -> None:
    name = new_name("a.b_c")
    create_topic(client, name)
    for other in (name.replace(".", "_"), name.replace("_", ".")):
        assert create(client, topic_fields(name=other))[other].error_code is BAD_NAME
        # It would be created behind the answer, which so says only that it is not there.
        answer = describe_topic(client, other, create=True).error_code
        assert answer is ErrorCode.unknown_topic_or_partition


def test_a_name_given_twice_is_refused_and_the_others_made(client: PipelinedClient) -> None:
    twice, once = new_name(), new_name()
    names = [twice, once, twice]
    values = {"topics": [topic_fields(name=name) for name in names], "timeout": TIMEOUT_MS}
    results = client.ask(ApiKey.CREATE_TOPICS, 7, values).topics
    assert {topic.name: topic.error_code for topic in results} == {
        twice: ErrorCode.invalid_request,
        once: OK,
    }
    assert len(results) == 2
    assert describe_topic(client, twice).error_code is ErrorCode.unknown_topic_or_partition


def test_a_partition_assigned_twice(client: PipelinedClient) -> None:
    wanted = topic_fields(**assigned([NODE_ID], [NODE_ID]))
    wanted["assignments"][1]["partition_index"] = 0
    assert create(client, wanted)[wanted["name"]].error_code is BAD_ASSIGNMENT


def test_deleting_by_name_and_by_id(client: PipelinedClient) -> None:
    by_name, _ = create_topic(client)
    by_id, topic_id = create_topic(client)
    stranger = uuid.uuid4()
    asked = [
        {"name": by_name, "topic_id": None},
        {"name": None, "topic_id": topic_id},
        {"name": "nobody-made-it", "topic_id": None},
        {"name": None, "topic_id": stranger},
    ]
    values = {"topics": asked, "timeout": TIMEOUT_MS}
    results = client.ask(ApiKey.DELETE_TOPICS, 6, values).responses
    assert {(one.name, one.error_code) for one in results} == {
        (by_name, OK),
        (by_id, OK),
        ("nobody-made-it", ErrorCode.unknown_topic_or_partition),
        (None, ErrorCode.unknown_topic_id),
    }
    assert {one.topic_id for one in results} >= {topic_id, stranger}


def test_deleting_what_is_named_twice_or_not_at_all(client: PipelinedClient) -> None:
    topic, topic_id = create_topic(client)
    other, _ = create_topic(client)
    for asked in (
        [{"name": topic, "topic_id": None}, {"name": topic, "topic_id": None}],
        [{"name": topic, "topic_id": topic_id}],
        [{"name": None, "topic_id": None}],
        [{"name": topic, "topic_id": None}, {"name": None, "topic_id": topic_id}],
    ):
        values = {
            "topics": [*asked, {"name": other, "topic_id": None}],
            "timeout": TIMEOUT_MS,
        }
        results = client.ask(ApiKey.DELETE_TOPICS, 6, values).responses
        codes = {one.name: one.error_code for one in results}
        assert codes.pop(other) is OK
        assert set(codes.values()) == {ErrorCode.invalid_request}
        create_topic(client, other)
    assert describe_topic(client, topic).error_code is OK


def test_two_clients_create_one_topic_by_asking_for_it(broker: BrokerProcess) -> None:
    """It is made behind the answers; whoever comes second gets no other error."""
    name = new_name("automatic")
    with (
        PipelinedClient(broker.bootstrap_servers) as one,
        PipelinedClient(broker.bootstrap_servers) as two,
    ):
        values = {
            "topics": [{"name": name, "topic_id": None}],
            "allow_auto_topic_creation": True,
        }
        frames = [client.frame(ApiKey.METADATA, 12, values) for client in (one, two)]
        for client, frame in zip((one, two), frames, strict=True):
            client.send(frame)
        found = [client.next_reply().topics[0] for client in (one, two)]
        assert found[0].error_code is ErrorCode.unknown_topic_or_partition
        assert found[1].error_code in (OK, ErrorCode.unknown_topic_or_partition)
        while (topic := describe_topic(one, name)).error_code is not OK:
            assert topic.error_code is ErrorCode.unknown_topic_or_partition
        assert len(topic.partitions) == 1
        names = [topic.name for topic in one.ask(ApiKey.METADATA, 12, {"topics": None}).topics]
        assert names.count(name) == 1
