"""Static members (KIP-345): they come back as who they were, and are never two."""

from __future__ import annotations

import pytest

from kstore.coordinator.records import GroupMetadataRecord
from kstore.errors import ErrorCode
from kstore.groups.values import CommitRequest, LeaveRequest, LeavingMember, OffsetToCommit
from tests.unit.groups.support import DELAY_MS, SESSION_MS, Client, World


def static_group(world: World, count: int = 2, **options: object) -> list[Client]:
    """A stable group of static members i-0 …, the leader first."""
    members = [world.member(instance_id=f"i-{index}", **options) for index in range(count)]
    joins = [member.join() for member in members]
    world.time.advance(2 * DELAY_MS)
    for member, join in zip(members, joins, strict=True):
        member.take(join)
    members.sort(key=lambda member: not member.is_leader)
    parts = {m.member_id: (m.instance_id or "").encode() for m in members}
    for member in members:
        member.take_part(member.sync(parts))
    return members


def restarted(member: Client) -> Client:
    """The same instance, come back without its member id."""
    return Client(
        member.world,
        instance_id=member.instance_id,
        protocols=member.protocols,
        session_timeout_ms=member.session_timeout_ms,
        can_skip_assignment=member.can_skip_assignment,
    )


def test_a_follower_is_back_without_a_rebalance() -> None:
    world = World()
    leader, follower = static_group(world)
    back = restarted(follower)
    result = back.take(back.join())
    assert (result.generation, result.leader, result.members) == (1, leader.member_id, ())
    assert back.member_id != follower.member_id
    assert back.member_id.startswith(f"{follower.instance_id}-")
    assert world.state() == "Stable"
    assert back.sync().result().assignment == follower.assignment
    assert {leader.beat(), back.beat()} == {ErrorCode.NONE}
    stored = world.records()[-1]
    assert isinstance(stored, GroupMetadataRecord)
    assert stored.value is not None
    assert back.member_id in [m.member_id for m in stored.value.members]


def test_a_leader_is_back_and_skips_the_assignment() -> None:
    world = World()
    leader, follower = static_group(world)
    back = restarted(leader)
    result = back.take(back.join())
    assert (result.leader, result.skip_assignment) == (back.member_id, True)
    assert {m.member_id for m in result.members} == {back.member_id, follower.member_id}
    assert world.state() == "Stable"
    assert back.sync().result().assignment == leader.assignment


def test_an_older_leader_is_back_as_if_another_led() -> None:
    world = World()
    leader, _ = static_group(world, can_skip_assignment=False)
    back = restarted(leader)
    result = back.take(back.join())
    assert (result.leader, result.members) == (leader.member_id, ())
    assert not result.skip_assignment
    assert back.sync().result().assignment == leader.assignment


def test_the_old_id_of_an_instance_is_fenced_everywhere() -> None:
    world = World()
    _, follower = static_group(world)
    back = restarted(follower)
    back.take(back.join())
    fenced = ErrorCode.FENCED_INSTANCE_ID
    assert follower.beat() is fenced
    assert follower.sync().result().error is fenced
    assert follower.join().result().error is fenced
    assert follower.commit(1) is fenced
    assert follower.leave().members[0].error is fenced
    assert back.beat() is ErrorCode.NONE


def test_the_same_instance_twice_at_once_fences_the_one_that_waits() -> None:
    world = World()
    first, second = world.member(instance_id="i"), world.member(instance_id="i")
    joins = [first.join(), second.join()]
    assert joins[0].result().error is ErrorCode.FENCED_INSTANCE_ID
    world.time.advance(2 * DELAY_MS)
    assert second.take(joins[1]).generation == 1


def test_an_instance_that_comes_back_during_a_sync_starts_a_rebalance() -> None:
    world = World()
    members = [world.member(instance_id=f"i-{index}") for index in range(2)]
    joins = [member.join() for member in members]
    world.time.advance(2 * DELAY_MS)
    for member, join in zip(members, joins, strict=True):
        member.take(join)
    leader, follower = sorted(members, key=lambda member: not member.is_leader)
    waiting = follower.sync()
    back = restarted(follower)
    join = back.join()
    assert waiting.result().error is ErrorCode.FENCED_INSTANCE_ID
    assert world.state() == "PreparingRebalance"
    rejoined = leader.join()
    assert leader.take(rejoined).generation == back.take(join).generation == 2


