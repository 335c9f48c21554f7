"""The native reading and writing of Produce, judged by the general codec."""

from __future__ import annotations

from uuid import UUID

import pytest

from kstore._native.produce import encode_produce_reply, parse_produce
from kstore.wire.codec import DecodeError, decode_response, encode_request
from kstore.wire.headers import decode_response_header
from kstore.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)

VERSIONS = range(3, 14)
IDS = [UUID(int=1 << 100), UUID(int=7)]


def request(version: int) -> ProduceRequest:
    return ProduceRequest(
        transactional_id="tx" if version % 2 else None,
        acks=-1,
        timeout_ms=1234,
        topic_data=[
            TopicProduceData(
                name="" if version >= 13 else name,
                topic_id=IDS[number] if version >= 13 else UUID(int=0),
                partition_data=[
                    PartitionProduceData(index=3, records=b"first"),
                    PartitionProduceData(index=-4, records=None),
                    PartitionProduceData(index=5, records=b""),
                ],
            )
            for number, name in enumerate(["a", "b-é"])
        ],
    )


def parse(data: bytes, version: int, position: int = 0) -> object:
    return parse_produce(data, position, version >= 9, version >= 13)


@pytest.mark.parametrize("version", VERSIONS)
def test_reading(version: int) -> None:
    data = b"header" + encode_request(request(version), version)
    found = parse_produce(data, 6, version >= 9, version >= 13)
    topics = [topic.bytes for topic in IDS] if version >= 13 else ["a", "b-é"]
    assert found.transactional_id == ("tx" if version % 2 else None)
    assert found.acks == -1
    assert found.timeout_ms == 1234
    assert [
        (topic, index, None if records is None else bytes(records))
        for topic, index, records in found.partitions
    ] == [
        (topic, index, records)
        for topic in topics
        for index, records in [(3, b"first"), (-4, None), (5, b"")]
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_follows_is_ignored_as_kafka_does(version: int) -> None:
    data = encode_request(request(version), version)
    parse(data + b"\0\xff", version)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_position_outside_of_the_bytes(version: int) -> None:
    data = encode_request(request(version), version)
    for position in (-1, -8, -(2**62), len(data) + 1, 2**62):
        with pytest.raises(DecodeError):
            parse(data, version, position)


RESULTS = [
    ("a", 0, 0, 17, -1, 3),
    ("a", 1, 3, -1, -1, -1),
    ("b", 0, 0, 2**60, 1234567890123, 0),
]


@pytest.mark.parametrize("version", VERSIONS)
def test_writing(version: int) -> None:
    topic_ids = {"a": IDS[0].bytes, "b": IDS[1].bytes}
    results = [(topic_ids[row[0]] if version >= 13 else row[0], *row[1:]) for row in RESULTS]
    frame = encode_produce_reply(99, results, version >= 9, version >= 5, version >= 8)
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4
    correlation_id, position = decode_response_header(0, version, frame, 4)
    assert correlation_id == 99
    response = decode_response(0, version, frame, position)
    assert isinstance(response, ProduceResponse)
    rows = [
        (
            {IDS[0]: "a", IDS[1]: "b"}[topic.topic_id] if version >= 13 else topic.name,
            partition.index,
            partition.error_code,
            partition.base_offset,
            partition.log_append_time_ms,
            partition.log_start_offset,
        )
        for topic in response.responses
        for partition in topic.partition_responses
    ]
    assert len(response.responses) == 2
    assert rows == [row if version >= 5 else (*row[:5], -1) for row in RESULTS]
