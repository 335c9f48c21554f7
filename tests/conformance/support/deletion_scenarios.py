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
from tests.conformance.support.batches import batch, now_ms

VOLUME_SINCE = 4  # DescribeLogDirs


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


def ask_describe_log_dirs(question: Question, world: World) -> None:
    wanted = [{"topic": world.topic, "partitions": [0, 9]}, {"topic": "never-made"}]
    reply = question.ask({"topics": wanted})
    assert getattr(reply, "error_code", ErrorCode.none) is ErrorCode.none
    (found,) = reply.results
    assert found.error_code is ErrorCode.none
    (topic,) = found.topics
    (partition,) = topic.partitions
    assert (topic.name, partition.partition_index) == (world.topic, 0)
    assert (partition.offset_lag, partition.is_future_key) == (0, False)
    assert partition.partition_size >= len(world.batch)
    if question.version >= VOLUME_SINCE:
        assert 0 <= found.usable_bytes < found.total_bytes
    everything = {topic.name for topic in question.ask({"topics": None}).results[0].topics}
    assert world.topic in everything
    assert question.ask({"topics": []}).results[0].topics == ()


def ask_alter_replica_log_dirs(question: Question, world: World) -> None:
    values = {"topics": [{"topic": world.topic, "partitions": [0]}]}
    (found,) = world.client.ask(ApiKey.DESCRIBE_LOG_DIRS, 4, values).results
    paths = {found.log_dir: ErrorCode.none, "/no/such/directory": ErrorCode.log_dir_not_found}
    for path, expected in paths.items():
        topics = [{"name": world.topic, "partitions": [0]}]
        (topic,) = question.ask({"dirs": [{"path": path, "topics": topics}]}).results
        (partition,) = topic.partitions
        assert (topic.topic_name, partition.error_code) == (world.topic, expected)


def ask_describe_producers(question: Question, world: World) -> None:
    name = world.new_name("describe-producers")
    world.create_topic(name)
    sent = batch(producer_id=7, producer_epoch=3, base_sequence=0, base_timestamp_ms=now_ms())
    data = {"name": name, "partition_data": [{"index": 0, "records": sent}]}
    produce = {"acks": -1, "timeout": TIMEOUT_MS, "topic_data": [data]}
    until_ready(
        lambda: world.client.ask(ApiKey.PRODUCE, 9, produce).responses[0].partition_responses[0]
    )
    reply = question.ask({"topics": [{"name": name, "partition_indexes": [0, 9]}]})
    here, missing = reply.topics[0].partitions
    assert (here.error_code, here.error_message) == (ErrorCode.none, None)
    (producer,) = here.active_producers
    assert (producer.producer_id, producer.producer_epoch) == (7, 3)
    assert (producer.last_sequence, producer.current_txn_start_offset) == (0, -1)
    assert producer.coordinator_epoch == -1
    assert missing.error_code is ErrorCode.unknown_topic_or_partition
    elsewhere = {"topics": [{"name": "not a name", "partition_indexes": [0]}]}
    (refused,) = question.ask(elsewhere).topics[0].partitions
    assert refused.error_code is ErrorCode.invalid_topic_exception
    assert refused.error_message


def commit_offset(world: World, group_id: str) -> None:
    commit = commit_values(world, group_id, 7)
    until_ready(lambda: world.client.ask(ApiKey.OFFSET_COMMIT, 8, commit).topics[0].partitions[0])


SCENARIOS: dict[ApiKey, Callable[[Question, World], None]] = {
    ApiKey.DELETE_RECORDS: ask_delete_records,
    ApiKey.DELETE_GROUPS: ask_delete_groups,
    ApiKey.OFFSET_DELETE: ask_offset_delete,
    ApiKey.DESCRIBE_LOG_DIRS: ask_describe_log_dirs,
    ApiKey.ALTER_REPLICA_LOG_DIRS: ask_alter_replica_log_dirs,
    ApiKey.DESCRIBE_PRODUCERS: ask_describe_producers,
}
