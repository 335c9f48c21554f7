"""The native reading and writing of Fetch, judged by the general codec."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import pytest

from kstore._native.fetch import encode_fetch_reply, parse_fetch
from kstore.broker.apis.fetch import SHAPES
from kstore.wire.codec import DecodeError, decode_response, encode_request
from kstore.wire.headers import decode_response_header
from kstore.wire.messages.fetch import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ForgottenTopic,
)

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
    assert found.partitions == [
        (topic, index, epoch, 1 << 40, -1, 1000 + index) for topic in topics for index in (0, 7)
    ]
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


@pytest.mark.parametrize("version", VERSIONS)
def test_writing(version: int) -> None:
    topics = [topic.bytes for topic in IDS] if version >= 13 else NAMES
    first, second = Records(b"x" * 1000), Records(b"y")
    results = [
        (topics[0], 0, 0, 50, 49, 1, [(5, 40)], first),
        (topics[0], 1, 1, -1, -1, -1, None, None),
        (topics[1], 0, 0, 7, 7, 0, [], second),
    ]
    parts = encode_fetch_reply(99, SHAPES[version], 0, 31, results)
    assert [part for part in parts if isinstance(part, Records)] == [first, second]
    frame = b"".join(part.data if isinstance(part, Records) else part for part in parts)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    correlation_id, position = decode_response_header(1, version, frame, 4)
    assert correlation_id == 99
    response = decode_response(1, version, frame, position)
    assert isinstance(response, FetchResponse)
    assert response.session_id == (31 if version >= 7 else 0)
    rows = [
        (
            topic.topic_id.bytes if version >= 13 else topic.topic,
            partition.partition_index,
            partition.error_code,
            partition.high_watermark,
            partition.last_stable_offset,
            partition.log_start_offset,
            None
            if partition.aborted_transactions is None
            else [(one.producer_id, one.first_offset) for one in partition.aborted_transactions],
            partition.records or None,
        )
        for topic in response.responses
        for partition in topic.partitions
    ]
    assert rows == [
        (*row[:5], row[5] if version >= 5 else -1, row[6], row[7] and row[7].data)
        for row in results
    ]
