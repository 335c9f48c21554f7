"""Batches that must not be appended: Kafka's codes, nothing lost, nobody else affected.

Each case sends its batch to partition 0 of a new topic and a good one to partition 1 in the same
request. Where kstore's code is not Kafka's, the case says why.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import GZIP, ZSTD, batch, legacy_message, now_ms, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import (
    create_topic,
    end_offset,
    fetch,
    is_kafka,
    produce,
    produce_values,
)

HOUR_MS = 3_600_000
CONTROL = 0x20
LOG_APPEND_TIME = 0x08
BOUNDED = {"message.timestamp.before.max.ms": "60000", "message.timestamp.after.max.ms": "60000"}
COMPACTED = {"cleanup.policy": "compact"}


@dataclass(frozen=True, slots=True)
class Refused:
    """A batch, and the code with which Kafka refuses it."""

    name: str
    make: Callable[[], bytes | None]
    code: ErrorCode
    configs: Mapping[str, str] = field(default_factory=dict)
    version: int = 9
    records: tuple[int, ...] = ()
    """The records that the reply names (v8 and newer)."""
    ours: ErrorCode | None = None
    """kstore's code where it is another one; the case's comment says why."""
    our_records: tuple[int, ...] | None = None
    """The records that kstore names beyond Kafka, which names none that can't be read."""
    alone: bool = True
    """Whether Kafka refuses the batch alone; else it fails on it before it looks at any other."""


CORRUPT = ErrorCode.corrupt_message
INVALID = ErrorCode.invalid_record
TOO_LARGE = ErrorCode.message_too_large
BAD_TIME = ErrorCode.invalid_timestamp

