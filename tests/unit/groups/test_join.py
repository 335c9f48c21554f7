"""JoinGroup: who is let in, who leads, what the generation is."""

from __future__ import annotations

import logging

import pytest

from kstore.errors import ErrorCode
from kstore.groups.values import JoinRequest, JoinResult
from tests.unit.groups.support import DELAY_MS, RANGE, REBALANCE_MS, SESSION_MS, World


def test_the_first_members_wait_for_each_other_and_share_a_generation() -> None:
    world = World()
    first, second = world.member(), world.member()
    joins = [first.join(), second.join()]
    world.time.advance(2 * DELAY_MS - 1)
    assert [join.done for join in joins] == [False, False]
    world.time.advance(1)
    results = [first.take(joins[0]), second.take(joins[1])]
    assert [result.generation for result in results] == [1, 1]
    assert [result.protocol for result in results] == ["range", "range"]
    assert [result.protocol_type for result in results] == ["consumer", "consumer"]
    leader, follower = results if first.is_leader else reversed(results)
    assert {member.member_id for member in leader.members} == {first.member_id, second.member_id}
    assert {member.metadata for member in leader.members} == {b"subscription"}
    assert follower.members == ()
    assert world.state() == "CompletingRebalance"


def test_the_initial_delay_is_prolonged_by_new_members_up_to_the_rebalance_timeout() -> None:
    world = World()
    options = {"rebalance_timeout_ms": 2 * DELAY_MS + 500}
    joins = [world.member(**options).join()]
    for _ in range(2):
        world.time.advance(DELAY_MS - 1)
        joins.append(world.member(**options).join())
        world.time.advance(1)
    assert not any(join.done for join in joins)
    world.time.advance(500)
    assert {join.result().generation for join in joins} == {1}


def test_a_lone_member_waits_for_one_delay_only() -> None:
    world = World()
    join = world.member().join()
    world.time.advance(DELAY_MS)
    assert join.result().error is ErrorCode.NONE


def test_without_a_delay_the_first_member_has_its_generation_at_once() -> None:
    world = World(group_initial_rebalance_delay_ms=0)
    join = world.member().join()
    world.time.advance(0)
    assert join.result().generation == 1


def test_a_new_member_is_told_its_id_first_and_counts_as_awaited() -> None:
    world = World()
    (leader,) = world.stable(1)
    newcomer = world.member(member_id_required=True)
    told = newcomer.join().result()
    assert told.error is ErrorCode.MEMBER_ID_REQUIRED
    assert told.member_id.startswith("client-")
    assert world.state() == "Stable"
    newcomer.member_id = told.member_id
    join = newcomer.join()
    assert leader.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    rejoin = leader.join()
    assert newcomer.take(join).generation == leader.take(rejoin).generation == 2


def test_a_rebalance_waits_for_a_pending_member_until_its_session_times_out() -> None:
    world = World()
    (leader,) = world.stable(1)
    pending = world.member(member_id_required=True, session_timeout_ms=SESSION_MS - 2_000)
    pending.join()
    join = leader.join()
    world.time.advance(SESSION_MS - 2_001)
    assert not join.done
    world.time.advance(1)
    assert join.result().generation == 2


def test_two_concurrent_joins_never_end_in_unknown_member_id() -> None:
    world = World()
    members = [world.member(member_id_required=True) for _ in range(2)]
    for member in members:
        told = member.join().result()
        assert told.error is ErrorCode.MEMBER_ID_REQUIRED
        member.member_id = told.member_id
    joins = [member.join() for member in members]
    world.time.advance(2 * DELAY_MS)
    assert [member.take(join).generation for member, join in zip(members, joins, strict=True)] == [
        1,
        1,
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"group_id": ""}, ErrorCode.INVALID_GROUP_ID),
        ({"session_timeout_ms": 5_999}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"session_timeout_ms": 1_800_001}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"protocols": ()}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocol_type": ""}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"member_id": "never-seen"}, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_what_a_first_member_may_not_say(change: dict[str, object], error: ErrorCode) -> None:
    request = {
        "group_id": "g",
        "session_timeout_ms": SESSION_MS,
        "rebalance_timeout_ms": REBALANCE_MS,
        "protocol_type": "consumer",
        "protocols": RANGE,
    } | change
    later = World().groups.join(JoinRequest(**request))  # type: ignore[arg-type]
    assert later.result().error is error


