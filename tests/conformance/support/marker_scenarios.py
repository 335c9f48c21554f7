"""What the APIs that end transactions in partitions and groups are asked; see `api_scenarios`."""

from __future__ import annotations

import time
from collections.abc import Callable

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.api_scenarios import (
    COMMITTED_OFFSET,
    DEADLINE_S,
    PRODUCER_VALUES,
    Question,
    World,
    until_ready,
)
from tests.conformance.support.markers import marker_values
from tests.conformance.support.transaction_scenarios import started

ADDS_FROM = 5  # TxnOffsetCommit: the group's partition is added to the transaction with it


def ask_write_txn_markers(question: Question, world: World) -> None:
    producer = world.client.ask(ApiKey.INIT_PRODUCER_ID, 4, PRODUCER_VALUES)
    values = marker_values(
        producer.producer_id, 0, world.topic, (0, 9), commit=False, transaction_version=2
    )
    (found,) = question.ask({"markers": [values]}).markers
    assert found.producer_id == producer.producer_id
    codes = {
        (topic.name, partition.partition_index): partition.error_code
        for topic in found.topics
        for partition in topic.partitions
    }
    assert codes == {
        (world.topic, 0): ErrorCode.none,
        (world.topic, 9): ErrorCode.unknown_topic_or_partition,
    }


def ask_txn_offset_commit(question: Question, world: World) -> None:
    """The offset is pending, and committed with the transaction."""
    producer, group_id = started(world), world.new_name("group")
    find = {"key_type": 0, "coordinator_keys": [group_id]}
    until_ready(lambda: world.client.ask(ApiKey.FIND_COORDINATOR, 6, find).coordinators[0])
    if question.version < ADDS_FROM:
        add = producer.values(group_id=group_id)
        until_ready(lambda: world.client.ask(ApiKey.ADD_OFFSETS_TO_TXN, 3, add))
    partitions = [
        {
            "partition_index": index,
            "committed_offset": COMMITTED_OFFSET,
            "committed_leader_epoch": 0,
            "committed_metadata": "metadata",
        }
        for index in (0, 9)
    ]
    values = producer.values(
        group_id=group_id,
        generation_id=-1,
        member_id="",
        group_instance_id=None,
        topics=[{"name": world.topic, "partitions": partitions}],
    )
    reply = question.ask(values)
    codes = {
        partition.partition_index: partition.error_code
        for topic in reply.topics
        for partition in topic.partitions
    }
    assert codes == {0: ErrorCode.none, 9: ErrorCode.unknown_topic_or_partition}

    def fetched() -> tuple[ErrorCode, int]:
        wanted = {"name": world.topic, "partition_indexes": [0]}
        fetch = {"group_id": group_id, "topics": [wanted], "require_stable": True}
        found = world.client.ask(ApiKey.OFFSET_FETCH, 7, fetch).topics[0].partitions[0]
        return found.error_code, found.committed_offset

    assert fetched() == (ErrorCode.unstable_offset_commit, -1)
    end = producer.values(committed=True)
    version = 5 if question.version >= ADDS_FROM else 3
    assert world.client.ask(ApiKey.END_TXN, version, end).error_code is ErrorCode.none

    deadline = time.monotonic() + DEADLINE_S
    while (found := fetched())[0] is ErrorCode.unstable_offset_commit:
        assert time.monotonic() < deadline, "the marker does not come"
        time.sleep(0.02)
    assert found == (ErrorCode.none, COMMITTED_OFFSET)


SCENARIOS: dict[ApiKey, Callable[[Question, World], None]] = {
    ApiKey.WRITE_TXN_MARKERS: ask_write_txn_markers,
    ApiKey.TXN_OFFSET_COMMIT: ask_txn_offset_commit,
}
