"""The group APIs at every version, from request to encoded response and back.

The broker behind them is a coordinator on a manual clock and an image of three topics.
"""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from kstore.broker.apis import (
    describe_groups,
    find_coordinator,
    heartbeat,
    join_group,
    leave_group,
    list_groups,
    offset_commit,
    offset_fetch,
    sync_group,
)
from kstore.broker.context import Connection, RequestContext
from kstore.broker.coordination import OFFSETS_TOPIC, TRANSACTIONS_TOPIC
from kstore.broker.partitions import Partitions
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.image import BrokerImage, MetadataImage, PartitionImage, TopicImage
from kstore.runtime import Later
from kstore.wire.codec import decode_request, decode_response, encode_request, encode_response
from kstore.wire.messages import describe_groups as describe_messages
from kstore.wire.messages.find_coordinator import FindCoordinatorRequest
from kstore.wire.messages.heartbeat import HeartbeatRequest
from kstore.wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol
from kstore.wire.messages.leave_group import LeaveGroupRequest, MemberIdentity
from kstore.wire.messages.list_groups import ListGroupsRequest
from kstore.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from kstore.wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from kstore.wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment
from kstore.wire.versions import ADVERTISED, ApiKey
from tests.unit.groups.support import DELAY_MS, SESSION_MS, World
from tests.unit.transactions.support import World as TransactionsWorld

TOPIC_ID, UNKNOWN_ID = uuid.UUID(int=7), uuid.UUID(int=8)


def topic(name: str, topic_id: uuid.UUID, count: int, leader: int = 1) -> TopicImage:
    partitions = tuple(PartitionImage(i, leader, 0, (leader,), (leader,)) for i in range(count))
    return TopicImage(name, topic_id, partitions, {}, name.startswith("__"))


class Broker(SimpleNamespace):
    """What the handlers need of a broker."""

    def __init__(self) -> None:
        self.world = World()
        self.transactions = TransactionsWorld().transactions
        self.node_id = 1
        self.partitions = Partitions()
        self.ensured: list[str] = []
        self.ensure_with: KafkaError | None = None
        self.set_topics(
            topic("t", TOPIC_ID, 2),
            topic(OFFSETS_TOPIC, uuid.UUID(int=9), 1),
            topic(TRANSACTIONS_TOPIC, uuid.UUID(int=10), 1),
        )

    @property
    def groups(self) -> Any:
        return self.world.groups

    def set_topics(self, *topics: TopicImage) -> None:
        self.image = MetadataImage(
            "cluster",
            1,
            topics={image.name: image for image in topics},
            topic_ids={image.topic_id: image for image in topics},
            brokers={1: BrokerImage(1, "here", 9092)},
        )

    def ensure_internal_topic(self, name: str) -> Later[None]:
        self.ensured.append(name)
        if self.ensure_with is not None:
            return Later.failed(self.ensure_with)
        return Later.of(None)

    def ask(self, module: Any, request: Any, version: int) -> Any:
        """The response as a client of `version` decodes it; None while it is awaited."""
        key = module.API.key
        received = decode_request(key, version, encode_request(request, version))
        connection = Connection("127.0.0.1", 50_000, "test")
        context = RequestContext(self, connection, version, 1, "client")  # type: ignore[arg-type]
        answer = module.handle(received, context)
        decoded: list[Any] = []

        def decode(response: Any) -> None:
            encoded = encode_response(response, version)
            decoded.append(decode_response(key, version, encoded))

        if isinstance(answer, Later):
            answer.map(decode)
        else:
            decode(answer)
        return decoded[0] if decoded else None


@pytest.fixture
def broker() -> Broker:
    return Broker()


def versions(key: ApiKey) -> pytest.MarkDecorator:
    served = ADVERTISED[key]
    return pytest.mark.parametrize("version", range(served.min, served.max + 1))


