"""What each advertised API is asked, at any of its versions, and what its reply must say.

A scenario asks its own API through `question.ask(values)`, at the version and in the variant under
test; whatever else it needs it asks of the `World`, at one fixed version. Field names are kio's.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support import admin_scenarios
from tests.conformance.support.raw_client import RawClient

LATEST = -1
TOPIC_RESOURCE = 2
TIMEOUT_MS = 30_000
DEADLINE_S = 30
COMMITTED_OFFSET = 42
PROTOCOL_TYPE = "judge"  # Kafka looks into the metadata of protocol type "consumer"
PRODUCER_VALUES = {"transactional_id": None, "transaction_timeout": 60_000}
NOT_READY = (
    ErrorCode.not_leader_or_follower,
    ErrorCode.leader_not_available,
    ErrorCode.unknown_topic_or_partition,
    ErrorCode.coordinator_not_available,
    ErrorCode.not_coordinator,
    ErrorCode.coordinator_load_in_progress,
)
NO_MEMBER_ID_BEFORE = 4  # JoinGroup 4 on: a new member is first told its id (KIP-394)
TRANSACTIONS_SINCE = 1  # FindCoordinator


@dataclass(frozen=True, slots=True)
class Question:
    """One (API, version, variant) under test."""

    client: RawClient
    api_key: ApiKey
    version: int
    unknown_tag: bool

    def ask(self, values: dict[str, Any]) -> Any:
        return self.client.ask(self.api_key, self.version, values, unknown_tag=self.unknown_tag)


@dataclass(frozen=True, slots=True)
class Member:
    group_id: str
    member_id: str
    generation_id: int


class World:
    """A topic with one record, a stable group of one member, and a group with committed offsets."""

    topic = "every-version"
    committed_group = "every-version-committed"

    def __init__(self, client: RawClient, bootstrap_servers: str) -> None:
        self.client = client
        host, _, port = bootstrap_servers.rpartition(":")
        self.address = (host, int(port))
        self._names = itertools.count()
        self.topic_id = self.create_topic(self.topic)
        self.batch = record_batch(b"key", b"value")
        produce = {
            "acks": -1,
            "timeout": TIMEOUT_MS,
            "topic_data": [topic_values(self, partition_data=[self.batch_values()])],
        }
        until_ready(
            lambda: client.ask(ApiKey.PRODUCE, 9, produce).responses[0].partition_responses[0]
        )
        find = {"key_type": 0, "coordinator_keys": [self.committed_group]}
        until_ready(lambda: client.ask(ApiKey.FIND_COORDINATOR, 6, find).coordinators[0])
        self.member = self.join("every-version-stable")
        commit = commit_values(self, self.committed_group, COMMITTED_OFFSET)
        until_ready(lambda: client.ask(ApiKey.OFFSET_COMMIT, 8, commit).topics[0].partitions[0])
        # Kafka has no producer ids to give until it fetched its first block of them.
        until_ready(lambda: client.ask(ApiKey.INIT_PRODUCER_ID, 4, PRODUCER_VALUES))

    def new_name(self, what: str) -> str:
        return f"every-version-{what}-{next(self._names)}"

    def batch_values(self) -> dict[str, Any]:
        return {"index": 0, "records": self.batch}

    def create_topic(self, name: str) -> uuid.UUID:
        topic = {"name": name, "num_partitions": 1, "replication_factor": 1}
        reply = self.client.ask(ApiKey.CREATE_TOPICS, 7, {"topics": [topic], "timeout": TIMEOUT_MS})
        assert reply.topics[0].error_code is ErrorCode.none
        assert reply.topics[0].topic_id is not None
        return reply.topics[0].topic_id

    def join(self, group_id: str) -> Member:
        """A new group's only member, its generation complete."""
        values = join_values(group_id)
        joined = until_ready(lambda: self.client.ask(ApiKey.JOIN_GROUP, 2, values))
        member = Member(group_id, joined.member_id, joined.generation_id)
        synced = self.client.ask(ApiKey.SYNC_GROUP, 2, sync_values(member))
        assert synced.error_code is ErrorCode.none
        return member


