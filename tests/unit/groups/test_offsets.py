"""Commits and fetches of offsets."""

from __future__ import annotations

import uuid

import pytest

from kstore.coordinator.records import OffsetCommitRecord
from kstore.errors import ErrorCode
from kstore.groups.values import (
    CommitRequest,
    FetchedOffset,
    FetchRequest,
    FetchTopic,
    OffsetToCommit,
)
from tests.unit.groups.support import Client, World

ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


def fetch_all(world: World, group_id: str = "g") -> dict[tuple[str, int], FetchedOffset]:
    result = world.groups.fetch_offsets(FetchRequest(group_id, None)).result()
    assert result.error is ErrorCode.NONE
    return {(t.topic, offset.partition): offset for t in result.topics for offset in t.offsets}


def test_what_is_committed_comes_back_unchanged_also_after_a_restart() -> None:
    world = World()
    admin = world.member()
    metadata = " späte Metadaten \N{GRINNING FACE}\t"
    assert admin.commit(7, leader_epoch=3, metadata=metadata) is ErrorCode.NONE
    for _ in range(2):
        assert fetch_all(world) == {("topic", 0): FetchedOffset(0, 7, 3, metadata)}
        world.restart()
    record = world.records()[0]
    assert isinstance(record, OffsetCommitRecord)
    assert record.value is not None
    assert record.value.commit_timestamp_ms == world.time.time_ms()
    assert record.value.expire_timestamp_ms == -1


def test_a_commit_by_nobody_makes_a_simple_group() -> None:
    world = World()
    assert world.member(group_id="tool").commit(1) is ErrorCode.NONE
    (listing,) = world.groups.list_groups()
    assert (listing.group_id, listing.state, listing.protocol_type) == ("tool", "Empty", "")
    assert world.member(group_id="").commit(1) is ErrorCode.NONE  # as good a name as any


def test_a_commit_that_cannot_be_stored_changes_nothing() -> None:
    world = World()
    world.member().commit(1)
    world.log.fail_with = ErrorCode.KAFKA_STORAGE_ERROR
    assert world.member().commit(2) is ErrorCode.NOT_COORDINATOR
    assert world.member(group_id="other").commit(2) is ErrorCode.NOT_COORDINATOR
    assert fetch_all(world)["topic", 0].offset == 1
    assert [listing.group_id for listing in world.groups.list_groups()] == ["g"]


def test_members_commit_with_their_generation() -> None:
    world = World()
    leader, follower = world.stable(2)
    assert leader.commit(1) is ErrorCode.NONE
    follower.generation = 0
    assert follower.commit(2) is ErrorCode.ILLEGAL_GENERATION
    follower.member_id = "unknown"
    assert follower.commit(2) is ErrorCode.UNKNOWN_MEMBER_ID
    assert world.member().commit(2) is ErrorCode.UNKNOWN_MEMBER_ID
    assert leader.committed() == 1


def test_commits_during_a_rebalance() -> None:
    world = World()
    leader, follower = world.stable(2)
    join = leader.join()
    assert follower.commit(1) is ErrorCode.NONE  # of the generation that ends
    rejoin = follower.join()
    old_generation = leader.generation
    leader.take(join)
    follower.take(rejoin)
    assert leader.commit(2) is ErrorCode.REBALANCE_IN_PROGRESS
    leader.generation = old_generation
    assert leader.commit(3) is ErrorCode.ILLEGAL_GENERATION
    assert follower.committed() == 1


@pytest.mark.parametrize(
    ("knows", "error"),
    [(True, ErrorCode.GROUP_ID_NOT_FOUND), (False, ErrorCode.ILLEGAL_GENERATION)],
)
def test_a_member_of_a_group_that_is_gone(knows: bool, error: ErrorCode) -> None:
    offsets = (OffsetToCommit("t", 0, 1), OffsetToCommit("t", 1, 1))
    request = CommitRequest("gone", offsets, "m", 5, knows_group_id_not_found=knows)
    assert World().groups.commit_offsets(request).result().errors == (error, error)


def test_an_empty_group_takes_commits_of_anyone_without_a_generation() -> None:
    world = World()
    (member,) = world.stable(1)
    member.leave()
    assert member.commit(1) is ErrorCode.UNKNOWN_MEMBER_ID
    member.generation = -1
    assert member.commit(1) is ErrorCode.NONE


def test_too_much_metadata_fails_its_partition_only() -> None:
    world = World(offset_metadata_max_bytes=4)
    offsets = (
        OffsetToCommit("t", 0, 1, metadata="1234"),
        OffsetToCommit("t", 1, 1, metadata="12345"),
        OffsetToCommit("t", 2, 1, metadata="\N{GRINNING FACE}" * 2),  # Java counts four
        OffsetToCommit("t", 3, 1, metadata="\N{GRINNING FACE}" * 3),
    )
    errors = world.groups.commit_offsets(CommitRequest("g", offsets)).result().errors
    large = ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert errors == (ErrorCode.NONE, large, ErrorCode.NONE, large)
    assert sorted(fetch_all(world)) == [("t", 0), ("t", 2)]
    only_large = CommitRequest("g", offsets[1:2])
    assert world.groups.commit_offsets(only_large).result().errors == (large,)