def join_request(version: int, **fields: Any) -> JoinGroupRequest:
    request = JoinGroupRequest(
        group_id="g",
        session_timeout_ms=SESSION_MS,
        rebalance_timeout_ms=60_000 if version else -1,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name="range", metadata=b"topics")],
        reason="because" if version >= 8 else None,
    )
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def stable_member(broker: Broker) -> Any:
    """A stable group of one member, from JoinGroup v3 and SyncGroup v0."""
    request = join_request(3)
    decoded: list[Any] = []
    connection = Connection("127.0.0.1", 50_000, "test")
    context = RequestContext(broker, connection, 3, 1, "client")  # type: ignore[arg-type]
    join_group.handle(request, context).then(lambda later: decoded.append(later.result()))
    broker.world.time.advance(DELAY_MS)
    (joined,) = decoded
    broker.ask(
        sync_group,
        SyncGroupRequest(
            group_id="g",
            generation_id=1,
            member_id=joined.member_id,
            assignments=[
                SyncGroupRequestAssignment(member_id=joined.member_id, assignment=b"part")
            ],
        ),
        0,
    )
    return joined


@versions(ApiKey.JOIN_GROUP)
def test_join_group(broker: Broker, version: int) -> None:
    request = join_request(version)
    if version >= 4:
        told = broker.ask(join_group, request, version)
        assert told.error_code == ErrorCode.MEMBER_ID_REQUIRED
        assert told.protocol_name == (None if version >= 7 else "")
        request.member_id = told.member_id
    connection = Connection("127.0.0.1", 50_000, "test")
    context = RequestContext(broker, connection, version, 1, "client")  # type: ignore[arg-type]
    answer = join_group.handle(request, context)
    assert not answer.done
    broker.world.time.advance(DELAY_MS)
    encoded = encode_response(answer.result(), version)
    response: Any = decode_response(ApiKey.JOIN_GROUP, version, encoded)
    assert (response.error_code, response.generation_id) == (0, 1)
    assert (response.protocol_name, response.leader) == ("range", response.member_id)
    assert response.protocol_type == ("consumer" if version >= 7 else None)
    assert [(m.member_id, m.metadata) for m in response.members] == [
        (response.member_id, b"topics")
    ]
    assert response.member_id.startswith("client-")


@versions(ApiKey.JOIN_GROUP)
def test_join_group_with_an_error(broker: Broker, version: int) -> None:
    response = broker.ask(join_group, join_request(version, session_timeout_ms=1), version)
    assert response.error_code == ErrorCode.INVALID_SESSION_TIMEOUT
    assert response.generation_id == -1
    assert response.protocol_name == (None if version >= 7 else "")


def test_join_group_v0_waits_for_the_session_timeout_and_hosts_are_as_in_java(
    broker: Broker,
) -> None:
    assert broker.ask(join_group, join_request(0), 0) is None
    broker.world.time.advance(DELAY_MS)
    member = next(iter(broker.groups._shards.get(0).groups["g"].members.values()))
    assert (member.rebalance_timeout_ms, member.client_host) == (SESSION_MS, "/127.0.0.1")


def test_a_static_leader_that_is_back_skips_the_assignment_in_v9(broker: Broker) -> None:
    broker.ask(join_group, join_request(9, group_instance_id="i"), 9)
    broker.world.time.advance(DELAY_MS)
    member_id = broker.groups.describe_group("g").members[0].member_id
    sync = SyncGroupRequest(
        group_id="g",
        generation_id=1,
        member_id=member_id,
        group_instance_id="i",
        protocol_type="consumer",
        protocol_name="range",
    )
    assert broker.ask(sync_group, sync, 5).error_code == 0
    back = broker.ask(join_group, join_request(9, group_instance_id="i"), 9)
    assert (back.skip_assignment, back.leader) == (True, back.member_id)
    assert back.members[0].group_instance_id == "i"
    older = broker.ask(join_group, join_request(8, group_instance_id="i"), 8)
    assert older.leader == back.member_id != older.member_id


@versions(ApiKey.SYNC_GROUP)
def test_sync_group(broker: Broker, version: int) -> None:
    joined = stable_member(broker)
    request = SyncGroupRequest(group_id="g", generation_id=1, member_id=joined.member_id)
    if version >= 5:
        missing = broker.ask(sync_group, request, version)
        assert missing.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        request.protocol_type, request.protocol_name = "consumer", "range"
    response = broker.ask(sync_group, request, version)
    assert (response.error_code, response.assignment) == (0, b"part")
    assert response.protocol_name == ("range" if version >= 5 else None)
    request.generation_id = 5
    refused = broker.ask(sync_group, request, version)
    assert (refused.error_code, refused.assignment) == (ErrorCode.ILLEGAL_GENERATION, b"")