def until_ready(ask: Callable[[], Any]) -> Any:
    """Asks again while what was just created has no leader or coordinator yet."""
    deadline = time.monotonic() + DEADLINE_S
    while (answered := ask()).error_code in NOT_READY:
        assert time.monotonic() < deadline, f"still {answered.error_code}"
        time.sleep(0.02)
    assert answered.error_code is ErrorCode.none
    return answered


def record_batch(key: bytes, value: bytes) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 16,
    )
    builder.append(0, timestamp=int(time.time() * 1000), key=key, value=value, headers=[])
    return bytes(builder.build())


def topic_values(world: World, **values: Any) -> dict[str, Any]:
    """A topic by whatever a version calls it: by name or by id."""
    named = {"name": world.topic, "topic": world.topic, "topic_id": world.topic_id}
    return {**named, **values}


def commit_values(world: World, group_id: str, offset: int) -> dict[str, Any]:
    partition = {"partition_index": 0, "committed_offset": offset, "committed_metadata": "ü"}
    return {
        "group_id": group_id,
        "generation_id_or_member_epoch": -1,
        "topics": [topic_values(world, partitions=[partition])],
    }


def join_values(group_id: str, member_id: str = "") -> dict[str, Any]:
    return {
        "group_id": group_id,
        "session_timeout": 60_000,
        "rebalance_timeout": 60_000,
        "member_id": member_id,
        "protocol_type": PROTOCOL_TYPE,
        "protocols": [{"name": "range", "metadata": b"opaque"}],
    }


def member_values(member: Member) -> dict[str, Any]:
    return {
        "group_id": member.group_id,
        "generation_id": member.generation_id,
        "member_id": member.member_id,
    }


def sync_values(member: Member) -> dict[str, Any]:
    return {
        **member_values(member),
        "protocol_type": PROTOCOL_TYPE,
        "protocol_name": "range",
        "assignments": [{"member_id": member.member_id, "assignment": b"all of it"}],
    }


def ask_produce(question: Question, world: World) -> None:
    reply = question.ask(
        {
            "acks": -1,
            "timeout": TIMEOUT_MS,
            "topic_data": [topic_values(world, partition_data=[world.batch_values()])],
        }
    )
    partition = reply.responses[0].partition_responses[0]
    assert partition.error_code is ErrorCode.none
    assert partition.base_offset > 0


def ask_fetch(question: Question, world: World) -> None:
    partition = {"partition": 0, "fetch_offset": 0, "partition_max_bytes": 1 << 20}
    reply = question.ask(
        {
            "max_wait": 500,
            "min_bytes": 1,
            "max_bytes": 1 << 20,
            "topics": [topic_values(world, partitions=[partition])],
        }
    )
    found = reply.responses[0].partitions[0]
    assert found.error_code is ErrorCode.none
    assert found.high_watermark > 0
    # The broker sets the base offset and the leader epoch; the rest is the producer's, bit by bit.
    assert found.records[16 : len(world.batch)] == world.batch[16:]


def ask_list_offsets(question: Question, world: World) -> None:
    topic = topic_values(world, partitions=[{"partition_index": 0, "timestamp": LATEST}])
    reply = question.ask({"replica_id": -1, "topics": [topic], "timeout": TIMEOUT_MS})
    found = reply.topics[0].partitions[0]
    assert found.error_code is ErrorCode.none
    assert found.offset > 0
    assert found.timestamp == -1


