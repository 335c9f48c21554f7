"""Three clients that share no code with kstore, behind one small interface.

Each writes records to the partitions they name and reads whole partitions back. Writing returns
when all records are acknowledged, and fails if one is not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import aiokafka
import confluent_kafka
import kafka
from confluent_kafka.admin import AdminClient, NewTopic

from tests.conformance.support.workload import Sent

DEADLINE_S = 90
LEADERLESS = (
    confluent_kafka.KafkaError.NOT_LEADER_FOR_PARTITION,
    confluent_kafka.KafkaError.LEADER_NOT_AVAILABLE,
)
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

Write = Callable[[str, str, list[Sent], str], None]
Read = Callable[[str, str, dict[int, int]], dict[int, list[Sent]]]


def create_topic(bootstrap_servers: str, topic: str, partition_count: int, **configs: str) -> None:
    """Creates a topic and returns when its partitions have leaders."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    new = NewTopic(
        topic, partition_count, 1, config={k.replace("_", "."): v for k, v in configs.items()}
    )
    admin.create_topics([new])[topic].result(30)
    deadline = time.monotonic() + DEADLINE_S
    while True:
        found = admin.list_topics(topic, timeout=30).topics[topic]
        if len(found.partitions) == partition_count and all(
            partition.leader >= 0 for partition in found.partitions.values()
        ):
            return
        assert time.monotonic() < deadline, f"{topic} has no leaders: {found.partitions}"


def end_offsets(bootstrap_servers: str, topic: str, partition_count: int) -> dict[int, int]:
    """The end of each partition, as ListOffsets tells it; waits for a leader that is on its way."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "none"}
    )
    deadline = time.monotonic() + DEADLINE_S
    ends: dict[int, int] = {}
    try:
        while len(ends) < partition_count:
            part = confluent_kafka.TopicPartition(topic, len(ends))
            try:
                ends[part.partition] = consumer.get_watermark_offsets(part, timeout=30)[1]
            except confluent_kafka.KafkaException as failure:
                if failure.args[0].code() not in LEADERLESS or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
    finally:
        consumer.close()
    return ends


def write_confluent(
    bootstrap_servers: str, topic: str, records: list[Sent], codec: str, batch_count: int = 10_000
) -> None:
    """Writes records in batches of at most `batch_count`."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "compression.type": codec,
            "linger.ms": 5,
            "batch.num.messages": batch_count,
        }
    )
    failures: list[object] = []

    def delivered(error: object, _: object) -> None:
        if error is not None:
            failures.append(error)

    for record in records:
        while True:
            try:
                producer.produce(
                    topic,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                    timestamp=record.timestamp_ms,
                    on_delivery=delivered,
                )
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(DEADLINE_S) == 0, "records were not acknowledged in time"
    assert not failures, failures[:3]


def read_confluent(
    bootstrap_servers: str, topic: str, counts: dict[int, int]
) -> dict[int, list[Sent]]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "none", "enable.auto.commit": False}
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0) for partition in counts])
    found: dict[int, list[Sent]] = {partition: [] for partition in counts}
    deadline = time.monotonic() + DEADLINE_S
    try:
        while any(len(found[partition]) < count for partition, count in counts.items()):
            assert time.monotonic() < deadline, _progress(found, counts)
            for message in consumer.consume(1000, timeout=1):
                assert message.error() is None, message.error()
                assert message.offset() == len(found[message.partition()])
                headers = tuple((name, value) for name, value in message.headers() or ())
                found[message.partition()].append(
                    Sent(
                        message.partition(),
                        message.key(),
                        message.value(),
                        headers,
                        message.timestamp()[1],
                    )
                )
    finally:
        consumer.close()
    return found


def write_kafka_python(bootstrap_servers: str, topic: str, records: list[Sent], codec: str) -> None:
    producer = kafka.KafkaProducer(
        bootstrap_servers=bootstrap_servers,
        compression_type=None if codec == "none" else codec,
        linger_ms=5,
    )
    try:
        futures = [
            producer.send(
                topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
                timestamp_ms=record.timestamp_ms,
            )
            for record in records
        ]
        for future in futures:
            future.get(DEADLINE_S)
    finally:
        producer.close()


def read_kafka_python(
    bootstrap_servers: str, topic: str, counts: dict[int, int]
) -> dict[int, list[Sent]]:
    consumer = kafka.KafkaConsumer(bootstrap_servers=bootstrap_servers, group_id=None)
    partitions = [kafka.TopicPartition(topic, partition) for partition in counts]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found: dict[int, list[Sent]] = {partition: [] for partition in counts}
    deadline = time.monotonic() + DEADLINE_S
    try:
        while any(len(found[partition]) < count for partition, count in counts.items()):
            assert time.monotonic() < deadline, _progress(found, counts)
            for records in consumer.poll(timeout_ms=1000, max_records=5000).values():
                _collect(found, records)
    finally:
        consumer.close()
    return found


def write_aiokafka(bootstrap_servers: str, topic: str, records: list[Sent], codec: str) -> None:
    async def write() -> None:
        async with aiokafka.AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers,
            compression_type=None if codec == "none" else codec,
            linger_ms=5,
        ) as producer:
            futures = [
                await producer.send(
                    topic,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                    timestamp_ms=record.timestamp_ms,
                )
                for record in records
            ]
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.gather(*futures)

    asyncio.run(write())


def read_aiokafka(
    bootstrap_servers: str, topic: str, counts: dict[int, int]
) -> dict[int, list[Sent]]:
    found: dict[int, list[Sent]] = {partition: [] for partition in counts}

    async def read() -> None:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
        await consumer.start()
        try:
            partitions = [aiokafka.TopicPartition(topic, partition) for partition in counts]
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            deadline = time.monotonic() + DEADLINE_S
            while any(len(found[partition]) < count for partition, count in counts.items()):
                assert time.monotonic() < deadline, _progress(found, counts)
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    _collect(found, records)
        finally:
            await consumer.stop()

    asyncio.run(read())
    return found


def _collect(found: dict[int, list[Sent]], records: list[object]) -> None:
    """Takes over the records of kafka-python and aiokafka, whose shapes are the same."""
    for record in records:
        assert record.offset == len(found[record.partition])
        found[record.partition].append(
            Sent(
                record.partition, record.key, record.value, tuple(record.headers), record.timestamp
            )
        )


def _progress(found: dict[int, list[Sent]], counts: dict[int, int]) -> str:
    return f"read { ({p: len(r) for p, r in found.items()}) } of {counts}"


@dataclass(frozen=True, slots=True)
class Client:
    name: str
    write: Write
    read: Read


CLIENTS = (
    Client("confluent-kafka", write_confluent, read_confluent),
    Client("kafka-python", write_kafka_python, read_kafka_python),
    Client("aiokafka", write_aiokafka, read_aiokafka),
)
