"""compression.type: batches are stored in the topic's codec, in the order in which they came."""

from __future__ import annotations

import random
import time

import pytest
from crc32c import crc32c
from kio.schema.errors import ErrorCode

from kstore._native.batch import walk
from kstore.log.records import Record, build_batch, iterate_records
from kstore.wire.versions import ApiKey
from tests.conformance.support.config_verbs import BROKER, DELETE, SET, TOPIC, alter, alter_topic
from tests.conformance.support.pipeline import PipelinedClient, wait_until
from tests.conformance.support.verbs import create_topic, fetch, produce, produce_values

OK = ErrorCode.none
CODECS = {"uncompressed": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
NAMES = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
HEADERS = (("h", b"1"), ("none", None))
BATCH_COUNT = 40


def batch_of(*values: bytes, codec: int, sequence: int = -1, producer_id: int = -1) -> bytes:
    now_ms = int(time.time() * 1000)
    return build_batch(
        [Record(0, now_ms, b"key", value, HEADERS) for value in values],
        compression=codec,
        producer_id=producer_id,
        producer_epoch=0 if producer_id >= 0 else -1,
        base_sequence=sequence,
    )


def stored(client: PipelinedClient, name: str) -> tuple[list[int], list[bytes | None]]:
    """The codecs of the batches of partition 0, and the values of its records."""
    data = fetch(client, name, {0: 0}, partition_max_bytes=1 << 24)[0].records
    records = list(iterate_records(data))
    assert [record.offset for record in records] == list(range(len(records)))
    assert {record.headers for record in records} == {HEADERS}
    return [header.codec for header in walk(data)], [record.value for record in records]


@pytest.mark.parametrize("wanted", CODECS)
def test_batches_are_stored_in_the_codec_of_the_topic(client: PipelinedClient, wanted: str) -> None:
    name, _ = create_topic(client, configs={"compression.type": wanted})
    values = []
    for codec in NAMES:
        value = NAMES[codec].encode() * 1_000
        answer = produce(client, name, {0: batch_of(value, b"small", codec=codec)})[0]
        assert (answer.error_code, answer.base_offset) == (OK, len(values))
        values += [value, b"small"]
    assert stored(client, name) == ([CODECS[wanted]] * len(NAMES), values)


def test_pipelined_batches_keep_their_order(client: PipelinedClient) -> None:
    """Large ones to be compressed, small ones that need nothing, of one idempotent producer."""
    name, _ = create_topic(client, configs={"compression.type": "zstd"})
    values = {"transactional_id": None, "transaction_timeout": 60_000}
    producer_id = client.ask(ApiKey.INIT_PRODUCER_ID, 4, values).producer_id
    sent = [b"%d" % number * (1 if number % 3 else 50_000) for number in range(BATCH_COUNT)]
    frames = [
        client.frame(
            ApiKey.PRODUCE,
            9,
            produce_values(
                name,
                {
                    0: batch_of(
                        value,
                        codec=4 if number % 3 == 1 else 0,
                        sequence=number,
                        producer_id=producer_id,
                    )
                },
            ),
        )
        for number, value in enumerate(sent)
    ]
    client.send(*frames)
    replies = [client.next_reply() for _ in frames]
    answers = [reply.responses[0].partition_responses[0] for reply in replies]
    assert [one.error_code for one in answers] == [OK] * BATCH_COUNT
    assert [one.base_offset for one in answers] == list(range(BATCH_COUNT))
    assert stored(client, name) == ([4] * BATCH_COUNT, sent)


def test_several_partitions_answer_in_their_order(client: PipelinedClient) -> None:
    name, _ = create_topic(client, partitions=3, configs={"compression.type": "gzip"})
    reply = client.ask(
        ApiKey.PRODUCE,
        9,
        produce_values(
            name,
            {
                2: batch_of(b"a", codec=0),
                0: batch_of(b"b", codec=1),
                1: batch_of(b"c", codec=3)[:-1] + b"?",
            },
        ),
    )
    answers = {one.index: one.error_code for one in reply.responses[0].partition_responses}
    assert answers == {2: OK, 0: OK, 1: ErrorCode.corrupt_message}


def test_what_does_not_decompress_is_refused(client: PipelinedClient) -> None:
    name, _ = create_topic(client, configs={"compression.type": "lz4"})
    good = batch_of(b"value", codec=0)
    gzip = bytearray(good)
    gzip[22] |= 1  # plain bytes that call themselves gzip, under a good CRC
    gzip[17:21] = crc32c(bytes(gzip[21:])).to_bytes(4, "big")
    assert produce(client, name, {0: bytes(gzip)})[0].error_code is not OK
    assert produce(client, name, {0: good})[0].base_offset == 0


def test_without_an_answer_records_arrive_too(client: PipelinedClient) -> None:
    name, _ = create_topic(client, configs={"compression.type": "snappy"})
    values = produce_values(name, {0: batch_of(b"first", codec=0)}, acks=0)
    client.send(client.frame(ApiKey.PRODUCE, 9, values, answered=False))
    answer = produce(client, name, {0: batch_of(b"second", codec=0)})[0]
    assert (answer.error_code, answer.base_offset) == (OK, 1)
    assert stored(client, name) == ([2, 2], [b"first", b"second"])


def test_the_codec_changes_at_once(client: PipelinedClient) -> None:
    name, _ = create_topic(client)

    def codec_of_next() -> int:
        assert produce(client, name, {0: batch_of(b"value", codec=1)})[0].error_code is OK
        return stored(client, name)[0][-1]

    assert codec_of_next() == 1
    alter_topic(client, name, compression_type="zstd")
    wait_until(lambda: codec_of_next() == 4, "the topic's batches are zstd")
    alter_topic(client, name, compression_type=None)
    wait_until(lambda: codec_of_next() == 1, "batches are stored as they were sent")
    try:
        alter(client, BROKER, "1", ("compression.type", SET, "lz4"))
        wait_until(lambda: codec_of_next() == 3, "the broker's default is lz4")
    finally:
        alter(client, BROKER, "1", ("compression.type", DELETE, None))


WORDS = b" ".join(random.Random(1).choices([b"speed", b"of", b"vehicle", b"seven"], k=20_000))


@pytest.mark.parametrize(
    ("codec", "weak", "strong"), [("gzip", "1", "9"), ("lz4", "9", "12"), ("zstd", "1", "19")]
)
def test_the_level_is_the_one_asked_for(
    client: PipelinedClient, codec: str, weak: str, strong: str
) -> None:
    """Of the topic, else of the broker; the records are the same in fewer bytes."""
    level = f"compression.{codec}.level"
    name, _ = create_topic(client, configs={"compression.type": codec, level: weak})
    offset = 0

    def size_of_next() -> int:
        nonlocal offset
        answer = produce(client, name, {0: batch_of(WORDS, codec=0)})[0]
        assert (answer.error_code, answer.base_offset) == (OK, offset)
        data = fetch(client, name, {0: offset}, partition_max_bytes=1 << 24)[0].records
        assert [record.value for record in iterate_records(data)] == [WORDS]
        offset += 1
        return len(data)

    largest = size_of_next()
    alter(client, TOPIC, name, (level, SET, strong))
    wait_until(lambda: size_of_next() < largest, "the topic's level is in force")
    alter(client, TOPIC, name, (level, SET, weak))
    wait_until(lambda: size_of_next() == largest, "the topic's level is the old one")
    try:
        alter(client, BROKER, "1", (level, SET, strong))
        alter(client, TOPIC, name, (level, DELETE, None))
        wait_until(lambda: size_of_next() < largest, "the broker's level is in force")
    finally:
        alter(client, BROKER, "1", (level, DELETE, None))
