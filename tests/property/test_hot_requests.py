"""Produce and Fetch are read natively; the general codec is the judge, for damaged requests too."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kstore._native.fetch import parse_fetch
from kstore._native.produce import parse_produce
from kstore.broker.apis.fetch import SHAPES
from kstore.wire.codec import DecodeError, decode_prefix, encode
from kstore.wire.messages.fetch import FetchRequest
from kstore.wire.messages.produce import ProduceRequest
from tests.support.messages import random_message

PASSED_OVER = {"cluster_id", "high_watermark", "replica_directory_id", "replica_state"}
"""Tagged fields, which mean nothing to a consumer: what is in them is not looked at natively."""

Outcome = tuple[Any, ...] | DecodeError
Read = Callable[[bytes, int], tuple[Any, ...]]


def damaged(sample: bytes) -> Iterator[bytes]:
    """The sample, cut after each byte, and with each byte in turn replaced."""
    yield sample
    for index in range(len(sample)):
        yield sample[:index]
        for value in {sample[index] ^ mask for mask in (1, 0x80, 0xFF)} | {0, 1, 2, 16, 0x7F}:
            yield sample[:index] + bytes([value]) + sample[index + 1 :]


def outcome(read: Read, data: bytes, version: int) -> Outcome:
    try:
        return read(data, version)
    except DecodeError as error:
        return error


def agree(general: Read, native: Read, sample: bytes, version: int) -> None:
    for data in damaged(sample):
        expected, found = outcome(general, data, version), outcome(native, data, version)
        if isinstance(expected, DecodeError):
            if PASSED_OVER.isdisjoint(expected.path.split(".")):
                assert isinstance(found, DecodeError), f"{data.hex()}: {expected}"
        else:
            assert found == expected, data.hex()


def produce(data: bytes, version: int) -> tuple[Any, ...]:
    request, _ = decode_prefix(ProduceRequest, version, data)
    partitions = [
        (topic.topic_id.bytes if version >= 13 else topic.name, partition.index, partition.records)
        for topic in request.topic_data
        for partition in topic.partition_data
    ]
    return request.transactional_id, request.acks, request.timeout_ms, partitions


def produce_natively(data: bytes, version: int) -> tuple[Any, ...]:
    request = parse_produce(data, 0, version >= 9, version >= 13)
    partitions = [
        (topic, index, None if records is None else bytes(records))
        for topic, index, records in request.partitions
    ]
    return request.transactional_id, request.acks, request.timeout_ms, partitions


@pytest.mark.parametrize("version", range(3, 14))
def test_produce(version: int) -> None:
    message = random_message(ProduceRequest, version, random.Random(version))
    agree(produce, produce_natively, encode(message, version), version)


NUMBERS = (
    *("max_wait_ms", "min_bytes", "max_bytes", "isolation_level"),
    *("session_id", "session_epoch", "rack_id"),
)


def fetch(data: bytes, version: int) -> tuple[Any, ...]:
    request, _ = decode_prefix(FetchRequest, version, data)

    def name(topic: Any) -> str | bytes:
        found: str | bytes = topic.topic_id.bytes if version >= 13 else topic.topic
        return found

    by_key = {
        (name(topic), partition.partition): (
            partition.current_leader_epoch,
            partition.fetch_offset,
            partition.partition_max_bytes,
        )
        for topic in request.topics
        for partition in topic.partitions
    }
    partitions = [(*key, *fields) for key, fields in by_key.items()]
    forgotten = [
        (name(topic), index)
        for topic in request.forgotten_topics_data
        for index in topic.partitions
    ]
    return *(getattr(request, name) for name in NUMBERS), request.replica_id, partitions, forgotten


def fetch_natively(data: bytes, version: int) -> tuple[Any, ...]:
    request = parse_fetch(data, 0, SHAPES[version])
    numbers = (getattr(request, name) for name in NUMBERS)
    partitions = [
        (*one.key, one.leader_epoch, one.fetch_offset, one.max_bytes)
        for one in request.partitions.values()
    ]
    return *numbers, request.replica_id, partitions, request.forgotten


@pytest.mark.parametrize("version", SHAPES)
def test_fetch(version: int) -> None:
    message = random_message(FetchRequest, version, random.Random(version))
    agree(fetch, fetch_natively, encode(message, version), version)