def test_an_instance_that_changes_the_protocol_starts_a_rebalance() -> None:
    world = World()
    both = (("range", b"r"), ("sticky", b"s"))
    leader, follower = static_group(world, protocols=both)
    back = restarted(follower)
    back.protocols = tuple(reversed(both))
    leader_again = restarted(leader)
    leader_again.protocols = tuple(reversed(both))
    first = back.join()
    assert first.result().protocol == "range"  # one vote each: the choice stays
    assert not leader_again.join().done
    assert world.state() == "PreparingRebalance"


def test_a_replacement_that_cannot_be_stored_leaves_the_old_member() -> None:
    world = World()
    _, follower = static_group(world)
    world.log.fail_with = ErrorCode.KAFKA_STORAGE_ERROR
    back = restarted(follower)
    back.protocols = (("range", b"new"),)
    assert back.join().result().error is ErrorCode.NOT_COORDINATOR
    world.log.fail_with = None
    assert follower.beat() is ErrorCode.NONE
    assert follower.sync().result().assignment == follower.assignment
    described = world.groups.describe_group("g").members
    assert {m.metadata for m in described} == {b"subscription"}


def test_a_replacement_that_never_syncs_costs_one_rebalance_not_two() -> None:
    world = World()
    leader = world.member(instance_id="leader", rebalance_timeout_ms=SESSION_MS + 5_000)
    other = world.member(instance_id="other", rebalance_timeout_ms=SESSION_MS + 5_000)
    joins = [leader.join(), other.join()]
    world.time.advance(2 * DELAY_MS)
    for member, join in zip((leader, other), joins, strict=True):
        member.take(join)
    leader.sync({})
    back = restarted(other)  # before it has synced
    back.take(back.join())
    assert back.sync().done
    for _ in range(20):
        world.time.advance(1_000)
        assert {leader.beat(), back.beat()} == {ErrorCode.NONE}


def test_a_static_member_keeps_its_place_for_the_session_timeout_only() -> None:
    world = World()
    leader, follower = static_group(world)
    for _ in range(9):
        world.time.advance(1_000)
        leader.beat()
    assert len(world.groups.describe_group("g").members) == 2
    world.time.advance(1_000)
    assert leader.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    assert follower.beat() is ErrorCode.UNKNOWN_MEMBER_ID


def test_an_administrator_removes_static_members_by_name() -> None:
    world = World()
    leader, follower = static_group(world)
    members = (
        LeavingMember("", follower.instance_id, "scaled down"),
        LeavingMember("", "nobody"),
        LeavingMember("", None),
        LeavingMember("unknown"),
    )
    result = world.groups.leave(LeaveRequest("g", members)).result()
    assert [left.error for left in result.members] == [
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.UNKNOWN_MEMBER_ID,
        ErrorCode.UNKNOWN_MEMBER_ID,
    ]
    assert result.members[0].instance_id == follower.instance_id
    assert leader.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    assert leader.take(leader.join()).generation == 2


def test_a_member_that_is_removed_while_it_waits_is_answered() -> None:
    world = World()
    members = [world.member(instance_id=f"i-{index}") for index in range(2)]
    joins = [member.join() for member in members]
    world.time.advance(2 * DELAY_MS)
    for member, join in zip(members, joins, strict=True):
        member.take(join)
    _, follower = sorted(members, key=lambda member: not member.is_leader)
    waiting = follower.sync()
    world.groups.leave(LeaveRequest("g", (LeavingMember("", follower.instance_id),)))
    assert waiting.result().error is ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize("generation", [-1, 0])
def test_an_instance_needs_its_generation_to_commit(generation: int) -> None:
    world = World()
    _, follower = static_group(world)
    request = CommitRequest(
        "g",
        (OffsetToCommit("topic", 0, 1),),
        follower.member_id,
        generation,
        follower.instance_id,
    )
    assert world.groups.commit_offsets(request).result().errors == (ErrorCode.ILLEGAL_GENERATION,)


def test_a_restart_of_all_members_within_the_session_is_no_rebalance() -> None:
    world = World()
    members = static_group(world, 5)
    for _ in range(3):
        world.restart()
        members = [restarted(member) for member in members]
        for member in members:
            assert member.take(member.join()).generation == 1
            assert member.sync().result().assignment == (member.instance_id or "").encode()
    assert world.state() == "Stable"


def test_a_member_that_is_back_and_dies_is_out_after_its_session() -> None:
    world = World()
    leader, follower = static_group(world)
    back = restarted(follower)
    back.take(back.join())
    world.time.advance(SESSION_MS - 1)
    assert leader.beat() is ErrorCode.NONE
    world.time.advance(1)
    assert leader.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    assert back.beat() is ErrorCode.UNKNOWN_MEMBER_ID
