"""What tests of the protocol ask again and again, in a few words. Field names are kio's."""

from __future__ import annotations

import itertools
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from kio.schema.errors import ErrorCode

from kstore._native.batch import walk
from kstore.log.records import Record, iterate_records
from kstore.wire.versions import ApiKey
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.raw_client import RawClient

__all__ = [
    "by_partition",
    "create_topic",
    "create_values",
    "deletion_values",
    "describe_topic",
    "end_offset",
    "fetch",
    "fetch_values",
    "is_kafka",
    "list_offset",
    "new_name",
    "produce",
    "produce_values",
    "read_records",
    "reason_of",
    "start_of",
    "wait_for_leaders",
]

TIMEOUT_MS = 30_000
DEADLINE_S = 30
LATEST = -1
EARLIEST = -2
FETCH_VERSION = 12
PRODUCE_VERSION = 9

_numbers = itertools.count()


def is_kafka(broker: BrokerProcess) -> bool:
    return type(broker) is not BrokerProcess


def reason_of(broker: BrokerProcess, client: PipelinedClient) -> str:
    """Why kstore closed a connection, by its log."""
    identity = "{}:{}".format(*client.socket.getsockname())
    found = re.search(f"client={identity} reason=(.*)", broker.output())
    assert found is not None, f"no line about {identity} in {broker.output()}"
    return found[1]


def new_name(what: str = "topic") -> str:
    return f"{what}-{next(_numbers)}"


