"""Fetch sessions over a socket (KIP-227): what is told again, what is not, and whose turn it is."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import by_partition, create_topic, fetch_values, produce

OK = ErrorCode.none


class Session:
    """A client's side of a session; `fetch` names only what changes."""

    def __init__(self, client: PipelinedClient, topic: str | uuid.UUID, version: int = 12) -> None:
        self.client = client
        self.topic = topic
        self.version = version
        self.id = 0
        self.epoch = 0

    def ask(
        self, offsets: Mapping[int, int], *, forget: tuple[int, ...] = (), **others: Any
    ) -> Any:
        name = {"topic_id": self.topic} if self.version >= 13 else {"topic": self.topic}
        forgotten = [{**name, "partitions": list(forget)}] if forget else []
        values = fetch_values(
            self.topic,
            offsets,
            session_id=self.id,
            forgotten_topics_data=forgotten,
            **others,
        )
        values["session_epoch"] = self.epoch
        reply = self.client.ask(ApiKey.FETCH, self.version, values)
        if reply.error_code is OK:
            self.id = reply.session_id
            self.epoch += 1
        return reply

    def fetch(self, offsets: Mapping[int, int] | None = None, **others: Any) -> dict[int, Any]:
        reply = self.ask(offsets or {}, **others)
        assert reply.error_code is OK
        assert reply.session_id == self.id
        return by_partition(reply)


@pytest.mark.parametrize("version", [12, 17])
def test_only_what_changed_is_told(client: PipelinedClient, version: int) -> None:
    topic, topic_id = create_topic(client, partitions=3)
    session = Session(client, topic if version < 13 else topic_id, version)
    assert list(session.fetch({0: 0, 1: 0, 2: 0})) == [0, 1, 2]
    assert session.id > 0
    assert session.fetch() == {}
    produce(client, topic, {1: batch()})
    assert [(index, one.high_watermark) for index, one in session.fetch().items()] == [(1, 1)]
    assert list(session.fetch()) == [1], "not taken yet"
    assert session.fetch({1: 1}) == {}
    produce(client, topic, {0: batch(), 1: batch(), 2: batch()})
    assert sorted(session.fetch(forget=(2,))) == [0, 1]
    assert list(session.fetch({2: 0, 0: 1, 1: 2})) == [2], "what comes back is told in full"


def test_an_error_is_told_until_it_is_over(client: PipelinedClient) -> None:
    topic, _ = create_topic(client, partitions=2)
    session = Session(client, topic)
    codes = [one.error_code for one in session.fetch({0: 5, 1: 0}).values()]
    assert codes == [ErrorCode.offset_out_of_range, OK]
    for _ in range(2):
        assert {i: one.error_code for i, one in session.fetch().items()} == {
            0: ErrorCode.offset_out_of_range
        }
    assert {i: one.error_code for i, one in session.fetch({0: 0}).items()} == {0: OK}
    assert session.fetch() == {}


def test_partitions_take_turns(client: PipelinedClient) -> None:
    """With room for one batch, each of three partitions is served once in three fetches.

    Kafka begins with the second: the first fetch, which makes the session, changes no order.
    """
    topic, _ = create_topic(client, partitions=3)
    for _ in range(3):
        produce(client, topic, dict.fromkeys(range(3), batch([record(value=bytes(1000))])))
    session = Session(client, topic)
    served: list[int] = []
    offsets = {0: 0, 1: 0, 2: 0}
    asked: dict[int, int] = dict(offsets)
    for _ in range(9):
        found = session.fetch(asked, max_bytes=1, partition_max_bytes=1)
        (index,) = (index for index, one in found.items() if one.records)
        served.append(index)
        offsets[index] += 1
        asked = {index: offsets[index]}
    assert sorted(served) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert [set(served[start : start + 3]) for start in (1, 4)] == [{0, 1, 2}] * 2


def test_a_session_waits_for_all_its_partitions(
    broker: BrokerProcess, client: PipelinedClient
) -> None:
    topic, _ = create_topic(client, partitions=2)
    session = Session(client, topic)
    session.fetch({0: 0, 1: 0})
    with PipelinedClient(broker.bootstrap_servers) as other:
        values = fetch_values(topic, {}, max_wait_ms=20_000, session_id=session.id)
        values["session_epoch"] = 1
        client.send(client.frame(ApiKey.FETCH, 12, values))
        assert client.is_silent(0.1)
        produce(other, topic, {1: batch()})
        assert list(by_partition(client.next_reply())) == [1]


def test_epochs_and_ids_must_fit(client: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    session = Session(client, topic)
    session.fetch({0: 0})
    good = session.epoch
    for epoch in (good + 1, good - 1 if good > 1 else 99):
        session.epoch = epoch
        reply = session.ask({})
        assert reply.error_code is ErrorCode.invalid_fetch_session_epoch
        assert reply.responses == ()
    session.epoch = good
    assert session.fetch() == {}
    stranger = Session(client, topic)
    stranger.id, stranger.epoch = session.id ^ 1, 1
    assert stranger.ask({}).error_code is ErrorCode.fetch_session_id_not_found


def test_a_session_ends(client: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    session = Session(client, topic)
    session.fetch({0: 0})
    old = session.id
    session.epoch = -1
    reply = session.ask({0: 0})
    assert (reply.error_code, reply.session_id) == (OK, 0)
    assert list(by_partition(reply)) == [0]
    session.id, session.epoch = old, 1
    assert session.ask({}).error_code is ErrorCode.fetch_session_id_not_found


def test_a_new_session_takes_the_place_of_the_old(client: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    session = Session(client, topic)
    session.fetch({0: 0})
    old, session.epoch = session.id, 0
    reply = session.ask({0: 0})
    assert reply.session_id not in (0, old)
    session.id, session.epoch = old, 1
    assert session.ask({}).error_code is ErrorCode.fetch_session_id_not_found


def test_topics_are_named_in_one_way(client: PipelinedClient) -> None:
    topic, topic_id = create_topic(client)
    session = Session(client, topic)
    session.fetch({0: 0})
    session.topic, session.version = topic_id, 13
    assert session.ask({0: 0}).error_code is ErrorCode.fetch_session_topic_id_error


def test_a_topic_made_again_is_not_that_of_the_session(
    broker: BrokerProcess, client: PipelinedClient
) -> None:
    topic, topic_id = create_topic(client)
    session = Session(client, topic_id, 13)
    session.fetch({0: 0})
    deletion = {"topics": [{"name": topic, "topic_id": None}], "timeout": 30_000}
    client.ask(ApiKey.DELETE_TOPICS, 6, deletion)
    create_topic(client, topic)
    produce(client, topic, {0: batch()})
    (found,) = session.fetch().values()
    # Kafka's session remembers the name too; clients ask for metadata on either.
    told = ErrorCode.unknown_topic_id
    if type(broker) is not BrokerProcess:
        told = ErrorCode.inconsistent_topic_id
    assert found.error_code is told
