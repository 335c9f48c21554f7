"""Topics deleted under use, and made again at once: what producers, fetches and groups are told."""

from __future__ import annotations

import time
import uuid

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.group_verbs import commit, committed, first_commit
from tests.conformance.support.pipeline import PipelinedClient, wait_until
from tests.conformance.support.verbs import (
    by_partition,
    create_topic,
    create_values,
    deletion_values,
    describe_topic,
    end_offset,
    fetch,
    fetch_values,
    is_kafka,
    new_name,
    produce,
    wait_for_leaders,
)

OK = ErrorCode.none
UNKNOWN_TOPIC = ErrorCode.unknown_topic_or_partition
UNKNOWN_ID = ErrorCode.unknown_topic_id
DEADLINE_S = 20


def delete(client: PipelinedClient, topic: str) -> None:
    (result,) = client.ask(ApiKey.DELETE_TOPICS, 6, deletion_values(topic)).responses
    assert result.error_code is OK


def wait_until_gone(client: PipelinedClient, topic: str) -> None:
    """Kafka answers a deletion before its broker has heard of it."""
    deadline = time.monotonic() + DEADLINE_S
    while describe_topic(client, topic).error_code is OK:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_asked_of_a_deleted_topic(client: PipelinedClient) -> None:
    topic, topic_id = create_topic(client)
    assert produce(client, topic, {0: batch()})[0].error_code is OK
    delete(client, topic)
    wait_until_gone(client, topic)
    assert produce(client, topic, {0: batch()})[0].error_code is UNKNOWN_TOPIC
    assert produce(client, topic_id, {0: batch()}, version=13)[0].error_code is UNKNOWN_ID
    assert fetch(client, topic, {0: 0})[0].error_code is UNKNOWN_TOPIC
    assert fetch(client, topic_id, {0: 0}, version=13)[0].error_code is UNKNOWN_ID
    assert describe_topic(client, topic).error_code is UNKNOWN_TOPIC
    by_id = {"topics": [{"name": None, "topic_id": topic_id}]}
    (found,) = client.ask(ApiKey.METADATA, 12, by_id).topics
    assert found.error_code is UNKNOWN_ID
    (again,) = client.ask(ApiKey.DELETE_TOPICS, 6, deletion_values(topic)).responses
    assert again.error_code is UNKNOWN_TOPIC
    (again,) = client.ask(ApiKey.DELETE_TOPICS, 6, deletion_values(topic_id)).responses
    assert again.error_code is UNKNOWN_ID


@pytest.mark.parametrize("by_id", [False, True])
def test_a_fetch_that_waits_is_answered_at_once(
    broker: BrokerProcess, client: PipelinedClient, other: PipelinedClient, by_id: bool
) -> None:
    topic, topic_id = create_topic(client)
    wanted = topic_id if by_id else topic
    values = fetch_values(wanted, {0: 0}, max_wait_ms=25_000)
    client.send(client.frame(ApiKey.FETCH, 13 if by_id else 12, values))
    assert client.is_silent(0.2)
    start = time.monotonic()
    delete(other, topic)
    found = by_partition(client.next_reply())[0]
    assert time.monotonic() - start < 10
    # Kafka has turned the id into a name by then; kstore looks the id up again. Clients do the same
    # on both: they ask for metadata.
    told = UNKNOWN_ID if by_id and type(broker) is BrokerProcess else UNKNOWN_TOPIC
    assert found.error_code is told
    assert not found.records


def test_a_topic_made_again_is_a_new_one(client: PipelinedClient) -> None:
    topic, old_id = create_topic(client)
    assert produce(client, topic, {0: batch()})[0].error_code is OK
    delete(client, topic)
    _, new_id = create_topic(client, topic)
    assert new_id != old_id
    assert end_offset(client, topic) == 0
    assert not fetch(client, topic, {0: 0})[0].records
    assert produce(client, old_id, {0: batch()}, version=13)[0].error_code is UNKNOWN_ID
    assert fetch(client, old_id, {0: 0}, version=13)[0].error_code is UNKNOWN_ID
    assert produce(client, new_id, {0: batch()}, version=13)[0].base_offset == 0


def test_deleted_and_made_again_in_one_write(client: PipelinedClient) -> None:
    topic, first = create_topic(client, partitions=3)
    ids = [first]
    for round_number in range(5):
        create = create_values(topic, partitions=3)
        client.send(
            client.frame(ApiKey.DELETE_TOPICS, 6, deletion_values(topic)),
            client.frame(ApiKey.CREATE_TOPICS, 7, create),
        )
        assert client.next_reply().responses[0].error_code is OK
        (made,) = client.next_reply().topics
        assert made.error_code is OK
        ids.append(made.topic_id)
        wait_for_leaders(client, topic, 3)
        wait_for_id(client, topic, made.topic_id)
        answers = produce(client, topic, {index: batch() for index in range(3)})
        assert [(one.error_code, one.base_offset) for one in answers.values()] == [(OK, 0)] * 3, (
            f"round {round_number}"
        )
    assert len(set(ids)) == 6


def wait_for_id(client: PipelinedClient, topic: str, topic_id: uuid.UUID) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while describe_topic(client, topic).topic_id != topic_id:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_offsets_of_a_deleted_topic_are_forgotten(client: PipelinedClient) -> None:
    group = new_name("group")
    topic, _ = create_topic(client)
    kept, _ = create_topic(client)
    first_commit(client, group, topic, 42)
    assert commit(client, group, kept, 43) is OK
    assert (committed(client, group, topic), committed(client, group, kept)) == (42, 43)
    delete(client, topic)
    wait_until_gone(client, topic)
    assert commit(client, group, topic, 44) is UNKNOWN_TOPIC
    create_topic(client, topic)
    wait_until(lambda: committed(client, group, topic) == -1, "the new topic has no offsets")
    assert committed(client, group, kept) == 43
    assert commit(client, group, topic, 1) is OK
    assert committed(client, group, topic) == 1


def test_many_hands_make_and_delete_one_topic(
    broker: BrokerProcess, client: PipelinedClient
) -> None:
    """Whatever comes first: in the end it is a new topic, and nothing is left of the others."""
    topic = new_name()
    hands = [PipelinedClient(broker.bootstrap_servers) for _ in range(3)]
    creation = create_values(topic, partitions=4)
    for hand in hands:
        for _ in range(15):
            hand.send(
                hand.frame(ApiKey.CREATE_TOPICS, 7, creation),
                hand.frame(ApiKey.DELETE_TOPICS, 6, deletion_values(topic)),
            )
    made = deleted = 0
    for hand in hands:
        for _ in range(15):
            code = hand.next_reply().topics[0].error_code
            assert code in (OK, ErrorCode.topic_already_exists)
            made += code is OK
            code = hand.next_reply().responses[0].error_code
            assert code in (OK, UNKNOWN_TOPIC)
            deleted += code is OK
        hand.close()
    assert made == deleted > 0
    if is_kafka(broker):
        wait_until_gone(client, topic)
    else:
        assert describe_topic(client, topic).error_code is UNKNOWN_TOPIC
        assert list(broker.data_dir.glob(f"{topic}-?")) == []
    create_topic(client, topic, partitions=4)
    answers = produce(client, topic, {index: batch() for index in range(4)})
    assert [(one.error_code, one.base_offset) for one in answers.values()] == [(OK, 0)] * 4
