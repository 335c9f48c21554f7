"""The commands for administrators: partitions, configs, records, directories, versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.commands import Command


@pytest.fixture
def kstore(broker: BrokerProcess) -> Command:
    return Command(broker.bootstrap_servers)


def create(kstore: Command, topic: str, partition_count: int = 1) -> None:
    """A topic, with ten records if it has one partition."""
    kstore.run("topics", "--create", "--topic", topic, "--partitions", str(partition_count))
    if partition_count == 1:
        lines = "".join(f"{number}\n" for number in range(10))
        kstore.run("console-producer", "--topic", topic, stdin=lines)


def test_partitions_are_added_to_a_topic(kstore: Command) -> None:
    create(kstore, "cli-grows")
    alter = ("--alter", "--topic", "cli-grows", "--partitions")
    assert kstore.run("topics", *alter, "4") == ""
    rows = kstore.rows("topics", "--describe", "--topic", "cli-grows")
    assert [row["partition"] for row in rows] == [0, 1, 2, 3]
    assert kstore.run("get-offsets", "--topic", "cli-grows") == "".join(
        f"cli-grows:{partition}:{10 if partition == 0 else 0}\n" for partition in range(4)
    )
    assert kstore.fail("topics", *alter, "3").count("\n") == 1
    gone = kstore.fail("topics", "--alter", "--topic", "cli-nothing", "--partitions", "2")
    assert gone == "kstore: topic 'cli-nothing' does not exist\n"
    if_exists = ("--alter", "--topic", "cli-nothing", "--partitions", "2", "--if-exists")
    assert kstore.run("topics", *if_exists) == ""


def test_configs_of_a_topic_are_set_and_reset(kstore: Command, tmp_path: Path) -> None:
    create(kstore, "cli-configs")
    topic = ("--entity-type", "topics", "--entity-name", "cli-configs")

    def own() -> dict[object, object]:
        rows = kstore.rows("configs", "--describe", *topic)
        return {row["name"]: row["value"] for row in rows}

    before = own()
    added = ("--add-config", "retention.ms=90000,cleanup.policy=[compact,delete]")
    text = kstore.run("configs", "--alter", *topic, *added)
    assert text == "Completed updating config for topic cli-configs.\n"
    assert own() == {**before, "retention.ms": "90000", "cleanup.policy": "compact,delete"}
    file = tmp_path / "topic.properties"
    file.write_text("segment.ms=70000\n")
    kstore.run("configs", "--alter", *topic, "--add-config-file", str(file))
    kstore.run("configs", "--alter", *topic, "--delete-config", "retention.ms,cleanup.policy")
    assert own() == {**before, "segment.ms": "70000"}
    everything = kstore.rows("configs", "--describe", "--topic", "cli-configs", "--all")
    assert len(everything) > 20
    refused = kstore.fail("configs", "--alter", *topic, "--add-config", "retention.ms=soon")
    assert refused.startswith("kstore: topic cli-configs: ")
    assert refused.count("\n") == 1
    missing = kstore.fail("configs", "--describe", "--topic", "cli-nothing")
    assert missing == "kstore: the topic 'cli-nothing' does not exist\n"


def test_configs_of_brokers(kstore: Command) -> None:
    default = ("--entity-type", "brokers", "--entity-default")
    text = kstore.run("configs", "--alter", *default, "--add-config", "log.roll.ms=23456789")
    assert text == "Completed updating default config for brokers in the cluster.\n"
    rows = kstore.rows("configs", "--describe", "--broker-defaults")
    assert ("log.roll.ms", "23456789") in [(row["name"], row["value"]) for row in rows]
    (row,) = [
        row
        for row in kstore.rows("configs", "--describe", "--broker", "1", "--all")
        if row["name"] == "log.roll.ms"
    ]
    assert (row["value"], row["source"]) == ("23456789", "DYNAMIC_DEFAULT_BROKER_CONFIG")
    kstore.run("configs", "--alter", *default, "--delete-config", "log.roll.ms")
    error = kstore.fail("configs", "--describe", "--broker", "77")
    assert error == "kstore: the broker '77' does not exist\n"


def test_records_are_deleted(kstore: Command, tmp_path: Path) -> None:
    create(kstore, "cli-cut")
    file = tmp_path / "offsets.json"
    file.write_text('{"partitions": [{"topic": "cli-cut", "partition": 0, "offset": 4}]}')
    rows = kstore.rows("delete-records", "--offset-json-file", str(file))
    assert rows == [{"topic": "cli-cut", "partition": 0, "low_watermark": 4, "error": None}]
    earliest = kstore.run("get-offsets", "--topic", "cli-cut", "--time", "earliest")
    assert earliest == "cli-cut:0:4\n"
    file.write_text('{"partitions": [{"topic": "cli-cut", "partition": 0, "offset": 400}]}')
    done = kstore.end("delete-records", "--offset-json-file", str(file))
    assert done.returncode == 1
    assert "partition: cli-cut-0\terror: " in done.stdout


def test_directories_hold_the_partitions(kstore: Command) -> None:
    create(kstore, "cli-stored")
    rows = kstore.rows("log-dirs", "--describe", "--topic-list", "cli-stored")
    (row,) = rows
    assert (row["broker"], row["partition"], row["error"]) == (1, "cli-stored-0", None)
    assert int(str(row["size"])) > 60
    *_, last = kstore.run("log-dirs", "--describe", "--broker-list", "1").splitlines()
    assert json.loads(last)["brokers"][0]["broker"] == 1
    error = kstore.fail("log-dirs", "--describe", "--broker-list", "1,77")
    assert error == "kstore: there is no broker 77; there are: 1\n"


def test_what_the_broker_serves(kstore: Command) -> None:
    apis = {row["name"]: row["max_version"] for row in kstore.rows("broker-api-versions")}
    assert apis["Fetch"] == 18
    features = {row["feature"]: row for row in kstore.rows("features", "describe")}
    assert "metadata.version" in features
    assert kstore.run("features", "describe", "--node-id", "1").startswith("Feature: ")
    assert kstore.fail("features", "describe", "--node-id", "77").startswith("kstore: there is no")
