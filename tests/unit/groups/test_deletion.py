"""Deleting offsets: those of topics that the group's members read stay."""

from __future__ import annotations

import struct

import pytest

from kstore.errors import ErrorCode
from kstore.groups.values import DeleteOffsetsRequest, DeleteOffsetsResult, FetchRequest
from tests.unit.groups.support import DELAY_MS, Client, World


def subscription(*topics: str, version: int = 3) -> tuple[tuple[str, bytes], ...]:
    """What a consumer says as it joins; what follows the topics differs between versions."""
    names = b"".join(struct.pack(">h", len(name)) + name.encode() for name in topics)
    return (("range", struct.pack(">hi", version, len(topics)) + names + b"\xff\xff\xff\xff"),)


def delete(world: World, *topics: str, group_id: str = "g") -> DeleteOffsetsResult:
    partitions = tuple((topic, 0) for topic in topics)
    return world.groups.delete_offsets(DeleteOffsetsRequest(group_id, partitions)).result()


def committed(world: World) -> list[str]:
    result = world.groups.fetch_offsets(FetchRequest("g", None)).result()
    return sorted(topic.topic for topic in result.topics)


def commit(member: Client, *topics: str) -> None:
    for topic in topics:
        assert member.commit(7, topic=topic) is ErrorCode.NONE


def test_offsets_of_an_empty_group_are_deleted_also_after_a_restart() -> None:
    world = World()
    commit(world.member(), "one", "other")
    assert delete(world, "one", "never") == DeleteOffsetsResult(errors=(ErrorCode.NONE,) * 2)
    for _ in range(2):
        assert committed(world) == ["other"]
        world.restart()


@pytest.mark.parametrize("version", [0, 3])
def test_what_a_member_reads_stays(version: int) -> None:
    world = World()
    (member,) = world.stable(1, protocols=subscription("read", version=version))
    commit(member, "read", "left")
    result = delete(world, "read", "left")
    assert result.errors == (ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, ErrorCode.NONE)
    assert committed(world) == ["read"]


@pytest.mark.parametrize("metadata", [b"", b"\xff\xff\0\0\0\0", b"\0\0\0\0\0\2\0\1a"])
def test_a_subscription_that_cannot_be_read_may_be_to_any_topic(metadata: bytes) -> None:
    world = World()
    (member,) = world.stable(1, protocols=(("range", metadata),))
    commit(member, "topic")
    assert delete(world, "topic").errors == (ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,)
    assert committed(world) == ["topic"]


def test_a_group_that_is_yet_to_choose_its_protocol_may_read_any_topic() -> None:
    world = World()
    world.member(protocols=subscription("read")).join()
    assert world.state() == "PreparingRebalance"
    assert delete(world, "topic").errors == (ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC,)
    world.time.advance(DELAY_MS)
    assert delete(world, "topic").errors == (ErrorCode.NONE,)


def test_a_group_whose_members_left_reads_nothing() -> None:
    world = World()
    (member,) = world.stable(1, protocols=subscription("read"))
    commit(member, "read")
    member.leave()
    assert delete(world, "read").errors == (ErrorCode.NONE,)
    assert committed(world) == []


def test_groups_of_which_nothing_can_be_deleted() -> None:
    world = World()
    assert delete(world, "topic").error is ErrorCode.GROUP_ID_NOT_FOUND
    assert delete(world, "topic", group_id="").error is ErrorCode.INVALID_GROUP_ID
    world.stable(1, protocol_type="connect")
    assert delete(world, "topic").error is ErrorCode.NON_EMPTY_GROUP
    world.groups.unload(0)
    assert delete(world, "topic").error is ErrorCode.NOT_COORDINATOR


def test_a_deletion_that_cannot_be_stored_deletes_nothing() -> None:
    world = World()
    commit(world.member(), "topic")
    world.log.fail_with = ErrorCode.KAFKA_STORAGE_ERROR
    assert delete(world, "topic").error is ErrorCode.NOT_COORDINATOR
    assert committed(world) == ["topic"]
