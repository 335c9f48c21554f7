"""What the APIs of transactions are asked; see `api_scenarios`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.api_scenarios import (
    DEADLINE_S,
    NOT_READY,
    PRODUCER_VALUES,
    Question,
    World,
    until_ready,
)

NONE = ErrorCode.none
TIMEOUT_MS = 60_000
LONGEST_TIMEOUT_MS = 900_000
COMING = (*NOT_READY, ErrorCode.concurrent_transactions)
TRANSACTION_VERSION_2_FROM = 5  # EndTxn: the reply says who the producer is from now on


@dataclass(frozen=True, slots=True)
class Producer:
    transactional_id: str
    producer_id: int
    producer_epoch: int

    def values(self, **others: Any) -> dict[str, Any]:
        own = {
            "transactional_id": self.transactional_id,
            "producer_id": self.producer_id,
            "producer_epoch": self.producer_epoch,
        }
        return {**own, **others}


def init_values(transactional_id: str, **others: Any) -> dict[str, Any]:
    return {
        "transactional_id": transactional_id,
        "transaction_timeout": TIMEOUT_MS,
        **others,
    }


def started(world: World) -> Producer:
    """A transactional producer that has its id and epoch."""
    name = world.new_name("transactional")
    find = {"key_type": 1, "coordinator_keys": [name]}
    until_ready(lambda: world.client.ask(ApiKey.FIND_COORDINATOR, 6, find).coordinators[0])
    begun = until_ready(lambda: world.client.ask(ApiKey.INIT_PRODUCER_ID, 4, init_values(name)))
    return Producer(name, begun.producer_id, begun.producer_epoch)


def settled(ask: Callable[[], ErrorCode]) -> ErrorCode:
    """The first answer that is not "come back later"."""
    deadline = time.monotonic() + DEADLINE_S
    while (error := ask()) in COMING:
        assert time.monotonic() < deadline, f"still {error}"
        time.sleep(0.02)
    return error


def add_values(producer: Producer, *topics: dict[str, Any]) -> dict[str, Any]:
    """AddPartitionsToTxn as clients send it."""
    return {
        "v3_and_below_transactional_id": producer.transactional_id,
        "v3_and_below_producer_id": producer.producer_id,
        "v3_and_below_producer_epoch": producer.producer_epoch,
        "v3_and_below_topics": list(topics),
    }


def flat(topics: Any) -> dict[tuple[str, int], ErrorCode]:
    return {
        (topic.name, one.partition_index): one.partition_error_code
        for topic in topics
        for one in topic.results_by_partition
    }


def begin(world: World, producer: Producer) -> str:
    """Begins a transaction with a new topic, whose name it returns."""
    name = world.new_name("in-transaction")
    world.create_topic(name)
    values = add_values(producer, {"name": name, "partitions": [0]})

    def add() -> ErrorCode:
        reply = world.client.ask(ApiKey.ADD_PARTITIONS_TO_TXN, 3, values)
        return flat(reply.results_by_topic_v3_and_below)[name, 0]

    assert settled(add) is NONE
    return name


def fenced(version: int, knows_from: int) -> ErrorCode:
    """What a producer with an old epoch is told."""
    if version < knows_from:
        return ErrorCode.invalid_producer_epoch
    return ErrorCode.producer_fenced


def ask_init_producer_id(question: Question, world: World) -> None:
    first, second = question.ask(PRODUCER_VALUES), question.ask(PRODUCER_VALUES)
    assert (first.error_code, second.error_code) == (NONE, NONE)
    assert (first.producer_epoch, second.producer_epoch) == (0, 0)
    assert 0 <= first.producer_id < second.producer_id
    producer = started(world)
    name = producer.transactional_id
    again = question.ask(init_values(name))
    assert (again.error_code, again.producer_id) == (NONE, producer.producer_id)
    assert again.producer_epoch == producer.producer_epoch + 1
    too_long = question.ask(init_values(name, transaction_timeout=LONGEST_TIMEOUT_MS + 1))
    assert too_long.error_code is ErrorCode.invalid_transaction_timeout
    assert question.ask(init_values("")).error_code is ErrorCode.invalid_request
    begin(world, Producer(name, again.producer_id, again.producer_epoch))
    assert question.ask(init_values(name)).error_code is ErrorCode.concurrent_transactions
    assert settled(lambda: question.ask(init_values(name)).error_code) is NONE
    if question.version < 3:
        return
    stale = question.ask(init_values(name, producer_id=again.producer_id, producer_epoch=0))
    assert stale.error_code is fenced(question.version, 4)
    half = question.ask(init_values(name, producer_id=again.producer_id, producer_epoch=-1))
    assert (half.error_code, half.producer_id) == (ErrorCode.invalid_request, -1)


def ask_add_partitions_to_txn(question: Question, world: World) -> None:
    if question.version < 4:
        ask_add_partitions_as_client(question, world)
    else:
        ask_add_partitions_as_broker(question, world)


def ask_add_partitions_as_client(question: Question, world: World) -> None:
    producer = started(world)
    known = {"name": world.topic, "partitions": [0]}

    def asked(producer: Producer, *topics: dict[str, Any]) -> dict[tuple[str, int], ErrorCode]:
        return flat(question.ask(add_values(producer, *topics)).results_by_topic_v3_and_below)

    unknown = {"name": "there-is-none", "partitions": [0]}
    assert asked(producer, known, unknown) == {
        (world.topic, 0): ErrorCode.operation_not_attempted,
        ("there-is-none", 0): ErrorCode.unknown_topic_or_partition,
    }
    beyond = {"name": world.topic, "partitions": [9]}
    assert asked(producer, beyond) == {(world.topic, 9): ErrorCode.unknown_topic_or_partition}
    for _ in range(2):
        assert asked(producer, known) == {(world.topic, 0): NONE}
    later = Producer(producer.transactional_id, producer.producer_id, 5)
    assert asked(later, known) == {(world.topic, 0): fenced(question.version, 2)}
    other = Producer(producer.transactional_id, producer.producer_id + 100_000, 0)
    mapping = ErrorCode.invalid_producer_id_mapping
    assert asked(other, known) == {(world.topic, 0): mapping}
    abort(world, producer)


def ask_add_partitions_as_broker(question: Question, world: World) -> None:
    """Two transactions at once, and the question whether a partition takes part."""
    adding, asking = started(world), started(world)
    topics = [{"name": world.topic, "partitions": [0]}]

    def asked(*transactions: dict[str, Any]) -> dict[str, ErrorCode]:
        reply = question.ask({"transactions": list(transactions)})
        assert reply.error_code is NONE
        return {
            one.transactional_id: flat(one.topic_results)[world.topic, 0]
            for one in reply.results_by_transaction
        }

    assert asked(
        adding.values(topics=topics, verify_only=False),
        asking.values(topics=topics, verify_only=True),
    ) == {
        adding.transactional_id: NONE,
        asking.transactional_id: ErrorCode.transaction_abortable,
    }
    assert asked(adding.values(topics=topics, verify_only=True)) == {adding.transactional_id: NONE}
    stale = adding.values(topics=topics, verify_only=True, producer_epoch=5)
    assert asked(stale) == {adding.transactional_id: ErrorCode.producer_fenced}
    abort(world, adding)


def abort(world: World, producer: Producer) -> None:
    """Leaves nothing open in a topic that others use."""
    values = producer.values(committed=False)
    end = ApiKey.END_TXN
    assert settled(lambda: world.client.ask(end, 3, values).error_code) is NONE
    assert settled(lambda: world.client.ask(end, 3, values).error_code) is NONE


def ask_add_offsets_to_txn(question: Question, world: World) -> None:
    producer = started(world)
    group_id = world.committed_group
    assert question.ask(producer.values(group_id=group_id)).error_code is NONE
    stale = producer.values(group_id=group_id, producer_epoch=5)
    assert question.ask(stale).error_code is fenced(question.version, 2)
    unknown = producer.values(group_id=group_id, transactional_id="there-is-none")
    assert question.ask(unknown).error_code is ErrorCode.invalid_producer_id_mapping
    empty = producer.values(group_id=group_id, transactional_id="")
    assert question.ask(empty).error_code is ErrorCode.invalid_request
    abort(world, producer)


def ask_end_txn(question: Question, world: World) -> None:
    producer = started(world)
    nothing = question.ask(producer.values(committed=True))
    assert nothing.error_code is ErrorCode.invalid_txn_state
    begin(world, producer)
    stale = question.ask(producer.values(committed=True, producer_epoch=5))
    assert stale.error_code is fenced(question.version, 2)
    commit = producer.values(committed=True)
    ended = question.ask(commit)
    assert ended.error_code is NONE
    if question.version >= TRANSACTION_VERSION_2_FROM:
        following = producer.producer_id, producer.producer_epoch + 1
        assert (ended.producer_id, ended.producer_epoch) == following
    assert settled(lambda: question.ask(commit).error_code) is NONE  # the answer got lost
    other = producer.values(committed=False)
    assert question.ask(other).error_code is ErrorCode.invalid_txn_state


def ask_describe_transactions(question: Question, world: World) -> None:
    producer = started(world)
    topic = begin(world, producer)
    reply = question.ask({"transactional_ids": [producer.transactional_id, "there-is-none", ""]})
    described, unknown, empty = reply.transaction_states
    assert (described.error_code, described.transaction_state) == (NONE, "Ongoing")
    assert (described.producer_id, described.producer_epoch) == (producer.producer_id, 0)
    assert described.transaction_timeout.total_seconds() * 1000 == TIMEOUT_MS
    assert [(one.topic, one.partitions) for one in described.topics] == [(topic, (0,))]
    assert unknown.error_code is ErrorCode.transactional_id_not_found
    assert (unknown.transactional_id, unknown.transaction_state) == ("there-is-none", "")
    assert empty.error_code is ErrorCode.invalid_request
    abort(world, producer)
    (ended,) = question.ask({"transactional_ids": [producer.transactional_id]}).transaction_states
    assert (ended.transaction_state, ended.topics) == ("CompleteAbort", ())


def ask_list_transactions(question: Question, world: World) -> None:
    empty, ongoing = started(world), started(world)
    begin(world, ongoing)

    def asked(**filters: Any) -> dict[str, tuple[int, str]]:
        reply = question.ask(filters)
        assert reply.error_code is NONE
        own = (empty.transactional_id, ongoing.transactional_id)
        return {
            one.transactional_id: (one.producer_id, one.transaction_state)
            for one in reply.transaction_states
            if one.transactional_id in own
        }

    of_empty = {empty.transactional_id: (empty.producer_id, "Empty")}
    of_ongoing = {ongoing.transactional_id: (ongoing.producer_id, "Ongoing")}
    assert asked() == {**of_empty, **of_ongoing}
    assert asked(state_filters=["Ongoing", "CompleteCommit"]) == of_ongoing
    assert asked(producer_id_filters=[empty.producer_id]) == of_empty
    reply = question.ask({"state_filters": ["Nonsense", "Dead"]})
    assert reply.unknown_state_filters == ("Nonsense",)
    assert reply.transaction_states == ()
    if question.version >= 1:
        assert asked(duration_filter=TIMEOUT_MS, state_filters=["Ongoing"]) == {}
    if question.version >= 2:
        pattern = f".*{ongoing.transactional_id[-3:]}|there-is-none"
        assert asked(transactional_id_pattern=pattern) == of_ongoing
        assert asked(transactional_id_pattern="")
        refused = question.ask({"transactional_id_pattern": "(open"})
        assert refused.error_code is ErrorCode.invalid_regular_expression
    abort(world, ongoing)


SCENARIOS: dict[ApiKey, Callable[[Question, World], None]] = {
    ApiKey.INIT_PRODUCER_ID: ask_init_producer_id,
    ApiKey.ADD_PARTITIONS_TO_TXN: ask_add_partitions_to_txn,
    ApiKey.ADD_OFFSETS_TO_TXN: ask_add_offsets_to_txn,
    ApiKey.END_TXN: ask_end_txn,
    ApiKey.DESCRIBE_TRANSACTIONS: ask_describe_transactions,
    ApiKey.LIST_TRANSACTIONS: ask_list_transactions,
}
