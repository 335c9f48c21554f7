"""SyncGroup and Heartbeat, and the way to a stable generation."""

from __future__ import annotations

import pytest

from kstore.coordinator.records import GroupMetadataRecord
from kstore.errors import ErrorCode
from kstore.groups.values import HeartbeatRequest, SyncRequest
from tests.unit.groups.support import DELAY_MS, REBALANCE_MS, SESSION_MS, Client, World


def gather(world: World, count: int) -> list[Client]:
    """Members that have joined and not synced, the leader first."""
    members = [world.member() for _ in range(count)]
    joins = [member.join() for member in members]
    world.time.advance(2 * DELAY_MS)
    for member, join in zip(members, joins, strict=True):
        member.take(join)
    return sorted(members, key=lambda member: not member.is_leader)


def test_followers_wait_for_the_leaders_assignment() -> None:
    world = World()
    leader, follower = gather(world, 2)
    waiting = follower.sync()
    assert not waiting.done
    parts = {leader.member_id: b"one", follower.member_id: b"two"}
    given = leader.sync(parts).result()
    assert (given.assignment, given.protocol, given.protocol_type) == (b"one", "range", "consumer")
    assert waiting.result().assignment == b"two"
    assert world.state() == "Stable"
    stored = world.records()[-1]
    assert isinstance(stored, GroupMetadataRecord)
    assert stored.value is not None
    assert stored.value.generation == 1
    assert {m.member_id: m.assignment for m in stored.value.members} == parts
    assert {m.client_host for m in stored.value.members} == {"/127.0.0.1"}


def test_a_member_that_syncs_late_or_again_gets_its_part_at_once() -> None:
    world = World()
    leader, follower = gather(world, 2)
    leader.sync({follower.member_id: b"two"})
    assert follower.sync().result().assignment == b"two"
    assert follower.sync().result().assignment == b"two"
    assert leader.sync({follower.member_id: b"other"}).result().assignment == b""


def test_the_group_is_stable_once_the_generation_is_committed() -> None:
    world = World()
    leader, follower = gather(world, 2)
    world.log.hold = True
    waits = [follower.sync(), leader.sync({follower.member_id: b"two"})]
    assert world.state() == "CompletingRebalance"
    assert not any(wait.done for wait in waits)
    beat = world.groups.heartbeat(HeartbeatRequest("g", leader.member_id, 1))
    assert not beat.done  # the group's events wait for what is being stored
    world.log.commit_next()
    assert [wait.result().assignment for wait in waits] == [b"two", b""]
    assert beat.result() is ErrorCode.NONE
    assert world.state() == "Stable"


def test_an_assignment_that_cannot_be_stored_starts_another_rebalance() -> None:
    world = World()
    leader, follower = gather(world, 2)
    waiting = follower.sync()
    world.log.fail_with = ErrorCode.NOT_ENOUGH_REPLICAS
    failed = leader.sync({follower.member_id: b"two"})
    assert {failed.result().error, waiting.result().error} == {ErrorCode.COORDINATOR_NOT_AVAILABLE}
    assert world.state() == "PreparingRebalance"
    world.log.fail_with = None
    joins = [leader.join(), follower.join()]
    assert [join.result().generation for join in joins] == [2, 2]


def test_a_new_join_sends_those_who_wait_for_their_part_back() -> None:
    world = World()
    leader, follower = gather(world, 2)
    waiting = follower.sync()
    world.member().join()
    assert waiting.result().error is ErrorCode.REBALANCE_IN_PROGRESS
    assert leader.sync({}).result().error is ErrorCode.REBALANCE_IN_PROGRESS
    assert leader.beat() is ErrorCode.REBALANCE_IN_PROGRESS


def test_a_sync_sent_again_answers_the_earlier_one() -> None:
    world = World()
    leader, follower = gather(world, 2)
    first, second = follower.sync(), follower.sync()
    assert first.result().error is ErrorCode.REBALANCE_IN_PROGRESS
    leader.sync({follower.member_id: b"two"})
    assert second.result().assignment == b"two"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"group_id": ""}, ErrorCode.INVALID_GROUP_ID),
        ({"group_id": "unknown"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"member_id": "unknown"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"instance_id": "unknown"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"generation": 0}, ErrorCode.ILLEGAL_GENERATION),
        ({"generation": 2}, ErrorCode.ILLEGAL_GENERATION),
        ({"protocol": "sticky"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocol_type": "connect"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
    ],
)
def test_syncs_that_are_refused(change: dict[str, object], error: ErrorCode) -> None:
    world = World()
    (member,) = world.stable(1)
    request = {
        "group_id": "g",
        "member_id": member.member_id,
        "generation": 1,
        "protocol": "range",
        "protocol_type": "consumer",
    } | change
    result = world.groups.sync(SyncRequest(**request)).result()  # type: ignore[arg-type]
    assert result.error is error


def test_heartbeats_are_answered_by_state_and_generation() -> None:
    world = World()
    leader, follower = gather(world, 2)
    assert leader.beat() is ErrorCode.NONE  # after the join, before the sync
    leader.sync({})
    follower.take_part(follower.sync())
    assert follower.beat() is ErrorCode.NONE
    follower.generation = 0
    assert follower.beat() is ErrorCode.ILLEGAL_GENERATION
    follower.member_id = "unknown"
    assert follower.beat() is ErrorCode.UNKNOWN_MEMBER_ID
    assert world.member(group_id="none").beat() is ErrorCode.UNKNOWN_MEMBER_ID
    assert world.member(group_id="").beat() is ErrorCode.INVALID_GROUP_ID


def test_a_member_that_never_syncs_is_out_after_the_rebalance_timeout() -> None:
    world = World()
    leader, silent = world.stable(2, rebalance_timeout_ms=SESSION_MS + 5_000)
    joins = [leader.join(), silent.join()]
    for member, join in zip((leader, silent), joins, strict=True):
        member.take(join)
    leader.take_part(leader.sync({}))
    for _ in range(14):
        world.time.advance(1_000)
        assert {leader.beat(), silent.beat()} == {ErrorCode.NONE}
    world.time.advance(1_000)
    assert silent.beat() is ErrorCode.UNKNOWN_MEMBER_ID
    assert leader.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    assert leader.take(leader.join()).generation == 3


def test_a_leader_that_never_syncs_is_replaced_and_nobody_waits_forever() -> None:
    world = World()
    leader, follower = gather(world, 2)
    waiting = follower.sync()
    for _ in range(REBALANCE_MS // 5_000):
        world.time.advance(5_000)
        leader.beat()
    assert waiting.result().error is ErrorCode.REBALANCE_IN_PROGRESS
    rejoined = follower.take(follower.join())
    assert (rejoined.generation, follower.is_leader) == (2, True)
