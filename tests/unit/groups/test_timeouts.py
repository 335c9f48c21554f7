"""Session and rebalance timeouts, right to a heartbeat."""

from __future__ import annotations

import logging

import pytest

from kstore.errors import ErrorCode
from tests.unit.groups.support import DELAY_MS, REBALANCE_MS, SESSION_MS, World


def test_a_member_is_out_one_session_timeout_after_its_last_heartbeat() -> None:
    world = World()
    alive, dead = world.stable(2)
    world.time.advance(SESSION_MS - 1)
    assert {alive.beat(), dead.beat()} == {ErrorCode.NONE}
    world.time.advance(SESSION_MS - 1)
    assert alive.beat() is ErrorCode.NONE
    world.time.advance(1)
    assert dead.beat() is ErrorCode.UNKNOWN_MEMBER_ID
    assert alive.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    assert alive.take(alive.join()).generation == 2
    assert alive.is_leader


def test_heartbeats_set_no_timer() -> None:
    world = World()
    members = world.stable(5)
    before = world.time.timer_count
    for _ in range(20):
        world.time.advance(1_000)
        assert {member.beat() for member in members} == {ErrorCode.NONE}
    assert world.time.timer_count == before == 1


def test_the_last_member_that_dies_leaves_an_empty_group() -> None:
    world = World()
    world.stable(1)
    world.time.advance(SESSION_MS)
    assert world.state() == "Empty"
    world.restart()
    assert world.state() == "Empty"
    assert world.stable(1)[0].generation == 3


def test_members_that_do_not_join_again_in_time_are_out() -> None:
    world = World()
    prompt, late = world.stable(2, rebalance_timeout_ms=SESSION_MS + 5_000)
    join = prompt.join()
    for _ in range(14):
        world.time.advance(1_000)
        assert late.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    assert not join.done
    world.time.advance(1_000)
    assert prompt.take(join).generation == 2
    assert late.beat() is ErrorCode.UNKNOWN_MEMBER_ID


def test_passing_max_poll_interval_is_one_rebalance_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    slow, other = world.stable(2)
    with caplog.at_level(logging.INFO, "kstore.groups"):
        slow.leave()  # what a client does when max.poll.interval.ms has passed
        assert other.beat() is ErrorCode.REBALANCE_IN_PROGRESS
        other.take(other.join())
        other.take_part(other.sync({}))
        world.time.advance(SESSION_MS - 1)
        assert other.beat() is ErrorCode.NONE
        world.time.advance(SESSION_MS - 1)
        assert other.beat() is ErrorCode.NONE
    started = [line for line in caplog.messages if line.startswith("Preparing to rebalance")]
    assert len(started) == 1
    assert other.generation == 2


def test_a_member_that_waits_is_excused_from_heartbeats() -> None:
    world = World()
    leader, follower = world.stable(2)
    join = leader.join()
    for _ in range(REBALANCE_MS // 5_000 - 1):
        world.time.advance(5_000)
        assert follower.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    follower_join = follower.join()
    assert leader.take(join).generation == follower.take(follower_join).generation == 2
    world.time.advance(SESSION_MS - 1)
    assert {leader.beat(), follower.beat()} == {ErrorCode.NONE}


def test_a_new_member_that_waits_is_not_excused_for_ever() -> None:
    world = World()
    leader, _ = world.stable(2, rebalance_timeout_ms=600_000)
    lost = world.member(rebalance_timeout_ms=600_000).join()
    for _ in range(60):
        world.time.advance(5_000)
        leader.beat()
    assert lost.result().error is ErrorCode.UNKNOWN_MEMBER_ID


def test_offset_commits_keep_a_session_alive() -> None:
    world = World()
    (member,) = world.stable(1)
    for offset in range(5):
        world.time.advance(SESSION_MS - 1)
        assert member.commit(offset) is ErrorCode.NONE
    assert member.beat() is ErrorCode.NONE


def test_a_slow_append_expires_nobody_who_has_been_heard_of() -> None:
    world = World()
    (member,) = world.stable(1)
    world.log.hold = True
    commit = member.commit_later(5)
    world.time.advance(SESSION_MS - 1)
    second = member.commit_later(6)
    world.time.advance(SESSION_MS)
    assert not commit.done
    world.log.commit_next()
    world.log.commit_next()
    assert second.result().errors == (ErrorCode.NONE,)
    world.log.hold = False
    assert member.beat() is ErrorCode.NONE


def test_when_nobody_joins_again_static_members_get_another_timeout() -> None:
    world = World()
    static = world.member(instance_id="i", rebalance_timeout_ms=8_000)
    join = static.join()
    world.time.advance(DELAY_MS)
    static.take(join)
    static.take_part(static.sync({}))
    newcomer = world.member(rebalance_timeout_ms=8_000)
    newcomer.member_id_required = True
    newcomer.member_id = newcomer.join().result().member_id
    joined = newcomer.join()
    newcomer.leave()
    assert joined.result().error is ErrorCode.UNKNOWN_MEMBER_ID
    world.time.advance(7_999)
    assert static.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    world.time.advance(1)  # the join phase ends with nobody there
    assert world.state() == "PreparingRebalance"
    assert static.take(static.join()).generation == 2


@pytest.mark.parametrize("stored", [True, False])
def test_sessions_begin_anew_with_the_assignment(stored: bool) -> None:
    world = World()
    leader, follower = world.stable(2)
    joins = [leader.join(), follower.join()]
    leader.take(joins[0])
    follower.take(joins[1])
    waiting = follower.sync()
    for _ in range(4):  # longer than the session of the follower, who is excused
        world.time.advance(SESSION_MS // 2)
        leader.beat()
    world.log.fail_with = None if stored else ErrorCode.NOT_ENOUGH_REPLICAS
    leader.sync({})
    assert waiting.done
    world.log.fail_with = None
    world.time.advance(SESSION_MS - 1)
    leader.beat()
    assert len(world.groups.describe_group("g").members) == 2
    world.time.advance(1)
    assert [m.member_id for m in world.groups.describe_group("g").members] == [leader.member_id]
