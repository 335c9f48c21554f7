"""What a struct can do, with structs of the test's own."""

from __future__ import annotations

import copy
from uuid import UUID

import pytest

from kstore.wire.schema import (
    ZERO_UUID,
    Message,
    Struct,
    VersionRange,
    array,
    int32,
    parse_versions,
    records,
    string,
    struct,
    uuid,
)


class Leader(Struct):
    node: int = int32("0+", default=-1)


class Topic(Message, versions="1-3", flexible="2+"):
    name: str = string("0+")
    topic_id: UUID = uuid("2+")
    partitions: list[int] = array(int32, "0+")
    replicas: list[int] | None = array(int32, "0+", nullable="0+", default=None)
    leader: Leader = struct(Leader, "0+")
    data: bytes | None = records("0+", nullable="0+")


def test_every_field_has_a_default() -> None:
    topic = Topic()
    assert topic.name == ""
    assert topic.topic_id is ZERO_UUID
    assert topic.partitions == []
    assert topic.replicas is None
    assert topic.leader == Leader(node=-1)
    assert topic.data is None


def test_defaults_are_not_shared() -> None:
    one, other = Topic(), Topic()
    one.partitions.append(1)
    one.leader.node = 5
    assert other == Topic()


def test_keywords_only_and_only_known_ones() -> None:
    with pytest.raises(TypeError, match="Topic has no field partitons, topik"):
        Topic(topik="t", name="n", partitons=[])  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Topic("t")  # type: ignore[call-arg]


def test_has_slots() -> None:
    with pytest.raises(AttributeError):
        Topic().nmae = "t"  # type: ignore[attr-defined]


def test_compares_by_value_within_a_type() -> None:
    assert Topic(name="t", leader=Leader(node=1)) == Topic(name="t", leader=Leader(node=1))
    assert Topic(name="t", leader=Leader(node=1)) != Topic(name="t", leader=Leader(node=2))
    assert Topic() != Leader()
    assert Topic() != "t"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Topic())


def test_prints_its_values() -> None:
    assert repr(Leader(node=3)) == "Leader(node=3)"
    assert repr(Topic(name="t")).startswith("Topic(name='t', topic_id=UUID('0000")


def test_copies() -> None:
    topic = Topic(name="t", partitions=[1], leader=Leader(node=1))
    copied = copy.deepcopy(topic)
    assert copied == topic
    assert copied.leader is not topic.leader


def test_structs_have_no_heirs() -> None:
    """An heir would not have its parent's fields in its layout, which native code relies on."""
    with pytest.raises(TypeError, match="Leader has fields"):

        class Heir(Leader):
            rack: str = string("0+")


def test_message_knows_its_versions() -> None:
    assert Topic.API_KEY == -1
    assert VersionRange(1, 3) == Topic.VERSIONS
    assert list(Topic.VERSIONS) == [1, 2, 3]
    assert 2 in Topic.FLEXIBLE
    assert 1 not in Topic.FLEXIBLE


@pytest.mark.parametrize(
    ("text", "versions"),
    [("none", []), ("4", [4]), ("0-2", [0, 1, 2]), ("32766+", [32766, 32767])],
)
def test_version_ranges(text: str, versions: list[int]) -> None:
    assert list(parse_versions(text)) == versions
    assert all(version in parse_versions(text) for version in versions)
    assert max(versions, default=0) + 1 not in parse_versions(text)