def create_values(
    *names: str,
    partitions: int = 1,
    replication_factor: int = 1,
    configs: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    settings = [{"name": name, "value": value} for name, value in (configs or {}).items()]
    topics = [
        {
            "name": name,
            "num_partitions": partitions,
            "replication_factor": replication_factor,
            "configs": settings,
        }
        for name in names
    ]
    return {"topics": topics, "timeout": TIMEOUT_MS}


def create_topic(
    client: RawClient,
    name: str | None = None,
    *,
    partitions: int = 1,
    configs: Mapping[str, str] | None = None,
) -> tuple[str, uuid.UUID]:
    """A new topic that can be written to: its name and its id."""
    name = name or new_name()
    values = create_values(name, partitions=partitions, configs=configs)
    (topic,) = client.ask(ApiKey.CREATE_TOPICS, 7, values).topics
    assert topic.error_code is ErrorCode.none, topic.error_message
    wait_for_leaders(client, name, partitions)
    return name, topic.topic_id


def wait_for_leaders(client: RawClient, name: str, partitions: int) -> None:
    """Kafka answers a creation before its broker leads the partitions, and knows their logs."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        codes = [
            list_offset(client, name, LATEST, partition=index).error_code
            for index in range(partitions)
        ]
        if all(code is ErrorCode.none for code in codes):
            return
        assert time.monotonic() < deadline, f"{name} has no leaders: {codes}"
        time.sleep(0.01)


def deletion_values(*topics: str | uuid.UUID) -> dict[str, Any]:
    """A request to delete topics, given by name or by id, of version 6."""
    asked = [
        {"name": None, "topic_id": topic}
        if isinstance(topic, uuid.UUID)
        else {"name": topic, "topic_id": None}
        for topic in topics
    ]
    return {"topics": asked, "timeout": TIMEOUT_MS}


def describe_topic(client: RawClient, name: str, *, create: bool = False) -> Any:
    values = {
        "topics": [{"name": name, "topic_id": None}],
        "allow_auto_topic_creation": create,
    }
    (topic,) = client.ask(ApiKey.METADATA, 12, values).topics
    return topic


def produce_values(
    topic: str | uuid.UUID, batches: Mapping[int, bytes | None], *, acks: int = -1
) -> dict[str, Any]:
    """`batches` by partition; a topic by its id needs version 13."""
    partitions = [{"index": index, "records": batch} for index, batch in batches.items()]
    return {
        "acks": acks,
        "timeout": TIMEOUT_MS,
        "topic_data": [{**named(topic), "partition_data": partitions}],
    }


def produce(
    client: RawClient,
    topic: str | uuid.UUID,
    batches: Mapping[int, bytes | None],
    *,
    version: int = PRODUCE_VERSION,
) -> dict[int, Any]:
    """What each partition answers."""
    reply = client.ask(ApiKey.PRODUCE, version, produce_values(topic, batches))
    return {
        partition.index: partition
        for topic in reply.responses
        for partition in topic.partition_responses
    }


def fetch_values(
    topic: str | uuid.UUID,
    offsets: Mapping[int, int],
    *,
    max_wait_ms: int = 0,
    min_bytes: int = 1,
    max_bytes: int = 1 << 30,
    partition_max_bytes: int = 1 << 20,
    **others: Any,
) -> dict[str, Any]:
    partitions = [
        {
            "partition": index,
            "fetch_offset": offset,
            "partition_max_bytes": partition_max_bytes,
            "current_leader_epoch": -1,
            "last_fetched_epoch": -1,
        }
        for index, offset in offsets.items()
    ]
    return {
        "replica_id": -1,
        "max_wait": max_wait_ms,
        "min_bytes": min_bytes,
        "max_bytes": max_bytes,
        "session_epoch": -1,
        "topics": [{**named(topic), "partitions": partitions}] if partitions else [],
        **others,
    }


def fetch(
    client: RawClient,
    topic: str | uuid.UUID,
    offsets: Mapping[int, int],
    *,
    version: int = FETCH_VERSION,
    **others: Any,
) -> dict[int, Any]:
    """What each partition answers, in the reply's order."""
    reply = client.ask(ApiKey.FETCH, version, fetch_values(topic, offsets, **others))
    assert reply.error_code is ErrorCode.none
    return by_partition(reply)


def by_partition(fetch_reply: Any) -> dict[int, Any]:
    return {
        partition.partition_index: partition
        for topic in fetch_reply.responses
        for partition in topic.partitions
    }


def list_offset(
    client: RawClient,
    topic: str,
    timestamp_ms: int,
    *,
    partition: int = 0,
    version: int = 7,
    isolation_level: int = 0,
    leader_epoch: int = -1,
) -> Any:
    """What the partition answers."""
    wanted = {
        "partition_index": partition,
        "timestamp": timestamp_ms,
        "current_leader_epoch": leader_epoch,
    }
    values = {
        "replica_id": -1,
        "isolation_level": isolation_level,
        "topics": [{"name": topic, "partitions": [wanted]}],
        "timeout": TIMEOUT_MS,
    }
    return client.ask(ApiKey.LIST_OFFSETS, version, values).topics[0].partitions[0]


def end_offset(client: RawClient, topic: str, partition: int = 0) -> int:
    found = list_offset(client, topic, LATEST, partition=partition)
    assert found.error_code is ErrorCode.none
    return int(found.offset)


def start_of(client: RawClient, topic: str, partition: int = 0) -> int:
    found = list_offset(client, topic, EARLIEST, partition=partition)
    assert found.error_code is ErrorCode.none
    return int(found.offset)


def read_records(client: RawClient, topic: str, partition: int = 0) -> list[Record]:
    """All records of a partition, from its start to its end."""
    found: list[Record] = []
    offset, end = start_of(client, topic, partition), end_offset(client, topic, partition)
    while offset < end:
        data = fetch(client, topic, {partition: offset})[partition].records
        found += iterate_records(data, from_offset=offset)
        offset = list(walk(data))[-1].last_offset + 1
    return found


def named(topic: str | uuid.UUID) -> dict[str, Any]:
    """A topic by whatever a version calls it."""
    if isinstance(topic, uuid.UUID):
        return {"name": "", "topic": "", "topic_id": topic}
    return {"name": topic, "topic": topic, "topic_id": None}
