"""Makes `kafka-node-<version>/` again, with Apache Kafka itself: `make_node.py JARS` (and a JDK).

JARS is the directory with the jars of org.apache.kafka:kafka_2.13 and what they depend on, of the
newest version that is imported (4.3.1), or of the oldest (3.7.2).

Two data directories (`a`, `b`) of one node that was closed cleanly, with all that `kstore import`
reads: Kafka's metadata in a snapshot and in the log behind it, several topics (compacted, grown,
deleted and made again), committed offsets of groups, transactions. `expected.json` beside them says
what Kafka's own clients were told of it.

Run it as a module, from the top of the checkout: `python -m tests.golden.make_node JARS`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import confluent_kafka
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from tests.conformance.support.readback import commit, committed_offsets, read_back
from tests.golden.make import CLUSTER_ID, SERVER, Java, accepts, free_port, wait_until

HERE = Path(__file__).parent
START_MS = 1_760_000_000_000
SETTINGS = """\
offsets.topic.num.partitions=3
metadata.log.max.record.bytes.between.snapshots=3000
group.initial.rebalance.delay.ms=0
"""
TOPICS = {"again": 2, "compacted": 2, "plain": 3}
GROUPS = {"readers": {0: (4, "so far"), 1: (1, ""), 2: (0, "none")}, "others": {0: (7, "")}}


class Writer:
    """Kafka's node, and what is done to it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})

    def create(self, name: str, partition_count: int, **configs: str) -> None:
        named = {key.replace("_", "."): value for key, value in configs.items()}
        self._admin.create_topics([NewTopic(name, partition_count, 1, config=named)])[name].result()
        wait_until(lambda: self._is_led(name, partition_count), f"leaders of {name}")

    def _is_led(self, name: str, count: int) -> bool:
        topic = self._admin.list_topics(timeout=30).topics.get(name)
        return (
            topic is not None
            and len(topic.partitions) == count
            and all(partition.leader >= 0 for partition in topic.partitions.values())
        )

    def delete(self, name: str) -> None:
        self._admin.delete_topics([name])[name].result()
        wait_until(lambda: name not in self._admin.list_topics(timeout=30).topics, "a deletion")

    def grow(self, name: str, count: int) -> None:
        self._admin.create_partitions([NewPartitions(name, count)])[name].result()
        wait_until(lambda: self._is_led(name, count), f"leaders of {name}")

    def configure(self, kind: ResourceType, name: str, **configs: str | None) -> None:
        """None: the config is removed."""
        entries = [
            ConfigEntry(
                key.replace("_", "."),
                value or "",
                incremental_operation=AlterConfigOpType.SET
                if value is not None
                else AlterConfigOpType.DELETE,
            )
            for key, value in configs.items()
        ]
        resource = ConfigResource(kind, name, incremental_configs=entries)
        for done in self._admin.incremental_alter_configs([resource]).values():
            done.result()

    def produce(self, topic: str, partition: int, numbers: range, **settings: Any) -> None:
        producer = self._producer(settings)
        for number in numbers:
            self._send(producer, topic, partition, number, f"{topic} {number} " * (number % 3 + 1))
        if producer.flush(30):
            sys.exit("records were not acknowledged")

    def transactions(self, topic: str) -> None:
        producer = self._producer({"transactional.id": "golden"})
        producer.init_transactions(30)
        for number in range(4):
            producer.begin_transaction()
            self._send(producer, topic, 0, 100 + number, f"in transaction {number}")
            producer.flush(30)
            if number % 2:
                producer.abort_transaction(30)
            else:
                producer.commit_transaction(30)

    def tombstones(self, topic: str) -> None:
        producer = self._producer({})
        self._send(producer, topic, 0, 3, None)
        producer.flush(30)

    def _producer(self, settings: dict[str, Any]) -> confluent_kafka.Producer:
        plain = {"bootstrap.servers": self.bootstrap_servers, "linger.ms": 5}
        return confluent_kafka.Producer({**plain, **settings})

    @staticmethod
    def _send(
        producer: confluent_kafka.Producer, topic: str, partition: int, number: int, value: Any
    ) -> None:
        producer.produce(
            topic,
            key=f"key {number % 5}",
            value=value,
            partition=partition,
            timestamp=START_MS + number * 1000,
            headers=[("number", str(number).encode()), ("none", None)][: number % 3],
        )

    def topic_ids(self) -> dict[str, str]:
        described = self._admin.describe_topics(confluent_kafka.TopicCollection([*TOPICS]))
        ids = {}
        for name, later in described.items():
            told = later.result().topic_id
            high, low = told.get_most_significant_bits(), told.get_least_significant_bits()
            mask = (1 << 64) - 1
            ids[name] = str(UUID(int=(high & mask) << 64 | low & mask))
        return ids


