"""Loading and unloading of partitions, and groups for people."""

from __future__ import annotations

import logging

import pytest

from kstore.coordinator.records import (
    GroupMetadata,
    GroupMetadataRecord,
    MalformedRecordError,
    OffsetCommit,
    OffsetCommitRecord,
    StoredMember,
)
from kstore.errors import ErrorCode
from kstore.groups.values import FetchRequest, GroupDescription, HeartbeatRequest
from tests.unit.groups.support import DELAY_MS, SESSION_MS, World


def test_a_stable_group_goes_on_in_its_generation_after_a_restart() -> None:
    world = World()
    leader, follower = world.stable(2)
    leader.commit(3)
    before = world.groups.describe_group("g")
    world.restart()
    assert world.groups.describe_group("g") == before
    assert {leader.beat(), follower.beat()} == {ErrorCode.NONE}
    assert leader.commit(4) is ErrorCode.NONE
    assert follower.sync().result().assignment == b"part"


def test_members_that_do_not_come_back_time_out_after_a_restart() -> None:
    world = World()
    leader, _ = world.stable(2)
    world.restart()
    world.time.advance(SESSION_MS - 1)
    assert leader.beat() is ErrorCode.NONE
    world.time.advance(1)
    assert leader.beat() is ErrorCode.REBALANCE_IN_PROGRESS
    assert leader.take(leader.join()).generation == 2


def test_a_rebalance_that_a_restart_broke_off_begins_anew() -> None:
    world = World()
    leader, follower = world.stable(2)
    joins = [leader.join(), follower.join()]
    leader.take(joins[0])
    follower.take(joins[1])
    waiting = follower.sync()
    world.restart()
    assert waiting.result().error is ErrorCode.NOT_COORDINATOR
    assert world.state() == "Stable"
    assert leader.sync({}).result().error is ErrorCode.ILLEGAL_GENERATION
    rejoined = leader.join()
    follower_rejoined = follower.join()
    assert leader.take(rejoined).generation == follower.take(follower_rejoined).generation == 2


def test_who_waits_is_told_when_the_partition_goes() -> None:
    world = World()
    leader, follower = world.stable(2)
    join = leader.join()
    newcomer = world.member().join()
    world.log.hold = True
    commit = follower.commit_later(1)
    waiting = world.groups.heartbeat(HeartbeatRequest("g", follower.member_id, 1))
    world.groups.unload(0)
    assert {join.result().error, newcomer.result().error, waiting.result()} == {
        ErrorCode.NOT_COORDINATOR
    }
    assert commit.result().errors == (ErrorCode.NOT_COORDINATOR,)
    world.log.commit_next()
    assert world.time.timer_count == 0


def test_a_replacement_under_way_is_refused_when_the_partition_goes() -> None:
    world = World()
    static = world.member(instance_id="i")
    join = static.join()
    world.time.advance(DELAY_MS)
    static.take(join)
    static.sync({})
    world.log.hold = True
    back = world.member(instance_id="i").join()
    world.groups.close()
    assert back.result().error is ErrorCode.NOT_COORDINATOR


def test_of_each_key_the_last_record_counts() -> None:
    world = World()
    member = StoredMember("m", None, "c", "/h", 60_000, SESSION_MS, b"s", b"a")
    records: list[OffsetCommitRecord | GroupMetadataRecord] = [
        OffsetCommitRecord("g", "topic", 0, OffsetCommit(1)),
        OffsetCommitRecord("g", "topic", 1, OffsetCommit(1)),
        GroupMetadataRecord("g", GroupMetadata("consumer", 3, "range", "m", 5, (member,))),
        OffsetCommitRecord("g", "topic", 1, None),
        OffsetCommitRecord("g", "topic", 0, OffsetCommit(2)),
        GroupMetadataRecord("g", GroupMetadata("consumer", 4, "range", "m", 6, (member,))),
        GroupMetadataRecord("gone", GroupMetadata("consumer", 4, None, None, 6, ())),
        OffsetCommitRecord("back", "topic", 0, OffsetCommit(1)),
        GroupMetadataRecord("gone", None),
        GroupMetadataRecord("back", None),
        OffsetCommitRecord("back", "topic", 0, OffsetCommit(7)),
    ]
    stored = [record.encode() for record in records]
    world.groups.load(0, [*stored[:4], (b"\0\x03\0\x01g", b"\0\0of KIP-848"), *stored[4:]])
    described = world.groups.describe_group("g")
    assert (described.state, described.protocol, len(described.members)) == ("Stable", "range", 1)
    client = world.member()
    client.member_id, client.generation = "m", 4
    assert client.beat() is ErrorCode.NONE
    assert client.committed() == 2
    assert [listing.group_id for listing in world.groups.list_groups()] == ["g", "back"]
    assert world.member(group_id="back").committed() == 7


