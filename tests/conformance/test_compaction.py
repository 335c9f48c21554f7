"""Compaction as clients see it; the same on Kafka."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from confluent_kafka import Producer

from kstore.wire.versions import ApiKey
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.config_verbs import alter_topic
from tests.conformance.support.pipeline import wait_until
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import create_topic, end_offset, read_records, start_of
from tests.conftest import SETTINGS, broker_class

OFTEN = {
    **SETTINGS,
    "log.cleaner.backoff.ms": 50,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
    "log.retention.check.interval.ms": 50,
    # Kafka's first look comes after half a minute. Ours comes after the interval.
    **({} if broker_class() is BrokerProcess else {"log.initial.task.delay.ms": 0}),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with broker_class()(tmp_path_factory.mktemp("broker"), OFTEN) as process:
        yield process


def compacted_topic(client: RawClient, **configs: str) -> str:
    settings = {
        "cleanup.policy": "compact",
        "internal.segment.bytes": "2000",
        "min.cleanable.dirty.ratio": "0.01",
        "delete.retention.ms": "300",
    }
    topic, _ = create_topic(
        client, configs=settings | {name.replace("_", "."): v for name, v in configs.items()}
    )
    return topic


def send(
    broker: BrokerProcess,
    topic: str,
    pairs: Sequence[tuple[str, str | None]],
    **how: str | int,
) -> None:
    config = {"bootstrap.servers": broker.bootstrap_servers, "batch.num.messages": 10, **how}
    producer = Producer(config)
    failures: list[object] = []
    for key, value in pairs:
        producer.produce(
            topic,
            key=key,
            value=value,
            on_delivery=lambda error, _: failures.append(error),
        )
    assert producer.flush(20) == 0
    assert failures == [None] * len(pairs)


def left(client: RawClient, topic: str) -> list[tuple[int, str, str]]:
    """(offset, key, value) of all that is there."""
    return [
        (record.offset, (record.key or b"").decode(), (record.value or b"").decode())
        for record in read_records(client, topic)
    ]


def size_of(client: RawClient, topic: str) -> int:
    values = {"topics": [{"topic": topic, "partitions": [0]}]}
    (log_dir,) = client.ask(ApiKey.DESCRIBE_LOG_DIRS, 4, values).results
    return int(log_dir.topics[0].partitions[0].partition_size)


def is_compacted(
    broker: BrokerProcess, client: RawClient, topic: str, wanted: dict[str, str]
) -> bool:
    """Whether of the keys in `wanted` the last values are left, and nothing else of them.

    Sends something new each time: Kafka compacts a log only while a part of it is dirty.
    """
    send(broker, topic, [("filler", "x" * 500), ("end", "")])
    found = [one for one in left(client, topic) if one[1] in wanted]
    assert {key: value for _, key, value in found} == wanted
    return len(found) == len(wanted)


def wait_for_compaction(
    broker: BrokerProcess, client: RawClient, topic: str, wanted: dict[str, str]
) -> None:
    condition = partial(is_compacted, broker, client, topic, wanted)
    wait_until(condition, "only last values", within_s=30)


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_the_last_value_of_each_key_is_left(
    broker: BrokerProcess, client: RawClient, codec: str
) -> None:
    topic = compacted_topic(client)
    pairs = [(f"key {number % 7}", f"{number} " * 20) for number in range(200)]
    send(broker, topic, pairs, **{"compression.type": codec})
    wait_for_compaction(broker, client, topic, dict(pairs))
    for offset, key, value in left(client, topic):
        if key.startswith("key"):
            assert pairs[offset] == (key, value)


def test_a_tombstone_goes(broker: BrokerProcess, client: RawClient) -> None:
    topic = compacted_topic(client)
    send(broker, topic, [("gone", "value"), ("gone", None), ("left", "value")])

    def is_gone() -> bool:
        send(broker, topic, [("filler", "x" * 900), ("filler", "x" * 900), ("end", "")])
        keys = [key for _, key, _ in left(client, topic)]
        assert "left" in keys
        return "gone" not in keys

    wait_until(is_gone, "no tombstone", within_s=30)


def test_retention_takes_what_compaction_keeps(broker: BrokerProcess, client: RawClient) -> None:
    """`compact,delete`: last values, too, go with their segment when the log is too large."""
    topic = compacted_topic(client, cleanup_policy="compact,delete", retention_ms="-1")
    # The last values fill several segments.
    pairs = [(f"key {number % 20}", f"{number:03} " * 100) for number in range(100)]
    send(broker, topic, pairs, **{"batch.num.messages": 1})
    wait_for_compaction(broker, client, topic, dict(pairs))
    kept = [one for one in left(client, topic) if one[1].startswith("key")]

    def is_shorter() -> bool:
        """Asks for room for one segment less; what is compacted meanwhile counts, too."""
        alter_topic(client, topic, retention_bytes=str(size_of(client, topic) - 2000))
        return start_of(client, topic) > kept[0][0]

    wait_until(is_shorter, "the oldest segment is gone")
    alter_topic(client, topic, retention_bytes="-1")
    found = [one for one in left(client, topic) if one[1].startswith("key")]
    assert 0 < len(found) < len(kept)
    assert found == kept[-len(found) :]


def test_the_policy_changes_while_the_topic_is_used(
    broker: BrokerProcess, client: RawClient
) -> None:
    """delete → compact → delete: each policy takes effect on all that is there."""
    topic = compacted_topic(client, cleanup_policy="delete", retention_ms="-1")
    other = compacted_topic(client)
    pairs = [(f"key {number % 7}", f"{number} " * 20) for number in range(200)]
    for one in (topic, other):
        send(broker, one, pairs)
    wait_for_compaction(broker, client, other, dict(pairs))
    send(broker, topic, [("end", "")])
    assert [one[1:] for one in left(client, topic)] == [*pairs, ("end", "")]
    alter_topic(client, topic, cleanup_policy="compact")
    wait_for_compaction(broker, client, topic, dict(pairs))
    alter_topic(client, topic, cleanup_policy="delete", retention_ms="1")
    wait_until(
        lambda: start_of(client, topic) == end_offset(client, topic), "all of it is old and gone"
    )
