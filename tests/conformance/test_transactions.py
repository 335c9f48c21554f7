"""What the transaction coordinator does by itself, and what it keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.api_scenarios import World
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.transaction_scenarios import (
    Producer,
    add_values,
    begin,
    flat,
    init_values,
    settled,
    started,
)
from tests.conftest import StartBroker

DEADLINE_S = 30
NONE = ErrorCode.none
AT_ONCE = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 50,
    "transaction.remove.expired.transaction.cleanup.interval.ms": 50,
}


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def described(client: RawClient, producer: Producer) -> Any:
    asked = {"transactional_ids": [producer.transactional_id]}
    (state,) = client.ask(ApiKey.DESCRIBE_TRANSACTIONS, 0, asked).transaction_states
    return state


def test_a_transaction_that_takes_too_long_is_aborted(start_broker: StartBroker) -> None:
    broker = start_broker(AT_ONCE)
    with RawClient(broker.bootstrap_servers) as client:
        world = World(client, broker.bootstrap_servers)
        name = started(world).transactional_id
        values = init_values(name, transaction_timeout=300)
        init = client.ask(ApiKey.INIT_PRODUCER_ID, 4, values)
        producer = Producer(name, init.producer_id, init.producer_epoch)
        topic = begin(world, producer)
        until(
            lambda: described(client, producer).transaction_state == "CompleteAbort",
            "the transaction is still open",
        )
        assert described(client, producer).producer_epoch == producer.producer_epoch + 1
        add = add_values(producer, {"name": topic, "partitions": [0]})
        reply = client.ask(ApiKey.ADD_PARTITIONS_TO_TXN, 3, add)
        assert flat(reply.results_by_topic_v3_and_below) == {(topic, 0): ErrorCode.producer_fenced}


def test_a_transactional_id_that_nobody_uses_is_forgotten(start_broker: StartBroker) -> None:
    broker = start_broker({**AT_ONCE, "transactional.id.expiration.ms": 1})
    with RawClient(broker.bootstrap_servers) as client:
        world = World(client, broker.bootstrap_servers)
        producer = started(world)

        def is_gone() -> bool:
            listed = client.ask(ApiKey.LIST_TRANSACTIONS, 0, {}).transaction_states
            return producer.transactional_id not in {one.transactional_id for one in listed}

        until(is_gone, "the transactional id is still there")
        unknown = client.ask(ApiKey.END_TXN, 3, producer.values(committed=False))
        assert unknown.error_code is ErrorCode.invalid_producer_id_mapping
        again = client.ask(ApiKey.INIT_PRODUCER_ID, 4, init_values(producer.transactional_id))
        assert again.error_code is NONE
        assert again.producer_id > producer.producer_id


def finalized(broker: BrokerProcess) -> tuple[int, int]:
    """The level of transaction.version, and how new the answer is."""
    who = {"client_software_name": "judge", "client_software_version": "1.0"}
    with RawClient(broker.bootstrap_servers) as client:
        reply = client.ask(ApiKey.API_VERSIONS, 4, who)
    levels = {one.name: one.max_version_level for one in reply.finalized_features}
    supported = {one.name: (one.min_version, one.max_version) for one in reply.supported_features}
    assert supported["transaction.version"] == (0, 2)
    return levels.get("transaction.version", 0), reply.finalized_features_epoch


def test_what_stays_over_a_kill(start_broker: StartBroker) -> None:
    """Open transactions, decided ones, and a transaction version that was pinned."""
    broker = start_broker()
    level, epoch = finalized(broker)
    assert level == 2
    update = {"feature": "transaction.version", "max_version_level": 1, "upgrade_type": 2}
    with RawClient(broker.bootstrap_servers) as client:
        world = World(client, broker.bootstrap_servers)
        going_on, ended = started(world), started(world)
        topic = begin(world, going_on)
        begin(world, ended)
        assert client.ask(ApiKey.END_TXN, 3, ended.values(committed=True)).error_code is NONE
        updates = {"feature_updates": [update], "timeout": 30_000}
        assert client.ask(ApiKey.UPDATE_FEATURES, 2, updates).error_code is NONE
    until(lambda: finalized(broker)[0] == 1, "the version is not taken over")
    assert finalized(broker)[1] > epoch
    broker.kill()
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        assert settled(lambda: described(client, going_on).error_code) is NONE
        state = described(client, going_on)
        assert state.transaction_state == "Ongoing"
        assert [(one.topic, one.partitions) for one in state.topics] == [(topic, (0,))]
        until(
            lambda: described(client, ended).transaction_state == "CompleteCommit",
            "the decided transaction is not complete",
        )
        commit = going_on.values(committed=True)
        assert settled(lambda: client.ask(ApiKey.END_TXN, 3, commit).error_code) is NONE
    until(lambda: finalized(broker)[0] == 1, "the version is not kept")