REFUSED = [
    Refused("wrong CRC", lambda: batch(crc=1), CORRUPT),
    Refused("magic 0", lambda: legacy_message(0), INVALID),
    Refused("magic 1", lambda: legacy_message(1), INVALID),
    Refused("magic 3", lambda: batch(magic=3), CORRUPT, alone=False),
    Refused("negative magic", lambda: batch(magic=-1), CORRUPT, alone=False),
    Refused("length 0", lambda: batch(length=0), CORRUPT, alone=False),
    Refused("negative length", lambda: batch(length=-1), CORRUPT, alone=False),
    Refused("length of half a header", lambda: batch(length=30), CORRUPT),
    # Kafka runs into an IllegalArgumentException and says UNKNOWN_SERVER_ERROR.
    Refused(
        "length of 2 GB",
        lambda: batch(length=2**31 - 1),
        ErrorCode.unknown_server_error,
        ours=INVALID,
        alone=False,
    ),
    Refused("no batch", lambda: b"", INVALID),
    Refused("a cut batch", lambda: batch()[:-1], INVALID),
    Refused("half a header", lambda: batch()[:30], INVALID),
    Refused("two batches", lambda: batch() + batch(), INVALID),
    Refused("zeros behind it", lambda: batch() + bytes(30), CORRUPT),
    Refused(
        "too large for its topic",
        lambda: batch([record(value=b"x" * 200)]),
        TOO_LARGE,
        {"max.message.bytes": "200"},
    ),
    Refused(
        "larger than a segment",
        lambda: batch([record(value=bytes(2 << 20))]),
        ErrorCode.record_list_too_large,
        {"max.message.bytes": str(4 << 20), "segment.bytes": str(1 << 20)},
    ),
    Refused("a control batch", lambda: batch(attributes=CONTROL), INVALID),
    Refused("base offset", lambda: batch(base_offset=5), INVALID),
    Refused("more offsets than records", lambda: batch(last_offset_delta=1), INVALID),
    Refused("more records than offsets", lambda: batch(record_count=2), INVALID),
    Refused("no records", lambda: batch([], last_offset_delta=0), INVALID),
    Refused("a negative count", lambda: batch(record_count=-1), INVALID),
    Refused(
        "more counted than there",
        lambda: batch(record_count=2, last_offset_delta=1),
        INVALID,
        our_records=(1,),
    ),
    Refused(
        "fewer counted than there",
        lambda: batch([record(0), record(1)], record_count=1, last_offset_delta=0),
        INVALID,
        our_records=(1,),
    ),
    Refused("a record that is none", lambda: batch([b"\x7fjunk"]), INVALID, our_records=(0,)),
    # Kafka says UNKNOWN_SERVER_ERROR, of an exception that it does not expect.
    Refused(
        "unknown codec", lambda: batch(attributes=5), ErrorCode.unknown_server_error, ours=INVALID
    ),
    Refused("zstd before v7", lambda: batch(codec=ZSTD), ErrorCode(76), version=6),
    Refused(
        "too far ahead",
        lambda: batch(base_timestamp_ms=now_ms() + 2 * HOUR_MS),
        BAD_TIME,
        records=(0,),
    ),
    Refused(
        "too far ahead, compressed",
        lambda: batch(base_timestamp_ms=now_ms() + 2 * HOUR_MS, codec=GZIP),
        BAD_TIME,
        records=(0,),
    ),
    Refused(
        "two of four out of bounds",
        lambda: batch(
            [record(n, timestamp_delta_ms=d) for n, d in enumerate((0, -HOUR_MS, 1, HOUR_MS))]
        ),
        BAD_TIME,
        BOUNDED,
        records=(1, 3),
    ),
    Refused(
        "one of three too old, compressed",
        lambda: batch(
            [record(n, timestamp_delta_ms=d) for n, d in enumerate((0, -HOUR_MS, 1))], codec=GZIP
        ),
        BAD_TIME,
        BOUNDED,
        records=(1,),
    ),
    Refused(
        "a time of append from a client",
        lambda: batch(attributes=LOG_APPEND_TIME),
        BAD_TIME,
        {"message.timestamp.type": "LogAppendTime"},
        records=(0,),
    ),
    Refused(
        "no key where one is needed",
        lambda: batch([record(0), record(1, key=None), record(2), record(3, key=None)]),
        INVALID,
        COMPACTED,
        records=(1, 3),
    ),
    Refused(
        "no key, compressed",
        lambda: batch([record(0), record(1, key=None)], codec=GZIP),
        INVALID,
        COMPACTED,
        records=(1,),
    ),
    Refused("no key, before v8", lambda: batch([record(key=None)]), INVALID, COMPACTED, version=7),
    Refused(
        "a producer without a sequence",
        lambda: batch(producer_id=5, producer_epoch=0, base_sequence=-1),
        INVALID,
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=[case.name for case in REFUSED])
def test_a_bad_batch_is_refused_alone(
    broker: BrokerProcess, client: PipelinedClient, case: Refused
) -> None:
    topic, _ = create_topic(client, partitions=2, configs=case.configs)
    good = batch(base_timestamp_ms=now_ms())
    answers = produce(client, topic, {0: case.make(), 1: good}, version=case.version)
    code, records = case.code, case.records
    if not is_kafka(broker):
        code = case.code if case.ours is None else case.ours
        records = case.records if case.our_records is None else case.our_records
    assert answers[0].error_code is code
    assert answers[0].base_offset == -1
    named = getattr(answers[0], "record_errors", ())
    assert tuple(one.batch_index for one in named) == records
    assert all(one.batch_index_error_message for one in named)
    if is_kafka(broker) and not case.alone:
        return
    assert (answers[1].error_code, answers[1].base_offset) == (ErrorCode.none, 0)
    assert (end_offset(client, topic, 0), end_offset(client, topic, 1)) == (0, 1)


def test_a_refused_batch_leaves_no_gap(client: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    offsets = []
    for data in (batch(), batch(crc=1), batch(), batch() + batch(), batch([record(0), record(1)])):
        offsets.append(produce(client, topic, {0: data})[0].base_offset)
    assert offsets == [0, -1, 1, -1, 2]
    assert end_offset(client, topic) == 4


def test_bytes_behind_a_batch_that_begin_no_other_are_ignored(client: PipelinedClient) -> None:
    """As in Kafka; they must not get into the log either."""
    topic, _ = create_topic(client)
    for tail in (b"12345", batch()[:40]):
        assert produce(client, topic, {0: batch() + tail})[0].error_code is ErrorCode.none
    records = fetch(client, topic, {0: 0})[0].records
    assert len(records) == 2 * len(batch())


def test_what_a_producer_may_not_set_is_set_by_the_broker(client: PipelinedClient) -> None:
    """The leader epoch of a batch, and a largest timestamp that lies."""
    topic, _ = create_topic(client)
    start = now_ms()
    for data in (
        batch(leader_epoch=9),
        batch(base_timestamp_ms=start, max_timestamp_ms=start + 2 * HOUR_MS),
        batch(base_timestamp_ms=start, max_timestamp_ms=start - 5),
    ):
        assert produce(client, topic, {0: data})[0].error_code is ErrorCode.none
    stored = fetch(client, topic, {0: 0})[0].records
    size = len(batch())
    batches = [stored[position : position + size] for position in range(0, len(stored), size)]
    assert [int.from_bytes(one[:8], "big") for one in batches] == [0, 1, 2]
    assert {int.from_bytes(one[12:16], "big") for one in batches} == {0}, "the leader's epoch"
    assert [int.from_bytes(one[35:43], "big") for one in batches[1:]] == [start, start]


def test_a_gap_between_the_offsets_of_records(
    broker: BrokerProcess, client: PipelinedClient
) -> None:
    """Kafka takes it; then the second record has the offset of the batch that comes next."""
    topic, _ = create_topic(client)
    gap = batch([record(0), record(1, offset_delta=2)], last_offset_delta=1)
    answer = produce(client, topic, {0: gap})[0]
    assert answer.error_code is (ErrorCode.none if is_kafka(broker) else INVALID)


def test_time_of_append(client: PipelinedClient) -> None:
    topic, _ = create_topic(client, configs={"message.timestamp.type": "LogAppendTime"})
    before = now_ms()
    answer = produce(client, topic, {0: batch(base_timestamp_ms=5)})[0]
    told_ms = int(answer.log_append_time.timestamp() * 1000)
    assert answer.error_code is ErrorCode.none
    assert before - 1 <= told_ms <= now_ms() + 1
    stored = fetch(client, topic, {0: 0})[0].records
    assert abs(int.from_bytes(stored[35:43], "big") - told_ms) <= 1
    assert int.from_bytes(stored[21:23], "big") & LOG_APPEND_TIME


@pytest.mark.parametrize("acks", [2, -2])
def test_unknown_acks(client: PipelinedClient, acks: int) -> None:
    topic, _ = create_topic(client, partitions=2)
    values = produce_values(topic, {0: batch(), 1: batch()}, acks=acks)
    reply = client.ask(ApiKey.PRODUCE, 9, values)
    codes = [one.error_code for one in reply.responses[0].partition_responses]
    assert codes == [ErrorCode.invalid_required_acks] * 2
    assert end_offset(client, topic) == 0


def test_unknown_partitions_and_topics(client: PipelinedClient) -> None:
    topic, topic_id = create_topic(client)
    answers = produce(client, topic, {0: batch(), 7: batch(), -1: batch()})
    unknown = ErrorCode.unknown_topic_or_partition
    assert {index: one.error_code for index, one in answers.items()} == {
        0: ErrorCode.none,
        7: unknown,
        -1: unknown,
    }
    for name in ("nobody-made-it", "", ".."):
        assert produce(client, name, {0: batch()})[0].error_code is unknown
    by_id = produce(client, topic_id, {0: batch(), 7: batch()}, version=13)
    assert by_id[0].error_code is ErrorCode.none
    assert by_id[7].error_code is unknown
    for stranger in (uuid.uuid4(), uuid.UUID(int=0)):
        answer = produce(client, stranger, {0: batch()}, version=13)
        assert answer[0].error_code is ErrorCode.unknown_topic_id


def test_clients_do_not_write_to_the_topics_of_the_broker(client: PipelinedClient) -> None:
    find = {"key": "a group", "key_type": 0}
    while client.ask(ApiKey.FIND_COORDINATOR, 3, find).error_code is not ErrorCode.none:
        pass
    answer = produce(client, "__consumer_offsets", {0: batch()})[0]
    assert answer.error_code is ErrorCode.invalid_topic_exception


def test_null_for_a_batch(broker: BrokerProcess, client: PipelinedClient) -> None:
    """Kafka never answers this; kstore does as if the batch were empty."""
    if is_kafka(broker):
        pytest.skip("Kafka's handler fails on it and sends nothing")
    topic, _ = create_topic(client, partitions=2)
    answers = produce(client, topic, {0: None, 1: batch()})
    assert answers[0].error_code is INVALID
    assert answers[1].error_code is ErrorCode.none