def test_members_must_have_a_protocol_in_common() -> None:
    world = World()
    world.stable(1, protocols=(("range", b""), ("sticky", b"")))
    for options in (
        {"protocols": (("roundrobin", b""),)},
        {"protocol_type": "connect", "protocols": (("range", b""),)},
    ):
        result = world.member(**options).join().result()
        assert result.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_the_protocol_with_most_votes_among_the_common_ones_wins() -> None:
    world = World()
    common = (("sticky", b"s"), ("range", b"r"))
    members = [
        world.member(protocols=(("own", b""), *reversed(common))),
        world.member(protocols=common),
        world.member(protocols=common),
    ]
    joins = [member.join() for member in members]
    world.time.advance(2 * DELAY_MS)
    assert {join.result().protocol for join in joins} == {"sticky"}


def test_a_follower_that_asks_again_causes_no_rebalance_and_a_leader_does() -> None:
    world = World()
    leader, follower = world.stable(2)
    again = follower.join().result()
    assert (again.generation, again.members) == (1, ())
    assert world.state() == "Stable"
    leader.join()
    assert world.state() == "PreparingRebalance"


def test_a_follower_with_new_metadata_causes_a_rebalance() -> None:
    world = World()
    _, follower = world.stable(2)
    follower.protocols = (("range", b"more topics"),)
    assert not follower.join().done
    assert world.state() == "PreparingRebalance"


def test_a_member_that_missed_the_answer_gets_it_again() -> None:
    world = World()
    leader = world.member()
    join = leader.join()
    world.time.advance(DELAY_MS)
    first = leader.take(join)
    assert leader.join().result() == first
    leader.protocols = (("range", b"other"),)
    changed = leader.join()
    assert leader.take(changed).generation == 2


def test_a_join_sent_again_answers_the_earlier_one() -> None:
    world = World()
    leader, follower = world.stable(2)
    first = leader.join()
    second = leader.join()
    assert first.result().error is ErrorCode.REBALANCE_IN_PROGRESS
    follower.take(follower.join())
    assert second.result().error is ErrorCode.NONE


def test_a_full_group_sends_new_members_away_and_keeps_its_own() -> None:
    world = World(group_max_size=2)
    leader, follower = world.stable(2)
    assert world.member().join().result().error is ErrorCode.GROUP_MAX_SIZE_REACHED
    joins = [leader.join(), follower.join()]
    assert [join.result().error for join in joins] == [ErrorCode.NONE] * 2


def test_while_a_full_group_gathers_the_first_come_stay() -> None:
    world = World(group_max_size=2)
    leader, follower = world.stable(2)
    waiting = leader.join()
    newcomer = world.member().join()
    late = follower.join().result()
    assert late.error is ErrorCode.GROUP_MAX_SIZE_REACHED
    world.time.advance(REBALANCE_MS)
    assert {waiting.result().generation, newcomer.result().generation} == {2}


def test_a_pending_member_cannot_turn_static() -> None:
    world = World()
    member = world.member(member_id_required=True)
    member.member_id = member.join().result().member_id
    member.instance_id = "i"
    assert member.join().result().error is ErrorCode.UNKNOWN_SERVER_ERROR


def test_a_new_member_that_cannot_be_stored_leaves_no_group_behind() -> None:
    world = World()
    world.log.fail_with = ErrorCode.NOT_ENOUGH_REPLICAS
    waiting = world.member().join()
    told = world.member(member_id_required=True, group_id="h").join()
    for join in (waiting, told):
        assert join.result().error is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert world.groups.list_groups() == []
    world.log.fail_with = None
    world.time.advance(SESSION_MS)
    assert world.stable(1)[0].generation == 1


def test_the_reason_of_a_rebalance_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "kstore.groups"):
        world = World()
        leader, _ = world.stable(2)
        leader.join(reason="topics have changed")
    reasons = [line for line in caplog.messages if line.startswith("Preparing to rebalance")]
    assert len(reasons) == 2
    assert "adding new member" in reasons[0]
    assert "client reason: not provided" in reasons[0]
    assert "client reason: topics have changed" in reasons[1]


def test_joins_of_two_groups_do_not_meet() -> None:
    world = World()
    here, there = world.member(group_id="here"), world.member(group_id="there")
    joins = [here.join(), there.join()]
    world.time.advance(DELAY_MS)
    assert [len(join.result().members) for join in joins] == [1, 1]


def test_without_the_partition_a_join_is_told_so() -> None:
    world = World()
    world.groups.unload(0)
    assert world.member().join().result() == JoinResult(error=ErrorCode.NOT_COORDINATOR)
    world.groups.close()
    assert world.member().join().result().error is ErrorCode.COORDINATOR_NOT_AVAILABLE
