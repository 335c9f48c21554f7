"""Members of a group share its partitions, inherit those of the dead, and find their offsets."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic, write_confluent
from tests.conformance.support.workload import make_records
from tests.conftest import StartBroker

ROOT = Path(__file__).parents[2]
PARTITION_COUNT = 6
DEADLINE_S = 60


class Members:
    """Group members as processes, and the assignment that each reported last."""

    def __init__(self, bootstrap_servers: str, group: str, topic: str) -> None:
        self._arguments = (bootstrap_servers, group, topic)
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._readers: list[threading.Thread] = []
        self._reports: queue.Queue[tuple[str, list[int]]] = queue.Queue()
        self.assignments: dict[str, list[int]] = {}

    def start(self, client: str) -> None:
        command = [sys.executable, "-m", "tests.conformance.support.group_member", client]
        process = subprocess.Popen(
            [*command, *self._arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        self._processes[client] = process
        self.assignments[client] = []
        reader = threading.Thread(target=self._read, args=(client, process))
        reader.start()
        self._readers.append(reader)

    def _read(self, client: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._reports.put((client, json.loads(line)))

    def kill(self, client: str) -> None:
        process = self._processes.pop(client)
        process.kill()
        process.wait()
        del self.assignments[client]

    def await_shares(self, *shares: int) -> None:
        """Waits until the living members hold each partition once, in shares of these sizes."""
        deadline = time.monotonic() + DEADLINE_S
        while not self._hold(shares):
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"shares {shares} never came: {self.assignments}"
            try:
                client, assignment = self._reports.get(timeout=left_s)
            except queue.Empty:
                continue
            if client in self.assignments:
                self.assignments[client] = assignment

    def _hold(self, shares: tuple[int, ...]) -> bool:
        held = sorted(part for assignment in self.assignments.values() for part in assignment)
        sizes = sorted(len(assignment) for assignment in self.assignments.values())
        return held == list(range(PARTITION_COUNT)) and sizes == sorted(shares)

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        for reader in self._readers:
            reader.join()


@pytest.fixture
def members(broker: BrokerProcess) -> Iterator[Members]:
    create_topic(broker.bootstrap_servers, "shared", PARTITION_COUNT)
    group = Members(broker.bootstrap_servers, "sharers", "shared")
    yield group
    group.close()


def test_partitions_of_a_killed_member_move_to_the_others(members: Members) -> None:
    """Three different clients are the members: they agree through the group protocol alone."""
    clients = ("confluent-kafka", "kafka-python", "aiokafka")
    for client in clients:
        members.start(client)
    members.await_shares(2, 2, 2)
    members.kill("confluent-kafka")
    members.await_shares(3, 3)


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_committed_offsets_are_honoured_after_a_restart(
    start_broker: StartBroker, way: str
) -> None:
    broker = start_broker()
    create_topic(broker.bootstrap_servers, "committed", 2)
    records = make_records(1, 1000, 2)
    write_confluent(broker.bootstrap_servers, "committed", records, "lz4")
    commits = [
        confluent_kafka.TopicPartition("committed", 0, 300, metadata="as far as ü"),
        confluent_kafka.TopicPartition("committed", 1, 17),
    ]
    with_group = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "readers"}
    consumer = confluent_kafka.Consumer(with_group)
    consumer.commit(offsets=commits, asynchronous=False)
    consumer.close()
    if way == "stop":
        broker.stop()
    else:
        broker.kill()
    broker.start()
    assert broker.bootstrap_servers == with_group["bootstrap.servers"]

    consumer = confluent_kafka.Consumer(
        {**with_group, "auto.offset.reset": "error", "enable.auto.commit": False}
    )
    try:
        consumer.subscribe(["committed"])
        firsts: dict[int, tuple[int, bytes]] = {}
        deadline = time.monotonic() + DEADLINE_S
        while len(firsts) < 2:
            assert time.monotonic() < deadline, f"only {firsts} arrived"
            for message in consumer.consume(100, timeout=1):
                assert message.error() is None, message.error()
                firsts.setdefault(message.partition(), (message.offset(), message.value()))
        asked = [confluent_kafka.TopicPartition("committed", partition) for partition in (0, 1)]
        found = consumer.committed(asked, timeout=30)
    finally:
        consumer.close()
    assert [(part.offset, part.metadata) for part in found] == [(300, "as far as ü"), (17, None)]
    sent = [[record.value for record in records if record.partition == part] for part in (0, 1)]
    assert firsts == {0: (300, sent[0][300]), 1: (17, sent[1][17])}