def ask_metadata(question: Question, world: World) -> None:
    reply = question.ask({"topics": [{"name": world.topic}], "allow_auto_topic_creation": False})
    assert [(one.host, one.port) for one in reply.brokers] == [world.address]
    (topic,) = reply.topics
    assert (topic.error_code, topic.name) == (ErrorCode.none, world.topic)
    assert getattr(topic, "topic_id", world.topic_id) == world.topic_id
    (partition,) = topic.partitions
    node_id = reply.brokers[0].node_id
    assert partition.error_code is ErrorCode.none
    assert (partition.leader_id, partition.isr_nodes) == (node_id, (node_id,))


def ask_offset_commit(question: Question, world: World) -> None:
    reply = question.ask(commit_values(world, world.new_name("commit"), 7))
    assert reply.topics[0].partitions[0].error_code is ErrorCode.none


def ask_offset_fetch(question: Question, world: World) -> None:
    topics = [topic_values(world, partition_indexes=[0])]
    group = {"group_id": world.committed_group, "topics": topics}
    reply = question.ask({**group, "groups": [group]})
    answer = reply.groups[0] if hasattr(reply, "groups") else reply
    found = answer.topics[0].partitions[0]
    assert getattr(answer, "error_code", ErrorCode.none) is ErrorCode.none
    assert found.error_code is ErrorCode.none
    assert (found.committed_offset, found.metadata) == (COMMITTED_OFFSET, "ü")


def ask_find_coordinator(question: Question, world: World) -> None:
    key = world.new_name("find")
    for key_type in (0, 1) if question.version >= TRANSACTIONS_SINCE else (0,):
        values = {"key": key, "key_type": key_type, "coordinator_keys": [key]}

        def find(values: dict[str, Any] = values) -> Any:
            reply = question.ask(values)
            return reply.coordinators[0] if hasattr(reply, "coordinators") else reply

        found = until_ready(find)
        assert (found.host, found.port) == world.address


def ask_join_group(question: Question, world: World) -> None:
    group_id = world.new_name("join")
    reply = question.ask(join_values(group_id))
    if question.version >= NO_MEMBER_ID_BEFORE:
        assert reply.error_code is ErrorCode.member_id_required
        assert reply.member_id
        reply = question.ask(join_values(group_id, reply.member_id))
    assert reply.error_code is ErrorCode.none
    assert reply.leader == reply.member_id
    assert (reply.generation_id, reply.protocol_name) == (1, "range")
    assert [(one.member_id, one.metadata) for one in reply.members] == [
        (reply.member_id, b"opaque")
    ]


def ask_sync_group(question: Question, world: World) -> None:
    reply = question.ask(sync_values(world.member))
    assert (reply.error_code, reply.assignment) == (ErrorCode.none, b"all of it")


def ask_heartbeat(question: Question, world: World) -> None:
    assert question.ask(member_values(world.member)).error_code is ErrorCode.none


def ask_leave_group(question: Question, world: World) -> None:
    member = world.join(world.new_name("leave"))
    one = {"member_id": member.member_id}
    reply = question.ask({"group_id": member.group_id, "members": [one], **one})
    assert reply.error_code is ErrorCode.none
    for left in getattr(reply, "members", ()):
        assert (left.member_id, left.error_code) == (member.member_id, ErrorCode.none)
    heartbeat = world.client.ask(ApiKey.HEARTBEAT, 4, member_values(member))
    assert heartbeat.error_code is ErrorCode.unknown_member_id


def ask_describe_groups(question: Question, world: World) -> None:
    (group,) = question.ask({"groups": [world.member.group_id]}).groups
    assert group.error_code is ErrorCode.none
    assert (group.group_state, group.protocol_type) == ("Stable", PROTOCOL_TYPE)
    assert group.protocol_data == "range"
    (member,) = group.members
    assert (member.member_id, member.client_id) == (world.member.member_id, "judge")
    assert (member.member_metadata, member.member_assignment) == (b"opaque", b"all of it")


def ask_list_groups(question: Question, world: World) -> None:
    reply = question.ask({})
    assert reply.error_code is ErrorCode.none
    listed = {one.group_id: one.protocol_type for one in reply.groups}
    assert listed[world.member.group_id] == PROTOCOL_TYPE