def test_a_retention_of_the_clients_own_is_stored() -> None:
    world = World()
    request = CommitRequest("g", (OffsetToCommit("t", 0, 1),), retention_ms=60_000)
    world.groups.commit_offsets(request)
    record = world.records()[0]
    assert isinstance(record, OffsetCommitRecord)
    assert record.value is not None
    assert record.value.expire_timestamp_ms == world.time.time_ms() + 60_000


def test_what_was_never_committed_is_minus_one() -> None:
    world = World()
    world.member().commit(5)
    wanted = (FetchTopic("topic", (1, 0)), FetchTopic("other", (0,)))
    topics = world.groups.fetch_offsets(FetchRequest("g", wanted)).result().topics
    assert [[offset.offset for offset in topic.offsets] for topic in topics] == [[-1, 5], [-1]]
    assert topics[0].offsets[0] == FetchedOffset(1, -1, -1, "")
    assert fetch_all(world, "unknown") == {}
    unknown = world.groups.fetch_offsets(FetchRequest("unknown", wanted)).result().topics
    assert unknown[1].offsets == (FetchedOffset(0),)


def test_an_offset_of_a_topic_that_was_made_again_is_not_this_topics() -> None:
    world = World()
    world.member().commit(5, topic_id=ONE)

    def fetched(topic_id: uuid.UUID) -> int:
        request = FetchRequest("g", (FetchTopic("topic", (0,), topic_id),))
        return world.groups.fetch_offsets(request).result().topics[0].offsets[0].offset

    assert [fetched(uuid.UUID(int=0)), fetched(ONE), fetched(OTHER)] == [5, 5, -1]


def test_a_stable_fetch_waits_for_what_is_under_way() -> None:
    world = World()
    world.member().commit(1)
    world.log.hold = True
    commit = world.member().commit_later(2)
    wanted = (FetchTopic("topic", (0,)),)
    now = world.groups.fetch_offsets(FetchRequest("g", wanted)).result()
    stable = world.groups.fetch_offsets(FetchRequest("g", wanted, require_stable=True))
    assert now.topics[0].offsets[0].offset == 1
    assert not stable.done
    world.log.commit_next()
    assert commit.done
    assert stable.result().topics[0].offsets[0].offset == 2


def test_a_deleted_topics_offsets_go_and_a_new_ones_stay() -> None:
    world = World()
    clients = [world.member(group_id=name) for name in ("a", "b", "c")]
    for client, topic_id in zip(clients, (ONE, uuid.UUID(int=0), OTHER), strict=True):
        client.commit(5, topic_id=topic_id)
    world.member(group_id="a").world.groups.commit_offsets(
        CommitRequest("a", (OffsetToCommit("kept", 0, 9),))
    )
    world.groups.forget_topic("topic", ONE)
    assert [client.committed() for client in clients] == [-1, -1, 5]
    assert fetch_all(world, "a")["kept", 0].offset == 9
    world.restart()
    assert [client.committed() for client in clients] == [-1, -1, 5]


def test_an_empty_group_is_deleted_with_its_offsets() -> None:
    world = World()
    (member,) = world.stable(1)
    member.commit(4)
    assert world.groups.delete_group("g").result() is ErrorCode.NON_EMPTY_GROUP
    member.leave()
    assert world.groups.delete_group("g").result() is ErrorCode.NONE
    assert world.groups.delete_group("g").result() is ErrorCode.GROUP_ID_NOT_FOUND
    for _ in range(2):
        assert world.groups.list_groups() == []
        assert fetch_all(world) == {}
        world.restart()
    assert world.stable(1)[0].generation == 1


def test_without_the_partition_nothing_is_committed_or_fetched() -> None:
    world = World()
    world.groups.unload(0)
    assert world.member().commit(1) is ErrorCode.NOT_COORDINATOR
    for stable in (True, False):
        result = world.groups.fetch_offsets(FetchRequest("g", None, stable)).result()
        assert result.error is ErrorCode.NOT_COORDINATOR
    assert world.groups.delete_group("g").result() is ErrorCode.NOT_COORDINATOR


def test_commits_of_one_group_are_stored_in_their_order() -> None:
    world = World()
    member: Client = world.member()
    world.log.hold = True
    commits = [member.commit_later(offset) for offset in range(5)]
    for _ in commits:
        world.log.commit_next()
    assert [commit.result().errors for commit in commits] == [(ErrorCode.NONE,)] * 5
    assert member.committed() == 4