def write(java: Java, node: Writer) -> None:
    node.create("plain", 3, retention_ms="-1", segment_ms="100000000")
    node.create("gone", 1)
    node.create("again", 1, retention_ms="1000")
    node.create("compacted", 1, cleanup_policy="compact", min_cleanable_dirty_ratio="0.9")
    for partition, codec in enumerate(("gzip", "snappy", "zstd")):
        node.produce(
            "plain", partition, range(partition, 8, 1 + partition), **{"compression.type": codec}
        )
    node.produce("plain", 0, range(8, 10), **{"compression.type": "lz4"})
    node.produce("plain", 1, range(8, 10), **{"enable.idempotence": True})
    node.produce("compacted", 0, range(6))
    node.tombstones("compacted")
    node.produce("again", 0, range(2))
    node.transactions("plain")
    node.configure(ResourceType.BROKER, "1", log_cleaner_threads="2")
    for number in range(12):  # enough for a snapshot, and something behind it
        node.configure(ResourceType.TOPIC, "plain", max_message_bytes=str(500_000 + number))
        time.sleep(0.1)
    node.delete("gone")
    node.delete("again")
    node.create("again", 2, retention_ms="-1")
    node.produce("again", 1, range(3))
    node.grow("compacted", 2)
    node.configure(ResourceType.TOPIC, "plain", segment_ms=None)
    for group, offsets in GROUPS.items():
        commit(node.bootstrap_servers, group, "plain", offsets)
    at_node = ("--bootstrap-server", node.bootstrap_servers, "--alter")
    for change in (
        ("log.retention.ms=86400000", "--entity-type", "brokers", "--entity-default"),
        ("producer_byte_rate=1000000", "--entity-type", "clients", "--entity-name", "slow"),
    ):
        java.run("kafka.admin.ConfigCommand", *at_node, "--add-config", *change)


def expected(node: Writer) -> dict[str, Any]:
    records = {
        isolation: {
            partition: [
                [*one[:2], text(one.key), text(one.value), [[n, text(v)] for n, v in one.headers]]
                for one in seen
            ]
            for partition, seen in read_back(node.bootstrap_servers, TOPICS, isolation).items()
        }
        for isolation in ("read_uncommitted", "read_committed")
    }
    return {
        "cluster_id": CLUSTER_ID,
        "topic_ids": node.topic_ids(),
        "partitions": TOPICS,
        "committed": {
            group: committed_offsets(node.bootstrap_servers, group, "plain", 3) for group in GROUPS
        },
        **records,
    }


def text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()


def keep(sources: dict[str, Path], target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    for name, source in sources.items():
        ignored = shutil.ignore_patterns("*-delete", "*.deleted", ".lock", "bootstrap.checkpoint")
        shutil.copytree(source, target / name, ignore=ignored)


def check_snapshot(directory: Path) -> None:
    """There is one, with something behind it."""
    snapshots = sorted(directory.glob("__cluster_metadata-0/*.checkpoint"))
    if not snapshots or not int(snapshots[-1].name[:20]):
        sys.exit("Kafka has made no snapshot of its metadata")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jars", type=Path, help="directory with Kafka's jars")
    jars = parser.parse_args().jars.resolve()
    (clients,) = jars.glob("kafka-clients-*.jar")
    target = HERE / clients.stem.replace("clients", "node")
    java = Java(jars)
    with tempfile.TemporaryDirectory() as work:
        sources = {name: Path(work) / name for name in ("a", "b")}
        port = free_port()
        properties = Path(work) / "server.properties"
        directories = ",".join(map(str, sources.values()))
        server = SERVER.format(port=port, controller=free_port(), directory=directories)
        properties.write_text(
            server.replace("log.num.partitions=1", "log.num.partitions=2") + SETTINGS
        )
        java.run("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", properties)
        with java.running("kafka.Kafka", properties):
            is_up: Callable[[], bool] = lambda: accepts(port)  # noqa: E731
            wait_until(is_up, "Kafka's start")
            node = Writer(f"127.0.0.1:{port}")
            write(java, node)
            told = expected(node)
        if not (sources["a"] / ".kafka_cleanshutdown").exists():
            sys.exit("Kafka was not closed cleanly")
        check_snapshot(sources["a"])
        keep(sources, target)
    (target / "expected.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
