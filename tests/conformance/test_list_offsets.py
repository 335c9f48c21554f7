"""ListOffsets by timestamp and by the special ones, over several segments and codecs.

The records' timestamps go up and down; what must be found is worked out from all of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import GZIP, LZ4, SNAPPY, ZSTD, batch, now_ms, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import create_topic, list_offset, produce

OK = ErrorCode.none
SEGMENT_SIZE = 1 << 20
BATCHES = 24
RECORDS_PER_BATCH = 3
VALUE_SIZE = 80_000


class Filled(NamedTuple):
    """A topic, and the timestamp of the record at each offset."""

    client: PipelinedClient
    topic: str
    timestamps: list[int]


@pytest.fixture(scope="module")
def filled(broker: BrokerProcess) -> Iterator[Filled]:
    """Some six segments of one megabyte, each codec in each of them."""
    choices = random.Random(20)
    start = now_ms() - 10_000_000
    timestamps: list[int] = []
    with PipelinedClient(broker.bootstrap_servers) as client:
        configs = {"segment.bytes": str(SEGMENT_SIZE), "index.interval.bytes": "100000"}
        topic, _ = create_topic(client, configs=configs)
        for number in range(BATCHES):
            base = start + 1000 * number + choices.randrange(-5000, 5000)
            deltas = [0, *(choices.randrange(-700, 900) for _ in range(RECORDS_PER_BATCH - 1))]
            records = [
                record(place, value=choices.randbytes(VALUE_SIZE), timestamp_delta_ms=delta)
                for place, delta in enumerate(deltas)
            ]
            times = [base + delta for delta in deltas]
            data = batch(
                records,
                base_timestamp_ms=base,
                max_timestamp_ms=max(times),
                codec=(0, GZIP, SNAPPY, LZ4, ZSTD)[number % 5],
            )
            assert produce(client, topic, {0: data})[0].error_code is OK
            timestamps += times
        yield Filled(client, topic, timestamps)


def test_the_topic_has_several_segments(broker: BrokerProcess, filled: Filled) -> None:
    logs = list(broker.partition_dir(filled.topic, 0).glob("*.log"))
    assert len(logs) >= 5


def test_every_timestamp_and_those_beside_it(filled: Filled) -> None:
    """The first record in the log that is not older, whatever came before it."""
    wanted = {time + beside for time in filled.timestamps for beside in (-1, 0, 1)}
    wanted |= {0, min(filled.timestamps) - 10**9, max(filled.timestamps) + 10**6, 1 << 62}
    for timestamp in sorted(wanted):
        expected = next(
            ((offset, time) for offset, time in enumerate(filled.timestamps) if time >= timestamp),
            (-1, -1),
        )
        found = list_offset(filled.client, filled.topic, timestamp)
        assert found.error_code is OK
        assert (found.offset, milliseconds(found.timestamp)) == expected, timestamp
        assert found.leader_epoch == (0 if expected[0] >= 0 else -1)


def milliseconds(timestamp: object) -> int:
    """kio gives some versions' timestamps as numbers, as they are on the wire."""
    assert isinstance(timestamp, int)
    return timestamp


def test_the_special_ones(filled: Filled) -> None:
    timestamps = filled.timestamps
    newest = max(timestamps)
    for timestamp, version, expected in (
        (-1, 1, (len(timestamps), -1)),
        (-1, 10, (len(timestamps), -1)),
        (-2, 1, (0, -1)),
        (-2, 10, (0, -1)),
        (-3, 7, (timestamps.index(newest), newest)),
        (-3, 10, (timestamps.index(newest), newest)),
        (-4, 8, (0, -1)),
        (-5, 9, (-1, -1)),
    ):
        for isolation_level in (0, 1) if version > 1 else (0,):
            found = list_offset(
                filled.client,
                filled.topic,
                timestamp,
                version=version,
                isolation_level=isolation_level,
            )
            assert found.error_code is OK, (timestamp, version)
            assert (found.offset, milliseconds(found.timestamp)) == expected, (timestamp, version)


def test_a_special_one_that_the_version_does_not_know(filled: Filled) -> None:
    for timestamp, version in ((-3, 6), (-4, 7), (-5, 8), (-6, 10), (-7, 11), (-100, 10)):
        found = list_offset(filled.client, filled.topic, timestamp, version=version)
        assert found.error_code is ErrorCode.unsupported_version, (timestamp, version)
        assert found.offset == -1


def test_an_empty_partition(filled: Filled) -> None:
    topic, _ = create_topic(filled.client)
    answers = {
        timestamp: list_offset(filled.client, topic, timestamp, version=8)
        for timestamp in (-1, -2, -3, -4, 0, now_ms())
    }
    assert {one.error_code for one in answers.values()} == {OK}
    assert [one.offset for one in answers.values()] == [0, 0, -1, 0, -1, -1]
    assert {milliseconds(one.timestamp) for one in answers.values()} == {-1}


def test_unknown_and_repeated_partitions(filled: Filled) -> None:
    unknown = ErrorCode.unknown_topic_or_partition
    assert list_offset(filled.client, filled.topic, -1, partition=9).error_code is unknown
    assert list_offset(filled.client, "nobody-made-it", -1).error_code is unknown
    wanted = {"partition_index": 0, "timestamp": -1, "current_leader_epoch": -1}
    topics = [{"name": filled.topic, "partitions": [wanted, wanted]}]
    values = {"replica_id": -1, "isolation_level": 0, "topics": topics, "timeout": 30_000}
    reply = filled.client.ask(ApiKey.LIST_OFFSETS, 7, values)
    codes = {one.error_code for topic in reply.topics for one in topic.partitions}
    assert codes == {ErrorCode.invalid_request}
