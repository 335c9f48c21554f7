"""Scenarios, as in `api_scenarios`, of the APIs that remove what a broker keeps, or tell of it."""

from __future__ import annotations

from collections.abc import Callable

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.api_scenarios import (
    TIMEOUT_MS,
    Question,
    World,
    commit_values,
    topic_values,
    until_ready,
)


def ask_delete_groups(question: Question, world: World) -> None:
    group_id = world.new_name("delete-group")
    commit_offset(world, group_id)
    for expected in (ErrorCode.none, ErrorCode.group_id_not_found):
        (deleted,) = question.ask({"groups_names": [group_id]}).results
        assert (deleted.group_id, deleted.error_code) == (group_id, expected)


def ask_offset_delete(question: Question, world: World) -> None:
    group_id = world.new_name("delete-offset")
    commit_offset(world, group_id)
    topic = topic_values(world, partitions=[{"partition_index": 0}, {"partition_index": 9}])
    reply = question.ask({"group_id": group_id, "topics": [topic]})
    assert reply.error_code is ErrorCode.none
    assert {one.partition_index: one.error_code for one in reply.topics[0].partitions} == {
        0: ErrorCode.none,
        9: ErrorCode.unknown_topic_or_partition,
    }
    fetch = {"group_id": group_id, "topics": [topic_values(world, partition_indexes=[0])]}
    fetched = world.client.ask(ApiKey.OFFSET_FETCH, 7, fetch)
    assert fetched.topics[0].partitions[0].committed_offset == -1


def ask_delete_records(question: Question, world: World) -> None:
    """Records of a topic of its own; `world.topic` keeps its records for the other scenarios."""
    name = world.new_name("delete-records")
    world.create_topic(name)
    data = {"name": name, "partition_data": [world.batch_values()]}
    produce = {"acks": -1, "timeout": TIMEOUT_MS, "topic_data": [data]}
    until_ready(
        lambda: world.client.ask(ApiKey.PRODUCE, 9, produce).responses[0].partition_responses[0]
    )
    partitions = [{"partition_index": 0, "offset": -1}, {"partition_index": 9, "offset": -1}]
    wanted = {"topics": [{"name": name, "partitions": partitions}], "timeout": TIMEOUT_MS}
    (topic,) = question.ask(wanted).topics
    assert {
        one.partition_index: (one.error_code, one.low_watermark) for one in topic.partitions
    } == {0: (ErrorCode.none, 1), 9: (ErrorCode.unknown_topic_or_partition, -1)}


def commit_offset(world: World, group_id: str) -> None:
    commit = commit_values(world, group_id, 7)
    until_ready(lambda: world.client.ask(ApiKey.OFFSET_COMMIT, 8, commit).topics[0].partitions[0])


SCENARIOS: dict[ApiKey, Callable[[Question, World], None]] = {
    ApiKey.DELETE_RECORDS: ask_delete_records,
    ApiKey.DELETE_GROUPS: ask_delete_groups,
    ApiKey.OFFSET_DELETE: ask_offset_delete,
}