def test_a_malformed_record_is_refused_and_its_partition_stays_away() -> None:
    world = World()
    with pytest.raises(MalformedRecordError):
        world.groups.load(0, [(b"\0\x02\0\x01g", b"\0\x09")])
    assert world.groups.loaded_partitions == []
    assert world.member().join().result().error is ErrorCode.NOT_COORDINATOR


def test_a_leader_that_is_no_member_is_replaced_at_load() -> None:
    world = World()
    member = StoredMember("m", None, "c", "/h", 60_000, SESSION_MS, b"s", b"a")
    value = GroupMetadata("consumer", 3, "range", "nobody", 5, (member,))
    world.groups.load(0, [GroupMetadataRecord("g", value).encode()])
    client = world.member()
    client.member_id, client.generation = "m", 3
    assert client.take(client.join()).leader == "m"


def test_a_group_over_its_limit_rebalances_at_load(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.stable(3)
    world.config = World(group_max_size=2).config
    with caplog.at_level(logging.INFO, "kstore.groups"):
        world.restart()
    assert world.state() == "PreparingRebalance"
    assert "more than group.max.size" in caplog.text


def test_the_list_by_state_and_type() -> None:
    world = World()
    world.stable(1, group_id="stable")
    world.member(group_id="gathering").join()
    world.member(group_id="simple").commit(1)

    def names(**filters: object) -> set[str]:
        return {g.group_id for g in world.groups.list_groups(**filters)}  # type: ignore[arg-type]

    assert names() == {"stable", "gathering", "simple"}
    assert names(states=["StAbLe", " empty "]) == {"stable", "simple"}
    assert names(states=["no such state"]) == set()
    assert names(types=["Classic", "consumer"]) == {"stable", "gathering", "simple"}
    assert names(types=["consumer"]) == set()
    assert names(states=["Stable"], types=["share"]) == set()
    assert {g.group_type for g in world.groups.list_groups()} == {"classic"}


def test_descriptions_show_metadata_of_stable_groups_only() -> None:
    world = World()
    leader, _ = world.stable(2)
    stable = world.groups.describe_group("g")
    assert (stable.state, stable.protocol_type, stable.protocol) == ("Stable", "consumer", "range")
    assert [(m.metadata, m.assignment) for m in stable.members] == [(b"subscription", b"part")] * 2
    assert {m.client_id for m in stable.members} == {"client"}
    leader.join()
    gathering = world.groups.describe_group("g")
    assert (gathering.state, gathering.protocol) == ("PreparingRebalance", "")
    assert [(m.metadata, m.assignment) for m in gathering.members] == [(b"", b"part")] * 2


def test_a_group_that_does_not_exist_is_dead() -> None:
    world = World()
    dead = world.groups.describe_group("none")
    assert (dead.state, dead.error) == ("Dead", ErrorCode.GROUP_ID_NOT_FOUND)
    world.groups.unload(0)
    assert world.groups.describe_group("g") == GroupDescription("g", ErrorCode.NOT_COORDINATOR)


def test_groups_are_spread_as_kafka_spreads_them() -> None:
    world = World(offsets_topic_num_partitions=50)
    assert world.groups.partition_for("my-group") == 12
    assert len(world.groups.loaded_partitions) == 50
    world.member(group_id="my-group").commit(1)
    assert list(world.log.records) == [12]


def test_while_a_partition_is_loaded_clients_are_asked_to_try_again() -> None:
    world = World()
    leader, _ = world.stable(2)
    world.groups.begin_load(0)
    assert world.groups.is_loading
    loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert leader.join().result().error is loading
    assert leader.commit(1) is loading
    assert world.groups.fetch_offsets(FetchRequest("g", None)).result().error is loading
    assert world.groups.describe_group("g").error is loading
    assert leader.beat() is ErrorCode.NONE
    world.groups.load(0, world.log.records[0])
    assert not world.groups.is_loading
    assert leader.beat() is ErrorCode.NONE
    world.groups.begin_load(0)
    world.groups.unload(0)  # it could not be read
    assert leader.beat() is ErrorCode.NOT_COORDINATOR
