"""The native reading and writing of Fetch, judged by the general codec."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest

from kstore._native.ends import LogEnds, PartitionEnds
from kstore._native.fetch import (
    WantedPartition,
    encode_fetch_reply,
    parse_fetch,
    unwatch,
    watch,
    with_news,
)
from kstore.broker.apis.fetch import SHAPES
from kstore.errors import ErrorCode, KafkaError
from kstore.wire.codec import DecodeError, decode_response, encode_request
from kstore.wire.headers import decode_response_header
from kstore.wire.messages.fetch import (
    AbortedTransaction,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
)

Key = tuple[str | bytes, int]

VERSIONS = sorted(SHAPES)
IDS = [UUID(int=1 << 100), UUID(int=7)]
NAMES = ["a", "b-é"]


def topic_fields(number: int, version: int) -> dict[str, object]:
    return {"topic_id": IDS[number]} if version >= 13 else {"topic": NAMES[number]}


def request(version: int) -> FetchRequest:
    return FetchRequest(
        max_wait_ms=500,
        min_bytes=1,
        max_bytes=1 << 20,
        isolation_level=1,
        session_id=11 if version >= 7 else 0,
        session_epoch=12 if version >= 7 else -1,
        topics=[
            FetchTopic(
                **topic_fields(number, version),
                partitions=[
                    FetchPartition(
                        partition=index,
                        current_leader_epoch=4 if version >= 9 else -1,
                        fetch_offset=1 << 40,
                        partition_max_bytes=1000 + index,
                    )
                    for index in (0, 7)
                ],
            )
            for number in range(2)
        ],
        forgotten_topics_data=[ForgottenTopic(**topic_fields(1, version), partitions=[3, 9])]
        if version >= 7
        else [],
        rack_id="rack" if version >= 11 else "",
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_reading(version: int) -> None:
    data = b"header" + encode_request(request(version), version)
    found = parse_fetch(data, 6, SHAPES[version])
    topics = [topic.bytes for topic in IDS] if version >= 13 else NAMES
    assert (found.max_wait_ms, found.min_bytes, found.max_bytes) == (500, 1, 1 << 20)
    assert found.isolation_level == 1
    assert (found.session_id, found.session_epoch) == ((11, 12) if version >= 7 else (0, -1))
    epoch = 4 if version >= 9 else -1
    assert [
        (one.topic, one.index, one.leader_epoch, one.fetch_offset, one.max_bytes)
        for one in found.partitions.values()
    ] == [(topic, index, epoch, 1 << 40, 1000 + index) for topic in topics for index in (0, 7)]
    assert list(found.partitions) == [(topic, index) for topic in topics for index in (0, 7)]
    assert found.forgotten == ([(topics[1], 3), (topics[1], 9)] if version >= 7 else [])
    assert found.rack_id == ("rack" if version >= 11 else "")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_follows_is_ignored_as_kafka_does(version: int) -> None:
    data = encode_request(request(version), version)
    parse_fetch(data + b"\0\xff", 0, SHAPES[version])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_position_outside_of_the_bytes(version: int) -> None:
    data = encode_request(request(version), version)
    for position in (-1, -8, -(2**62), len(data) + 1, 2**62):
        with pytest.raises(DecodeError):
            parse_fetch(data, position, SHAPES[version])


@dataclass
class Records:
    """Stands for a slice of the log."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)


def partition(high_watermark: int, stable: int, start: int, epoch: int = 4) -> PartitionEnds:
    log = LogEnds()
    log.log_start_offset = start
    found = PartitionEnds(log)
    found.high_watermark = high_watermark
    found.last_stable_offset = stable
    found.leader_epoch = epoch
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_writing(version: int) -> None:
    topics = [topic.bytes for topic in IDS] if version >= 13 else NAMES
    first, second = Records(b"x" * 1000), Records(b"y")
    wanted = parse_fetch(encode_request(request(version), version), 0, SHAPES[version]).partitions
    one, two, three, four = wanted.values()
    one.found(partition(50, 49, 1), first, [(4000, 11), (1 << 40, 1 << 41)])
    two.failed(1)
    three.found(partition(7, 7, 0), second, None)
    four.found(partition(8, 8, 2), None, [])
    aborted = [
        AbortedTransaction(producer_id=4000, first_offset=11),
        AbortedTransaction(producer_id=1 << 40, first_offset=1 << 41),
    ]
    rows = [
        (topics[0], 0, 0, 50, 49, 1, aborted, first.data),
        (topics[0], 7, 1, -1, -1, -1, None, None),
        (topics[1], 0, 0, 7, 7, 0, None, second.data),
        (topics[1], 7, 0, 8, 8, 2, [], None),
    ]
    parts = encode_fetch_reply(99, SHAPES[version], 0, 31, wanted, False)
    assert [part for part in parts if isinstance(part, Records)] == [first, second]
    assert all(found.records is None for found in wanted.values()), "they are in the parts now"
    response = decoded(parts, version)
    assert response.session_id == (31 if version >= 7 else 0)
    found = [
        (
            topic.topic_id.bytes if version >= 13 else topic.topic,
            partition.partition_index,
            partition.error_code,
            partition.high_watermark,
            partition.last_stable_offset,
            partition.log_start_offset,
            partition.aborted_transactions,
            partition.records or None,
        )
        for topic in response.responses
        for partition in topic.partitions
    ]
    assert found == [(*row[:5], row[5] if version >= 5 else -1, *row[6:]) for row in rows]


