"""Stored records against bytes that Kafka 4.3.1's own classes wrote.

The hex strings are the output of `GroupCoordinatorRecordSerde` for the values below.
"""

from __future__ import annotations

import contextlib
import uuid

import pytest

from kstore.coordinator.records import (
    NO_UUID,
    GroupMetadata,
    GroupMetadataRecord,
    MalformedRecordError,
    OffsetCommit,
    OffsetCommitRecord,
    StoredMember,
    UnknownRecord,
    decode_record,
)

TOPIC_ID = uuid.UUID(int=(1 << 64) | 2)
COMMITTED_AT = 1_700_000_000_123

OFFSET_KEY = "000100096772757070652dc3bc001176656869636c652d706f736974696f6e7300000005"  # type 1
OFFSET_VALUES = {
    0: "00000000001cbe991a1400056dc3a974610000018bcfe5687b",
    1: "00010000001cbe991a1400056dc3a974610000018bcfe5687b0000018bcfee903b",
    2: "00020000001cbe991a1400056dc3a974610000018bcfe5687b",
    3: "00030000001cbe991a140000000700056dc3a974610000018bcfe5687b",
    4: "00040000001cbe991a1400000007066dc3a974610000018bcfe5687b"
    "01001000000000000000010000000000000002",
}
GROUP_KEY = "000200096772757070652dc3bc"  # type 2
GROUP_VALUES = {
    0: "00000008636f6e73756d65720000000b000572616e676500036d2d310000000200036d2d31000163000a2f3132"
    "372e302e302e310000afc8000000020102000000010300036d2d32000000042f3a3a31000017700000000000000000",
    1: "00010008636f6e73756d65720000000b000572616e676500036d2d310000000200036d2d31000163000a2f3132"
    "372e302e302e31000493e00000afc8000000020102000000010300036d2d32000000042f3a3a310000ea6000001770"
    "0000000000000000",
    2: "00020008636f6e73756d65720000000b000572616e676500036d2d310000018bcfe5687b0000000200036d2d31"
    "000163000a2f3132372e302e302e31000493e00000afc8000000020102000000010300036d2d32000000042f3a3a31"
    "0000ea60000017700000000000000000",
    3: "00030008636f6e73756d65720000000b000572616e676500036d2d310000018bcfe5687b0000000200036d2d31"
    "0003692d31000163000a2f3132372e302e302e31000493e00000afc8000000020102000000010300036d2d32ffff00"
    "0000042f3a3a310000ea60000017700000000000000000",
    4: "000409636f6e73756d65720000000b0672616e6765046d2d310000018bcfe5687b03046d2d3104692d3102630b"
    "2f3132372e302e302e31000493e00000afc8030102020300046d2d320001052f3a3a310000ea600000177001010000",
}


def offset_commit(version: int) -> OffsetCommit:
    return OffsetCommit(
        offset=123_456_789_012,
        leader_epoch=7 if version >= 3 else -1,
        metadata="méta",
        commit_timestamp_ms=COMMITTED_AT,
        expire_timestamp_ms=COMMITTED_AT + 600_000 if version == 1 else -1,
        topic_id=TOPIC_ID if version >= 4 else NO_UUID,
    )


def group_metadata(version: int) -> GroupMetadata:
    def member(
        name: str, instance: str | None, client: str, host: str, rebalance: int
    ) -> StoredMember:
        session = 45_000 if name == "m-1" else 6_000
        return StoredMember(
            member_id=name,
            instance_id=instance if version >= 3 else None,
            client_id=client,
            client_host=host,
            rebalance_timeout_ms=rebalance if version >= 1 else session,
            session_timeout_ms=session,
            subscription=b"\x01\x02" if name == "m-1" else b"",
            assignment=b"\x03" if name == "m-1" else b"",
        )

    members = (
        member("m-1", "i-1", "c", "/127.0.0.1", 300_000),
        member("m-2", None, "", "/::1", 60_000),
    )
    return GroupMetadata(
        protocol_type="consumer",
        generation=11,
        protocol="range",
        leader="m-1",
        state_timestamp_ms=COMMITTED_AT if version >= 2 else -1,
        members=members,
    )


@pytest.mark.parametrize("version", OFFSET_VALUES)
def test_every_version_of_an_offset_is_read(version: int) -> None:
    record = decode_record(bytes.fromhex(OFFSET_KEY), bytes.fromhex(OFFSET_VALUES[version]))
    assert record == OffsetCommitRecord("gruppe-ü", "vehicle-positions", 5, offset_commit(version))


