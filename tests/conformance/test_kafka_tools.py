"""Apache Kafka's own command-line tools against the broker."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic, end_offsets

pytestmark = pytest.mark.jdk

RECORD_COUNT = 100_000
PARTITION_COUNT = 6
TOPIC = "vehicle-positions"


def test_a_topic_is_created_listed_described_and_deleted(
    broker: BrokerProcess, kafka_tools: KafkaTools
) -> None:
    def topics(*arguments: str) -> str:
        done = kafka_tools.run("topics", "--bootstrap-server", broker.bootstrap_servers, *arguments)
        return done.stdout

    shape = ("--partitions", str(PARTITION_COUNT), "--replication-factor", "1")
    assert topics("--create", "--topic", TOPIC, *shape) == f"Created topic {TOPIC}.\n"
    assert TOPIC in topics("--list").splitlines()
    first, *rest = topics("--describe", "--topic", TOPIC).splitlines()
    assert re.match(
        rf"Topic: {TOPIC}\tTopicId: \S{{22}}\tPartitionCount: 6\tReplicationFactor: 1\t", first
    )
    assert len(rest) == PARTITION_COUNT
    for number, line in enumerate(rest):
        assert re.match(
            rf"\tTopic: {TOPIC}\tPartition: {number}\tLeader: 1\tReplicas: 1\tIsr: 1\b", line
        )
    topics("--delete", "--topic", TOPIC)
    assert TOPIC not in topics("--list").splitlines()


def test_console_tools_and_their_group(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    at_broker = ("--bootstrap-server", broker.bootstrap_servers)
    create_topic(broker.bootstrap_servers, "console", PARTITION_COUNT)
    lines = [f"tram-{number % 7},{{'lat': 60.{number}}}" for number in range(50)]
    kafka_tools.run(
        "console-producer",
        *at_broker,
        *("--topic", "console"),
        *("--reader-property", "parse.key=true", "--reader-property", "key.separator=,"),
        stdin="\n".join(lines) + "\n",
    )
    printed = kafka_tools.run(
        "console-consumer",
        *at_broker,
        *("--topic", "console", "--from-beginning", "--group", "console-readers"),
        *("--property", "print.key=true", "--property", "key.separator=,"),
        *("--max-messages", str(len(lines))),
    ).stdout.splitlines()
    printed = [line for line in printed if not line.startswith("Option --property is deprecated")]
    # A key keeps its partition, and a partition its order; between partitions there is none.
    for tram in range(7):
        key = f"tram-{tram},"
        assert [line for line in printed if line.startswith(key)] == [
            line for line in lines if line.startswith(key)
        ]
    assert Counter(printed) == Counter(lines)

    listed = kafka_tools.run("consumer-groups", *at_broker, "--list").stdout
    assert "console-readers" in listed.splitlines()
    described = kafka_tools.run(
        "consumer-groups", *at_broker, "--describe", "--group", "console-readers"
    ).stdout
    rows = [line.split() for line in described.splitlines() if line.startswith("console-readers")]
    ends = end_offsets(broker.bootstrap_servers, "console", PARTITION_COUNT)
    # GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG
    assert {int(row[2]): (int(row[3]), int(row[4]), int(row[5])) for row in rows} == {
        partition: (end, end, 0) for partition, end in ends.items()
    }


def test_what_the_verifiable_producer_sends_the_verifiable_consumer_gets_once(
    broker: BrokerProcess, kafka_tools: KafkaTools
) -> None:
    at_broker = ("--bootstrap-server", broker.bootstrap_servers)
    count = ("--max-messages", str(RECORD_COUNT))
    create_topic(broker.bootstrap_servers, "verifiable", PARTITION_COUNT)
    produced = kafka_tools.run(
        "verifiable-producer", *at_broker, "--topic", "verifiable", *count
    ).stdout
    summary = json.loads(produced.splitlines()[-1])
    assert (summary["name"], summary["sent"], summary["acked"]) == (
        "tool_data",
        RECORD_COUNT,
        RECORD_COUNT,
    )
    consumed = kafka_tools.run(
        "verifiable-consumer",
        *at_broker,
        *("--topic", "verifiable", "--group-id", "verifiers", "--reset-policy", "earliest"),
        *count,
        "--verbose",
    ).stdout
    events = [json.loads(line) for line in consumed.splitlines()]
    records = [event for event in events if event["name"] == "record_data"]
    assert sorted(int(record["value"]) for record in records) == list(range(RECORD_COUNT))
    positions = {(record["partition"], record["offset"]) for record in records}
    assert len(positions) == RECORD_COUNT
    ends = end_offsets(broker.bootstrap_servers, "verifiable", PARTITION_COUNT)
    assert sum(ends.values()) == RECORD_COUNT