@versions(ApiKey.HEARTBEAT)
def test_heartbeat(broker: Broker, version: int) -> None:
    joined = stable_member(broker)
    request = HeartbeatRequest(group_id="g", generation_id=1, member_id=joined.member_id)
    assert broker.ask(heartbeat, request, version).error_code == 0
    request.member_id = "unknown"
    response = broker.ask(heartbeat, request, version)
    assert response.error_code == ErrorCode.UNKNOWN_MEMBER_ID


@versions(ApiKey.LEAVE_GROUP)
def test_leave_group(broker: Broker, version: int) -> None:
    joined = stable_member(broker)
    unknown = ErrorCode.UNKNOWN_MEMBER_ID
    if version < 3:
        for member_id, error in (("nobody", unknown), (joined.member_id, 0)):
            request = LeaveGroupRequest(group_id="g", member_id=member_id)
            assert broker.ask(leave_group, request, version).error_code == error
    else:
        members = [MemberIdentity(member_id=name) for name in ("nobody", joined.member_id)]
        if version >= 5:
            members[1].reason = "stop"
        response = broker.ask(
            leave_group, LeaveGroupRequest(group_id="g", members=members), version
        )
        assert response.error_code == 0
        assert [(m.member_id, m.error_code) for m in response.members] == [
            ("nobody", unknown),
            (joined.member_id, 0),
        ]
    assert broker.world.state() == "Empty"
    empty = LeaveGroupRequest(group_id="", member_id="x" if version < 3 else "")
    assert broker.ask(leave_group, empty, version).error_code == ErrorCode.INVALID_GROUP_ID


def commit_request(version: int) -> OffsetCommitRequest:
    """An offset of a partition that is there, one of a partition and one of a topic that isn't."""

    def partition(index: int) -> OffsetCommitRequestPartition:
        return OffsetCommitRequestPartition(
            partition_index=index,
            committed_offset=40 + index,
            committed_leader_epoch=3 if version >= 6 else -1,
            committed_metadata="meta" if index else None,
        )

    known = OffsetCommitRequestTopic(partitions=[partition(1), partition(0), partition(2)])
    unknown = OffsetCommitRequestTopic(partitions=[partition(0)])
    if version >= 10:
        known.topic_id, unknown.topic_id = TOPIC_ID, UNKNOWN_ID
    else:
        known.name, unknown.name = "t", "unknown"
    return OffsetCommitRequest(group_id="g", topics=[known, unknown])


@versions(ApiKey.OFFSET_COMMIT)
def test_offset_commit(broker: Broker, version: int) -> None:
    response = broker.ask(offset_commit, commit_request(version), version)
    missing = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    known, unknown = response.topics
    assert (known.name, known.topic_id.int) == (("t", 0) if version < 10 else ("", 7))
    assert [(p.partition_index, p.error_code) for p in known.partitions] == [
        (1, 0),
        (0, 0),
        (2, missing),
    ]
    expected = ErrorCode.UNKNOWN_TOPIC_ID if version >= 10 else missing
    assert [p.error_code for p in unknown.partitions] == [expected]
    stored = {
        (name, index): value for name, index, value in broker.groups._shards.get(0).offsets.of("g")
    }
    assert {key: (v.offset, v.metadata, v.topic_id) for key, v in stored.items()} == {
        ("t", 1): (41, "meta", TOPIC_ID),
        ("t", 0): (40, "", TOPIC_ID),
    }
    request = commit_request(version)
    request.generation_id_or_member_epoch, request.group_id = 4, "gone"
    gone = broker.ask(offset_commit, request, version).topics[0].partitions[0]
    expected = ErrorCode.GROUP_ID_NOT_FOUND if version >= 9 else ErrorCode.ILLEGAL_GENERATION
    assert gone.error_code == expected