@pytest.mark.parametrize("version", [1, 4])
def test_offsets_are_written_as_kafka_writes_them(version: int) -> None:
    record = OffsetCommitRecord("gruppe-ü", "vehicle-positions", 5, offset_commit(version))
    key, value = record.encode()
    assert (key.hex(), value and value.hex()) == (OFFSET_KEY, OFFSET_VALUES[version])


def test_an_offset_without_a_topic_id_has_no_tag() -> None:
    record = OffsetCommitRecord("g", "t", 0, OffsetCommit(1, commit_timestamp_ms=2))
    key, value = record.encode()
    assert key.hex() == "000100016700017400000000"
    assert value is not None
    assert value.hex() == "00040000000000000001ffffffff01000000000000000200"


@pytest.mark.parametrize("version", GROUP_VALUES)
def test_every_version_of_a_group_is_read(version: int) -> None:
    record = decode_record(bytes.fromhex(GROUP_KEY), bytes.fromhex(GROUP_VALUES[version]))
    assert record == GroupMetadataRecord("gruppe-ü", group_metadata(version))


def test_groups_are_written_as_kafka_writes_them() -> None:
    key, value = GroupMetadataRecord("gruppe-ü", group_metadata(3)).encode()
    assert (key.hex(), value and value.hex()) == (GROUP_KEY, GROUP_VALUES[3])
    empty = GroupMetadata("", 0, None, None, 5, ())
    key, value = GroupMetadataRecord("g", empty).encode()
    assert key.hex() == "0002000167"
    assert value is not None
    assert value.hex() == "0003000000000000ffffffff000000000000000500000000"


def test_removals_have_no_value() -> None:
    offset = OffsetCommitRecord("g", "t", 3, None)
    assert offset.encode() == (bytes.fromhex("000100016700017400000003"), None)
    assert decode_record(*offset.encode()) == offset
    group = GroupMetadataRecord("g", None)
    assert group.encode() == (bytes.fromhex("0002000167"), None)
    assert decode_record(*group.encode()) == group


def test_the_oldest_offset_key_is_read() -> None:
    key = bytes.fromhex("000000016700017400000000")
    value = bytes.fromhex("0000000000000000000900016d0000000000000002")
    expected = OffsetCommit(9, metadata="m", commit_timestamp_ms=2)
    assert decode_record(key, value) == OffsetCommitRecord("g", "t", 0, expected)


def test_records_of_other_groups_are_told_apart() -> None:
    assert decode_record(bytes.fromhex("0003000167"), b"\0\0whatever") == UnknownRecord(3)


@pytest.mark.parametrize(
    ("key", "value"),
    [(OFFSET_KEY, text) for text in OFFSET_VALUES.values()]
    + [(GROUP_KEY, text) for text in GROUP_VALUES.values()],
)
def test_truncated_values_are_refused_and_flipped_bytes_raise_nothing_else(
    key: str, value: str
) -> None:
    key_bytes, whole = bytes.fromhex(key), bytes.fromhex(value)
    for size in range(len(whole)):
        with pytest.raises(MalformedRecordError):
            decode_record(key_bytes, whole[:size])
    for position in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[position] ^= flip
            with contextlib.suppress(MalformedRecordError):
                decode_record(key_bytes, bytes(damaged))


def test_damaged_keys_and_unknown_versions_are_refused() -> None:
    for text in (OFFSET_KEY, GROUP_KEY):
        key = bytes.fromhex(text)
        for size in range(len(key)):
            with pytest.raises(MalformedRecordError):
                decode_record(key[:size], None)
    with pytest.raises(MalformedRecordError, match="version 5"):
        decode_record(bytes.fromhex(GROUP_KEY), b"\0\x05")
    with pytest.raises(MalformedRecordError, match="key"):
        decode_record(None, b"")


def test_an_unknown_tagged_field_is_skipped() -> None:
    key, value = OffsetCommitRecord("g", "t", 0, OffsetCommit(1, commit_timestamp_ms=2)).encode()
    assert value is not None
    tagged = value[:-1] + bytes.fromhex("010903616263")
    assert decode_record(key, tagged) == decode_record(key, value)


def test_a_count_larger_than_the_bytes_left_makes_no_list() -> None:
    huge = bytes.fromhex("00030000000000010000ffff00000000000000057fffffff")
    with pytest.raises(MalformedRecordError):
        decode_record(bytes.fromhex(GROUP_KEY), huge)
