"""Nodes of Apache Kafka (see make_node.py), of the oldest version and the newest, are imported and
served: all of it is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import confluent_kafka
import pytest
from confluent_kafka.admin import AdminClient

from kstore.log.check import check
from kstore.log.checkpoints import EPOCHS, parse_epochs
from kstore.log.files import Files
from kstore.metadata.importing.directories import locked_node
from kstore.metadata.importing.plan import ImportPlan, plan_import
from kstore.metadata.importing.writing import write_import
from kstore.testing import BrokerThread
from tests.conformance.support.readback import Seen, committed_offsets, read_back

HERE = Path(__file__).parent
VERSIONS = ("3.7.2", "4.3.1")
# Nothing is to be older than Kafka's retention when it is looked at.
SETTINGS = {"log.retention.ms": "-1"}


class Node:
    """A copy of a node's directories, and what Kafka's clients were told of it."""

    def __init__(self, version: str, target: Path) -> None:
        self.version = version
        source = HERE / f"kafka-node-{version}"
        self.expected: dict[str, Any] = json.loads((source / "expected.json").read_text())
        self.directories = [Path(shutil.copytree(source / name, target / name)) for name in "ab"]


@pytest.fixture(params=VERSIONS)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Node:
    return Node(request.param, tmp_path)


def imported(*directories: Path) -> ImportPlan:
    with locked_node(directories, None, Files()) as node:
        plan = plan_import(node)
        write_import(plan, Files())
    return plan


def serve(*directories: Path) -> BrokerThread:
    settings = {**SETTINGS, "log.dirs": ",".join(map(str, directories))}
    return BrokerThread(directories[0], settings)


def plain(records: dict[str, list[Seen]]) -> dict[str, Any]:
    """As in the file of what is expected."""

    def text(data: bytes | None) -> str | None:
        return None if data is None else data.decode()

    return {
        partition: [
            [
                one.offset,
                list(one.timestamp),
                text(one.key),
                text(one.value),
                [[name, text(value)] for name, value in one.headers],
            ]
            for one in seen
        ]
        for partition, seen in records.items()
    }


def test_what_will_be_served(node: Node) -> None:
    plan = imported(*node.directories)
    assert plan.node.cluster_id == node.expected["cluster_id"]
    assert {row.topic: row.topic_id for row in plan.rows if row.topic[0] != "_"} == {
        name: UUID(topic_id) for name, topic_id in node.expected["topic_ids"].items()
    }
    counts = {row.topic: (row.partitions, row.served) for row in plan.rows}
    assert counts == {
        **{name: (count, count) for name, count in node.expected["partitions"].items()},
        "__consumer_offsets": (3, 3),
        "__transaction_state": (2, 2),
    }
    configs = {row.topic: row.configs for row in plan.rows}
    assert configs["plain"] == {"max.message.bytes": "500011", "retention.ms": "-1"}
    assert configs["compacted"]["cleanup.policy"] == "compact"
    assert configs["__consumer_offsets"]["cleanup.policy"] == "compact"
    for_all = {"log.retention.ms": "86400000"}
    if node.version != "3.7.2":
        for_all["min.insync.replicas"] = "1"  # is set by whoever has eligible leader replicas
    assert plan.broker_configs == {"": for_all, "1": {"log.cleaner.threads": "2"}}
    assert plan.next_producer_id >= 1000
    assert plan.missing == ()
    assert plan.notes == ("not taken over: 1 records of the kind ClientQuotaRecord",)
    assert not any(row.note for row in plan.rows)
    spread = {len(directory.partitions) for directory in plan.node.directories}
    assert min(spread) > 2


def test_all_of_it_is_served_and_goes_on(node: Node) -> None:
    imported(*node.directories)
    with serve(*node.directories) as broker:
        check_records(broker, node)
        check_committed_offsets(broker, node)
        check_writing_goes_on(broker, node)
    assert [fault for path in node.directories for fault in check(path)] == []


def check_records(broker: BrokerThread, node: Node) -> None:
    for isolation in ("read_uncommitted", "read_committed"):
        found = read_back(broker.bootstrap_servers, node.expected["partitions"], isolation)
        assert plain(found) == node.expected[isolation]


def check_committed_offsets(broker: BrokerThread, node: Node) -> None:
    for group, offsets in node.expected["committed"].items():
        told = committed_offsets(broker.bootstrap_servers, group, "plain", 3)
        assert {str(partition): list(one) for partition, one in told.items()} == offsets


def check_writing_goes_on(broker: BrokerThread, node: Node) -> None:
    """New records get a higher leader epoch, new producers a higher id."""
    epochs = max(
        epoch
        for path in node.directories
        for file in path.glob(f"plain-1/{EPOCHS}")
        for epoch, _ in parse_epochs(file.read_bytes())
    )
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True}
    )
    producer.produce("plain", partition=1, value=b"new")
    assert producer.flush(30) == 0
    *old, new = read_back(broker.bootstrap_servers, {"plain": 3})["plain-1"]
    assert (new.offset, new.value) == (old[-1].offset + 1, b"new")
    assert new.leader_epoch is not None
    assert new.leader_epoch > epochs

    def producers(server: Any) -> set[int]:
        log = server.broker.partitions.get("plain", 1).log
        return {entry.producer_id for entry in log.producers.active()}

    assert max(broker.call(producers)) >= 1000


def test_one_that_was_killed_is_recovered(tmp_path: Path) -> None:
    node = Node(VERSIONS[-1], tmp_path)
    for path in node.directories:
        (path / ".kafka_cleanshutdown").unlink()
    plan = imported(*node.directories)
    assert sum("was not closed cleanly" in note for note in plan.notes) == 2
    with serve(*node.directories) as broker:
        check_records(broker, node)


def test_without_metadata_it_is_read_only(tmp_path: Path) -> None:
    directory = Path(shutil.copytree(HERE / "kafka-4.3.1", tmp_path / "data"))
    imported(directory)
    with serve(directory) as broker:
        seen = read_back(broker.bootstrap_servers, {"codecs": 1})["codecs-0"]
        assert len(seen) == 60
        errors: list[Any] = []
        producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap_servers})
        producer.produce("codecs", b"x", on_delivery=lambda error, _: errors.append(error))
        producer.flush(30)
        assert [error.code() for error in errors] == [confluent_kafka.KafkaError.POLICY_VIOLATION]
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        below = confluent_kafka.TopicPartition("codecs", 0, 10)
        for later in (
            *admin.delete_topics(["codecs"]).values(),
            *admin.delete_records([below]).values(),
        ):
            with pytest.raises(confluent_kafka.KafkaException, match=r"POLICY_VIOLATION|read-only"):
                later.result(30)
        broker.call(lambda server: server.broker.retention.run())
        assert len(read_back(broker.bootstrap_servers, {"rolled": 1})["rolled-0"]) == 60
    assert check(directory) == []