def test_offset_commit_of_nothing_that_exists_asks_no_coordinator(broker: Broker) -> None:
    broker.groups.close()
    request = commit_request(9)
    del request.topics[0]
    response = broker.ask(offset_commit, request, 9)
    assert response.topics[0].partitions[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    nothing = broker.ask(offset_commit, OffsetCommitRequest(group_id="g"), 9)
    assert nothing.topics == []


@pytest.mark.parametrize("version", [2, 4])
def test_offset_commit_keeps_a_retention_time(broker: Broker, version: int) -> None:
    request = commit_request(version)
    request.retention_time_ms = 1_000
    broker.ask(offset_commit, request, version)
    stored = [value for _, _, value in broker.groups._shards.get(0).offsets.of("g")]
    assert {v.expire_timestamp_ms for v in stored} == {broker.world.time.time_ms() + 1_000}


@versions(ApiKey.OFFSET_FETCH)
def test_offset_fetch(broker: Broker, version: int) -> None:
    broker.ask(offset_commit, commit_request(9), 9)
    stable = version >= 7
    if version < 8:
        request = OffsetFetchRequest(
            group_id="g",
            topics=[OffsetFetchRequestTopic(name="t", partition_indexes=[1, 5])],
            require_stable=stable,
        )
    else:
        wanted = [OffsetFetchRequestTopics(name="t", partition_indexes=[1, 5])]
        if version >= 10:
            wanted = [
                OffsetFetchRequestTopics(topic_id=TOPIC_ID, partition_indexes=[1, 5]),
                OffsetFetchRequestTopics(topic_id=UNKNOWN_ID, partition_indexes=[0]),
            ]
        group = OffsetFetchRequestGroup(group_id="g", topics=wanted)
        request = OffsetFetchRequest(groups=[group], require_stable=stable)
    response = broker.ask(offset_fetch, request, version)
    answer = response.groups[0] if version >= 8 else response
    assert answer.error_code == 0
    found = [
        (p.partition_index, p.committed_offset, p.committed_leader_epoch, p.metadata, p.error_code)
        for p in answer.topics[0].partitions
    ]
    assert found == [(1, 41, 3 if version >= 5 else -1, "meta", 0), (5, -1, -1, "", 0)]
    if version >= 10:
        (unknown,) = answer.topics[1].partitions
        assert (unknown.committed_offset, unknown.error_code) == (-1, ErrorCode.UNKNOWN_TOPIC_ID)


@pytest.mark.parametrize("version", range(2, 11))
def test_offset_fetch_of_all_topics(broker: Broker, version: int) -> None:
    broker.ask(offset_commit, commit_request(9), 9)
    if version < 8:
        request = OffsetFetchRequest(group_id="g", topics=None)
    else:
        names = ("g", "unknown")
        groups = [OffsetFetchRequestGroup(group_id=name, topics=None) for name in names]
        request = OffsetFetchRequest(groups=groups)
    response = broker.ask(offset_fetch, request, version)
    answer = response.groups[0] if version >= 8 else response
    (found,) = answer.topics
    assert (found.name if version < 10 else found.topic_id) == ("t" if version < 10 else TOPIC_ID)
    assert {p.partition_index: p.committed_offset for p in found.partitions} == {0: 40, 1: 41}
    if version >= 8:
        assert (response.groups[1].error_code, response.groups[1].topics) == (0, [])
    broker.set_topics()
    gone = broker.ask(offset_fetch, request, version)
    gone_topics = (gone.groups[0] if version >= 8 else gone).topics
    assert len(gone_topics) == (0 if version >= 10 else 1)


@versions(ApiKey.OFFSET_FETCH)
def test_offset_fetch_where_the_group_is_not(broker: Broker, version: int) -> None:
    broker.groups.unload(0)
    wanted = [OffsetFetchRequestTopic(name="t", partition_indexes=[0])]
    request = OffsetFetchRequest(group_id="g", topics=wanted)
    if version >= 8:
        request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id="g", topics=[])])
    response = broker.ask(offset_fetch, request, version)
    if version >= 8:
        error = response.groups[0].error_code
    elif version >= 2:
        error = response.error_code
        assert response.topics == []
    else:
        error = response.topics[0].partitions[0].error_code
    assert error == ErrorCode.NOT_COORDINATOR


