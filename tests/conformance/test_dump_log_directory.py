"""Kafka's dump-log over a whole data directory: every file that it knows, of every kind we write.

It finds no fault, and tells of each file what `kstore dump-log` tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.config_verbs import alter_topic
from tests.conformance.support.group_verbs import commit, first_commit
from tests.conformance.support.pipeline import wait_until
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.transactions import transactional_producer
from tests.conformance.support.verbs import create_topic
from tests.conftest import StartBroker
from tests.faults.reading import read_all

pytestmark = pytest.mark.jdk

KINDS = (".log", ".index", ".timeindex", ".txnindex", ".snapshot")
SETTINGS = {
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.num.partitions": 1,
    "log.index.interval.bytes": 100,
    "log.cleaner.backoff.ms": 50,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
}
COMPACTED = {
    "cleanup.policy": "compact",
    "internal.segment.bytes": "2000",
    "min.cleanable.dirty.ratio": "0.01",
}
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
ROUNDS = 30
NO_SEQUENCES = "firstSequence: -1 lastSequence: -1"


def files_of(broker: BrokerProcess) -> list[Path]:
    """The files of all partitions; the broker was stopped."""
    found = [path for path in broker.data_dir.glob("*-*/*") if path.suffix in KINDS]
    assert found
    return sorted(path for path in found if not path.parent.name.startswith("__cluster"))


def dump(
    kafka_tools: KafkaTools, files: Sequence[Path], *options: str
) -> tuple[list[str], list[str]]:
    """What dump-log prints, and its complaints but for what compaction makes: gaps, and entries of
    the time index for batches that are kept without their records (Kafka's own files have both)."""
    names = ",".join(map(str, files))
    done = kafka_tools.run("dump-log", "--files", names, *options)
    gap = re.compile(r"Non-consecutive offsets in |  -?\d+ is followed by \d+$")
    emptied = re.compile(r"Found timestamp mismatch in |  Index timestamp: \d+, log timestamp: -1$")
    lines = done.stderr.splitlines()
    complaints = [line for line in lines if not (gap.match(line) or emptied.match(line))]
    return done.stdout.splitlines(), complaints


def check_all(kafka_tools: KafkaTools, broker: BrokerProcess, wanted: set[str]) -> None:
    """No fault in any file; there is one with something in it of each kind in `wanted`."""
    files = files_of(broker)
    assert {path.suffix for path in files if path.stat().st_size} >= wanted
    options = ("--deep-iteration", "--print-data-log")
    lines, complaints = dump(kafka_tools, files, *options)
    assert complaints == []
    batches = [line for line in lines if line.startswith("baseOffset:")]
    assert batches
    assert all(line.endswith("isvalid: true") for line in batches)
    assert not [line for line in lines if line.startswith("Found")]
    ours = run_kstore("dump-log", "--files", ",".join(map(str, files)), *options).splitlines()
    # Of a producer without sequences Kafka's tool counts back from -1, and gets the largest one.
    told = [
        line.replace(f"firstSequence: {(1 << 31) - 1} lastSequence: -1", NO_SEQUENCES)
        for line in lines
    ]
    assert ours == told
    _, complaints = dump(kafka_tools, files, "--index-sanity-check")
    assert complaints == []


def decoded(
    kafka_tools: KafkaTools, broker: BrokerProcess, topic: str, option: str
) -> list[tuple[dict[str, Any], Any]]:
    """Key and value of each record of an internal topic, as Kafka's decoder of it tells them."""
    files = [path for path in files_of(broker) if path.parent.name == f"{topic}-0"]
    lines, complaints = dump(kafka_tools, [one for one in files if one.suffix == ".log"], option)
    assert complaints == []
    found = []
    for line in lines:
        assert "skipping." not in line
        if match := re.search(r" key: (\{.*?\}) payload: (.*)$", line):
            value = None if match[2] == "<DELETE>" else json.loads(match[2])
            found.append((json.loads(match[1]), value))
    return found


def wait_for_compaction(broker: BrokerProcess, topic: str, count: int) -> None:
    """Until fewer than `count` records are left."""
    wait_until(lambda: len(read_all(broker, topic)) < count, "records are gone", within_s=30)


def test_batches_indexes_snapshots_and_committed_offsets(
    start_broker: StartBroker, kafka_tools: KafkaTools
) -> None:
    broker = start_broker(SETTINGS)
    with RawClient(broker.bootstrap_servers) as client:
        create_topic(client, "codecs", configs={"internal.segment.bytes": "5000"})
        create_topic(client, "compacted", configs=COMPACTED)
        first_commit(client, "gone", "codecs", 1)
        for offset in range(ROUNDS):
            commit(client, "kept", "codecs", offset)
    for codec in CODECS:
        config = {"compression.type": codec, "enable.idempotence": True, "batch.num.messages": 10}
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, **config})
        for number in range(10 * ROUNDS):
            producer.produce("codecs", f"{codec} {number}", headers=[("h", b"v"), ("n", None)])
            producer.produce("compacted", f"{number} " * 10, key=f"key {number % 7}")
        assert producer.flush(30) == 0
    wait_for_compaction(broker, "compacted", 10 * ROUNDS)
    run_kstore(
        "consumer-groups",
        *("--bootstrap-server", broker.bootstrap_servers, "--delete", "--group", "gone"),
    )
    broker.stop()
    check_all(kafka_tools, broker, {".log", ".index", ".timeindex", ".snapshot"})
    stored = decoded(kafka_tools, broker, "__consumer_offsets", "--offsets-decoder")
    kept = [value for key, value in stored if key["data"].get("group") == "kept"]
    assert [value["data"]["offset"] for value in kept] == [*range(ROUNDS)]
    assert [value for key, value in stored if key["data"].get("group") == "gone"][-1] is None


def test_transactions(start_broker: StartBroker, kafka_tools: KafkaTools) -> None:
    broker = start_broker(SETTINGS)
    with RawClient(broker.bootstrap_servers) as client:
        create_topic(client, "sent")
        # Compacted once, when all is there: a second time drops the markers, and their index.
        configs = {**COMPACTED, "min.cleanable.dirty.ratio": "1"}
        create_topic(client, "compacted", configs=configs)
    group = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "of-transactions"})
    producer = transactional_producer(broker, "dumped")
    for number in range(ROUNDS):
        producer.begin_transaction()
        for key in range(5):
            producer.produce("sent", f"{number}")
            producer.produce("compacted", f"{number} " * 10, key=f"key {key}")
        offsets = [TopicPartition("sent", 0, number)]
        producer.send_offsets_to_transaction(offsets, group.consumer_group_metadata(), 30)
        producer.flush(30)  # an abort drops what was not sent yet
        if number % 3:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    group.close()
    with RawClient(broker.bootstrap_servers) as client:
        alter_topic(client, "compacted", min_cleanable_dirty_ratio="0.01")
    wait_for_compaction(broker, "compacted", 5 * ROUNDS)
    broker.stop()
    check_all(kafka_tools, broker, set(KINDS))
    rewritten = [path for path in files_of(broker) if path.match("compacted-0/*.txnindex")]
    assert sum(path.stat().st_size for path in rewritten) > 0
    states = decoded(kafka_tools, broker, "__transaction_state", "--transaction-log-decoder")
    assert {key["data"]["transactionalId"] for key, _ in states} == {"dumped"}
    committed = decoded(kafka_tools, broker, "__consumer_offsets", "--offsets-decoder")
    numbers = [value["data"]["offset"] for key, value in committed if key["type"] == "1"]
    assert numbers == [*range(ROUNDS)]