def ask_api_versions(question: Question, world: World) -> None:
    reply = question.ask({"client_software_name": "judge", "client_software_version": "1.0"})
    assert reply.error_code is ErrorCode.none
    ranges = {one.api_key: (one.min_version, one.max_version) for one in reply.api_keys}
    assert ranges[ApiKey.PRODUCE] == (0, 13)


def ask_create_topics(question: Question, world: World) -> None:
    name = world.new_name("create")
    topic = {"name": name, "num_partitions": 2, "replication_factor": 1}
    reply = question.ask({"topics": [topic], "timeout": TIMEOUT_MS})
    (created,) = reply.topics
    assert (created.name, created.error_code) == (name, ErrorCode.none)


def ask_delete_topics(question: Question, world: World) -> None:
    name = world.new_name("delete")
    world.create_topic(name)
    reply = question.ask({"topics": [{"name": name}], "topic_names": [name], "timeout": TIMEOUT_MS})
    (deleted,) = reply.responses
    assert (deleted.name, deleted.error_code) == (name, ErrorCode.none)


def ask_offset_for_leader_epoch(question: Question, world: World) -> None:
    topic = topic_values(world, partitions=[{"partition": 0, "leader_epoch": 0}])
    reply = question.ask({"replica_id": -1, "topics": [topic]})
    found = reply.topics[0].partitions[0]
    assert (found.error_code, found.leader_epoch) == (ErrorCode.none, 0)
    assert found.end_offset > 0


def ask_describe_configs(question: Question, world: World) -> None:
    resource = {"resource_type": TOPIC_RESOURCE, "resource_name": world.topic}
    values = {"include_synonyms": True, "include_documentation": True}
    (all_of_them,) = question.ask({**values, "resources": [resource]}).results
    assert all_of_them.error_code is ErrorCode.none
    assert (all_of_them.resource_type, all_of_them.resource_name) == (TOPIC_RESOURCE, world.topic)
    by_name = {one.name: one for one in all_of_them.configs}
    found = by_name["segment.bytes"]
    assert (found.value, found.read_only, found.is_sensitive) == ("1073741824", False, False)
    assert [one.name for one in found.synonyms] == ["log.segment.bytes"]
    assert (getattr(found, "documentation", "told") or "") != ""

    only = {**resource, "configuration_keys": ["cleanup.policy"]}
    (one_of_them,) = question.ask({"resources": [only]}).results
    assert [(one.name, one.value) for one in one_of_them.configs] == [("cleanup.policy", "delete")]


SCENARIOS: dict[ApiKey, Callable[[Question, World], None]] = {
    ApiKey.PRODUCE: ask_produce,
    ApiKey.FETCH: ask_fetch,
    ApiKey.LIST_OFFSETS: ask_list_offsets,
    ApiKey.METADATA: ask_metadata,
    ApiKey.OFFSET_COMMIT: ask_offset_commit,
    ApiKey.OFFSET_FETCH: ask_offset_fetch,
    ApiKey.FIND_COORDINATOR: ask_find_coordinator,
    ApiKey.JOIN_GROUP: ask_join_group,
    ApiKey.HEARTBEAT: ask_heartbeat,
    ApiKey.LEAVE_GROUP: ask_leave_group,
    ApiKey.SYNC_GROUP: ask_sync_group,
    ApiKey.DESCRIBE_GROUPS: ask_describe_groups,
    ApiKey.LIST_GROUPS: ask_list_groups,
    ApiKey.API_VERSIONS: ask_api_versions,
    ApiKey.CREATE_TOPICS: ask_create_topics,
    ApiKey.DELETE_TOPICS: ask_delete_topics,
    ApiKey.OFFSET_FOR_LEADER_EPOCH: ask_offset_for_leader_epoch,
    ApiKey.DESCRIBE_CONFIGS: ask_describe_configs,
    **admin_scenarios.SCENARIOS,
}