@versions(ApiKey.LIST_GROUPS)
def test_list_groups(broker: Broker, version: int) -> None:
    stable_member(broker)
    request = ListGroupsRequest()
    if version >= 4:
        request.states_filter = ["stable"]
    if version >= 5:
        request.types_filter = ["Classic"]
    (group,) = broker.ask(list_groups, request, version).groups
    assert (group.group_id, group.protocol_type) == ("g", "consumer")
    assert group.group_state == ("Stable" if version >= 4 else "")
    assert group.group_type == ("classic" if version >= 5 else "")
    if version >= 4:
        request.states_filter = ["Empty"]
        assert broker.ask(list_groups, request, version).groups == []
    broker.groups.begin_load(0)
    loading = broker.ask(list_groups, request, version)
    assert loading.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS


@versions(ApiKey.DESCRIBE_GROUPS)
def test_describe_groups(broker: Broker, version: int) -> None:
    joined = stable_member(broker)
    request = describe_messages.DescribeGroupsRequest(groups=["g", "none"])
    if version >= 3:
        request.include_authorized_operations = True
    found, dead = broker.ask(describe_groups, request, version).groups
    assert (found.group_state, found.protocol_data, found.error_code) == ("Stable", "range", 0)
    (member,) = found.members
    assert (member.member_id, member.client_id) == (joined.member_id, "client")
    assert (member.client_host, member.member_metadata) == ("/127.0.0.1", b"topics")
    assert member.member_assignment == b"part"
    operations = sum(1 << code for code in (3, 6, 8, 10, 11))
    assert found.authorized_operations == (operations if version >= 3 else -(1 << 31))
    assert (dead.group_state, dead.members) == ("Dead", [])
    assert dead.error_code == (ErrorCode.GROUP_ID_NOT_FOUND if version >= 6 else 0)
    assert (dead.error_message is None) == (version < 6)
    broker.groups.unload(0)
    away = broker.ask(describe_groups, request, version).groups[0]
    assert (away.error_code, away.group_state) == (ErrorCode.NOT_COORDINATOR, "")


def find(broker: Broker, version: int, key_type: int = 0) -> tuple[int, str, int, int]:
    if version >= 4:
        request = FindCoordinatorRequest(key_type=key_type, coordinator_keys=["g", "h"])
        coordinators = broker.ask(find_coordinator, request, version).coordinators
        assert [coordinator.key for coordinator in coordinators] == ["g", "h"]
        found = coordinators[0]
    else:
        request = FindCoordinatorRequest(key="g", key_type=key_type)
        found = broker.ask(find_coordinator, request, version)
    return found.node_id, found.host, found.port, found.error_code


@versions(ApiKey.FIND_COORDINATOR)
def test_find_coordinator(broker: Broker, version: int) -> None:
    here = (1, "here", 9092, 0)
    assert find(broker, version) == here
    assert broker.ensured == [OFFSETS_TOPIC]
    if version >= 1:
        assert find(broker, version, key_type=1) == here
        assert broker.ensured == [OFFSETS_TOPIC, TRANSACTIONS_TOPIC]
        for key_type in (2, 3, -1):
            refused = (-1, "", -1, ErrorCode.INVALID_REQUEST)
            assert find(broker, version, key_type) == refused
        assert len(broker.ensured) == 2
    nobody = (-1, "", -1, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    broker.set_topics(topic(OFFSETS_TOPIC, uuid.UUID(int=9), 1, leader=-1))
    assert find(broker, version) == nobody
    broker.set_topics()
    broker.ensure_with = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)
    assert find(broker, version) == nobody


def test_no_coordinator_for_a_partition_whose_disk_has_failed(broker: Broker) -> None:
    request = FindCoordinatorRequest(key_type=0, coordinator_keys=["g"])
    assert broker.ask(find_coordinator, request, 4).coordinators[0].node_id == 1
    broker.partitions.take_offline(OFFSETS_TOPIC, uuid.UUID(int=9), 0)
    (found,) = broker.ask(find_coordinator, request, 4).coordinators
    assert (found.error_code, found.node_id) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, -1)
