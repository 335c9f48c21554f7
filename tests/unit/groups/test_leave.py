"""LeaveGroup, and what is left of a group."""

from __future__ import annotations

import logging

import pytest

from kstore.coordinator.records import GroupMetadataRecord
from kstore.errors import ErrorCode
from kstore.groups.values import LeaveRequest, LeavingMember
from tests.unit.groups.support import DELAY_MS, World


def test_several_members_leave_in_one_rebalance(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    leader, *others = world.stable(4)
    leaving = tuple(LeavingMember(member.member_id, reason="stop") for member in others[:2])
    with caplog.at_level(logging.INFO, "kstore.groups"):
        result = world.groups.leave(LeaveRequest("g", leaving)).result()
    assert {left.error for left in result.members} == {ErrorCode.NONE}
    started = [line for line in caplog.messages if line.startswith("Preparing to rebalance")]
    assert len(started) == 1
    assert "client reason: stop" in caplog.text
    joins = [leader.join(), others[2].join()]
    assert [join.result().generation for join in joins] == [2, 2]


def test_the_last_member_leaves_an_empty_group_that_is_stored() -> None:
    world = World()
    (member,) = world.stable(1)
    member.leave()
    assert world.state() == "Empty"
    stored = world.records()[-1]
    assert isinstance(stored, GroupMetadataRecord)
    assert stored.value is not None
    assert (stored.value.generation, stored.value.protocol, stored.value.leader) == (2, None, None)
    assert stored.value.protocol_type == "consumer"
    assert stored.value.members == ()


def test_if_that_cannot_be_stored_the_group_is_empty_all_the_same() -> None:
    world = World()
    (member,) = world.stable(1)
    world.log.fail_with = ErrorCode.NOT_ENOUGH_REPLICAS
    assert member.leave().error is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert world.state() == "Empty"
    world.log.fail_with = None
    world.restart()
    assert world.state() == "Stable"  # the member will time out
    assert member.beat() is ErrorCode.NONE


def test_the_leader_that_leaves_is_followed_by_another() -> None:
    world = World()
    leader, follower = world.stable(2)
    leader.leave()
    assert follower.take(follower.join()).leader == follower.member_id


def test_a_pending_member_may_leave() -> None:
    world = World()
    pending = world.member(member_id_required=True)
    pending.member_id = pending.join().result().member_id
    assert pending.leave().members[0].error is ErrorCode.NONE
    assert pending.join().result().error is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_member_that_leaves_during_its_join_is_answered() -> None:
    world = World()
    leader, follower = world.stable(2)
    join = leader.join()
    leader.leave()
    assert join.result().error is ErrorCode.UNKNOWN_MEMBER_ID
    assert follower.take(follower.join()).generation == 2


def test_all_who_leave_during_the_first_delay_leave_an_empty_group() -> None:
    world = World()
    member = world.member()
    member.member_id_required = True
    member.member_id = member.join().result().member_id
    join = member.join()
    member.leave()
    assert join.result().error is ErrorCode.UNKNOWN_MEMBER_ID
    world.time.advance(DELAY_MS)
    assert world.state() == "Empty"


@pytest.mark.parametrize(
    ("group_id", "error", "member_error"),
    [
        ("", ErrorCode.INVALID_GROUP_ID, None),
        ("unknown", ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID),
        ("g", ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_leaving_where_one_is_not(
    group_id: str, error: ErrorCode, member_error: ErrorCode | None
) -> None:
    world = World()
    world.stable(1)
    result = world.groups.leave(LeaveRequest(group_id, (LeavingMember("nobody"),))).result()
    assert result.error is error
    assert [left.error for left in result.members] == ([member_error] if member_error else [])
    assert world.state() == "Stable"


def test_the_last_one_awaited_leaves_and_the_others_go_on_at_once() -> None:
    world = World()
    leader, follower = world.stable(2)
    join = leader.join()
    follower.leave()
    assert leader.take(join).generation == 2