def decoded(parts: list[bytes | Records], version: int) -> FetchResponse:
    frame = b"".join(part.data if isinstance(part, Records) else part for part in parts)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    correlation_id, position = decode_response_header(1, version, frame, 4)
    assert correlation_id == 99
    response = decode_response(1, version, frame, position)
    assert isinstance(response, FetchResponse)
    return response


def wanted_of(offset: int, epoch: int = 4, index: int = 0) -> dict[Key, WantedPartition]:
    message = FetchRequest(
        topics=[
            FetchTopic(
                topic="t",
                partitions=[
                    FetchPartition(partition=index, current_leader_epoch=epoch, fetch_offset=offset)
                ],
            )
        ]
    )
    return parse_fetch(encode_request(message, 12), 0, SHAPES[12]).partitions


def told(wanted: dict[Key, WantedPartition]) -> bool:
    """Whether a reply of news alone tells of the partition."""
    parts = encode_fetch_reply(99, SHAPES[12], 0, 31, wanted, True)
    return bool(decoded(parts, 12).responses)


def test_only_news_are_told() -> None:
    wanted = wanted_of(0)
    (one,) = wanted.values()

    def found(high_watermark: int, start: int, records: Records | None = None) -> None:
        one.found(partition(high_watermark, high_watermark, start), records, None)

    found(10, 0)
    assert told(wanted)
    found(10, 0)
    assert not told(wanted)
    found(10, 0, Records(b"new"))
    assert told(wanted), "records"
    found(11, 0)
    assert told(wanted), "the high watermark moved"
    found(11, 3)
    assert told(wanted), "the log start offset moved"
    one.failed(6)
    assert told(wanted), "an error"
    found(11, 3)
    assert told(wanted), "the end of an error"
    found(11, 3)
    assert not told(wanted)
    again = wanted_of(5)
    (later,) = again.values()
    later.know(one)
    later.found(partition(11, 11, 3), None, None)
    assert not told(again), "what was told is known"


def test_a_partition_without_news_is_not_read() -> None:
    here = partition(10, 8, 2)
    key = ("t", 0)
    for offset, committed_only, epoch in ((10, False, 4), (10, False, -1), (8, True, 4)):
        wanted = wanted_of(offset, epoch)
        wanted[key].failed(3)
        assert with_news(wanted, {key: here}, committed_only) == ([], [here])
        parts = encode_fetch_reply(99, SHAPES[12], 0, 31, wanted, False)
        (row,) = decoded(parts, 12).responses[0].partitions
        assert (row.error_code, row.records) == (0, b"")
        assert (row.high_watermark, row.last_stable_offset, row.log_start_offset) == (10, 8, 2)
        assert row.aborted_transactions == ([] if committed_only else None)


def test_what_else_has_to_be_looked_at() -> None:
    key = ("t", 0)
    here = partition(10, 8, 2)
    for offset, committed_only, epoch in (
        (9, False, 4),
        (11, False, 4),
        (8, False, 4),
        (10, True, 4),
        (10, False, 3),
        (10, False, 5),
    ):
        wanted = wanted_of(offset, epoch)
        assert with_news(wanted, {key: here}, committed_only) == ([(wanted[key], here)], [here])
    wanted = wanted_of(10)
    assert with_news(wanted, {("t", 1): here}, False) == ([(wanted[key], None)], [])
    for state, value in (("closed", True), ("failed", KafkaError(ErrorCode.KAFKA_STORAGE_ERROR))):
        log = LogEnds()
        broken = PartitionEnds(log)
        broken.high_watermark = 10
        broken.leader_epoch = 4
        assert with_news(wanted, {key: broken}, False) == ([], [broken])
        setattr(log, state, value)
        assert with_news(wanted, {key: broken}, False) == ([(wanted[key], broken)], [broken])


def test_watchers() -> None:
    partitions = [partition(0, 0, 0), partition(0, 0, 0)]
    watch(partitions, "me")
    watch(partitions[:1], "you")
    assert [one.watchers for one in partitions] == [{"me", "you"}, {"me"}]
    unwatch(partitions, "me")
    unwatch(partitions, "you")
    assert not any(one.watchers for one in partitions)
