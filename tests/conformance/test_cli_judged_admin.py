"""The commands for administrators say what Kafka's tools say of the same broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.judged import both, facts

pytestmark = pytest.mark.jdk


def create(broker: BrokerProcess, topic: str, partition_count: int) -> None:
    """A topic with three records in its first partition or another."""
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    shape = ("--topic", topic, "--partitions", str(partition_count))
    run_kstore("topics", *servers, "--create", *shape)
    run_kstore("console-producer", *servers, "--topic", topic, stdin="1\n2\n3\n")


def test_offsets_of_partitions(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    create(broker, "judged-ends", 12)
    create(broker, "judged-other", 2)
    for options in (
        ("--topic", "judged-.*"),
        ("--topic-partitions", "judged-ends:10-,judged-other:0,judged-ends:-2", "--time", "-2"),
        ("--topic", "judged-ends", "--partitions", "0,1,2,3,4,5", "--time", "1000"),
        ("--topic", "judged-.*", "--time", "earliest-local"),
    ):
        theirs, ours = both(broker, kafka_tools, "get-offsets", *options)
        assert ours == theirs, options


def test_what_a_broker_serves(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    theirs, ours = both(broker, kafka_tools, "broker-api-versions")
    assert ours == theirs


def test_features(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    theirs = facts(kafka_tools.run("features", *servers, "describe").stdout)
    ours = facts(run_kstore("features", *servers, "describe"))
    # A KRaft controller's epoch moves on by itself; a broker without one has none.
    assert [line[:-1] for line in ours] == [line[:-1] for line in theirs]
    assert all(line[-2] == "Epoch:" for line in ours)


def test_configs(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    create(broker, "judged-configs", 1)
    topic = ("--entity-type", "topics", "--entity-name", "judged-configs")
    changes = ("--add-config", "retention.ms=90000,cleanup.policy=[compact,delete]")
    changed = both(broker, kafka_tools, "configs", "--alter", *topic, *changes)
    assert changed[0] == changed[1] != ""
    reset = ("--alter", "--topic", "judged-configs", "--delete-config", "retention.ms")
    assert "Completed" in run_kstore("configs", *servers, *reset)
    for options in (
        ("--describe", *topic),
        ("--describe", *topic, "--all"),
        ("--describe", "--entity-type", "brokers", "--entity-name", "1", "--all"),
        ("--describe", "--entity-type", "brokers"),
    ):
        theirs, ours = both(broker, kafka_tools, "configs", *options)
        assert ours == theirs, options


def test_levels_of_loggers(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    if type(broker) is not BrokerProcess:
        pytest.skip("the loggers are those of kstore")
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    level = ("--alter", "--add-config", "kstore.listener=DEBUG")
    changed = both(
        broker,
        kafka_tools,
        "configs",
        "--entity-type",
        "broker-loggers",
        "--entity-name",
        "1",
        *level,
    )
    assert changed[0] == changed[1] != ""
    for options in (
        ("--describe", "--entity-type", "broker-loggers", "--entity-name", "1"),
        ("--describe", "--broker-logger", "1", "--all"),
    ):
        theirs, ours = both(broker, kafka_tools, "configs", *options)
        assert ours == theirs, options
        assert "kstore.listener=DEBUG" in ours
    kafka_tools.run(
        "configs", *servers, "--alter", "--broker-logger", "1", "--delete-config", "kstore.listener"
    )
    described = run_kstore("configs", *servers, "--describe", "--broker-logger", "1")
    assert "kstore.listener=INFO" in described


def test_configs_of_groups_and_client_metrics(
    broker: BrokerProcess, kafka_tools: KafkaTools
) -> None:
    create(broker, "judged-group", 1)
    servers = ("--bootstrap-server", broker.bootstrap_servers)
    run_kstore(
        "console-consumer",
        *servers,
        "--topic",
        "judged-group",
        "--from-beginning",
        "--max-messages",
        "3",
        "--group",
        "judged-group",
    )
    for options in (
        ("--entity-type", "groups"),
        ("--group", "judged-group"),
        ("--group", "judged-group", "--all"),
        ("--entity-type", "client-metrics"),
    ):
        theirs, ours = both(broker, kafka_tools, "configs", "--describe", *options)
        assert ours == theirs, options


def test_records_are_deleted(
    broker: BrokerProcess, kafka_tools: KafkaTools, tmp_path: Path
) -> None:
    create(broker, "judged-cut", 1)
    file = tmp_path / "offsets.json"
    cut = [{"topic": "judged-cut", "partition": 0, "offset": 2}]
    file.write_text(json.dumps({"version": 1, "partitions": cut}))
    theirs, ours = both(broker, kafka_tools, "delete-records", "--offset-json-file", str(file))
    assert ours == theirs
    assert "low_watermark: 2" in ours


def test_partitions_are_added(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    create(broker, "judged-grows", 1)
    alter = ("--alter", "--topic", "judged-grows", "--partitions")
    run_kstore("topics", "--bootstrap-server", broker.bootstrap_servers, *alter, "3")
    kafka_tools.run("topics", "--bootstrap-server", broker.bootstrap_servers, *alter, "4")
    theirs, ours = both(broker, kafka_tools, "get-offsets", "--topic", "judged-grows")
    assert ours == theirs
    assert len(ours.splitlines()) == 4


def test_log_directories(broker: BrokerProcess, kafka_tools: KafkaTools) -> None:
    create(broker, "judged-stored", 2)
    options = ("--describe", "--topic-list", "judged-stored", "--broker-list", "1")
    theirs, ours = both(broker, kafka_tools, "log-dirs", *options)
    assert documents(ours) == documents(theirs)


def documents(text: str) -> tuple[list[str], Any]:
    """The lines before the JSON document, and the document with its lists in one order."""
    *lines, last = text.splitlines()
    document = json.loads(last)
    for broker in document["brokers"]:
        broker["logDirs"].sort(key=lambda one: one["logDir"])
        for log_dir in broker["logDirs"]:
            log_dir["partitions"].sort(key=lambda one: one["partition"])
    return lines, document
