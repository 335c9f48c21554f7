"""Eight consumers on six partitions: two stay idle, and `kstore consumer-groups` shows which."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import confluent_kafka
import pytest

from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.clients import create_topic, write_confluent
from tests.conformance.support.workload import Sent

TOPIC = "idle"
GROUP = "eight"
PARTITION_COUNT = 6
MEMBER_COUNT = 8
DEADLINE_S = 60


@pytest.fixture
def consumers(broker: BrokerProcess) -> Iterator[list[confluent_kafka.Consumer]]:
    """A group of eight whose members have all the partitions between them."""
    create_topic(broker.bootstrap_servers, TOPIC, PARTITION_COUNT)
    records = [
        Sent(partition, None, b"%d" % number, (), 1_750_000_000_000)
        for partition in range(PARTITION_COUNT)
        for number in range(10 * (partition + 1))
    ]
    write_confluent(broker.bootstrap_servers, TOPIC, records, "none")
    settings = {
        "bootstrap.servers": broker.bootstrap_servers,
        "group.id": GROUP,
        "enable.auto.commit": False,
    }
    members = [
        confluent_kafka.Consumer({**settings, "client.id": f"member-{number}"})
        for number in range(MEMBER_COUNT)
    ]
    try:
        # Before anyone has joined, offsets can be committed from outside.
        commits = [
            confluent_kafka.TopicPartition(TOPIC, partition, 2 * partition)
            for partition in range(PARTITION_COUNT)
        ]
        members[0].commit(offsets=commits, asynchronous=False)
        for member in members:
            member.subscribe([TOPIC])
        deadline = time.monotonic() + DEADLINE_S
        while sorted(len(member.assignment()) for member in members) != [0, 0, 1, 1, 1, 1, 1, 1]:
            assert time.monotonic() < deadline, [member.assignment() for member in members]
            for member in members:
                member.poll(0.02)
        yield members
    finally:
        # One after the other they would wait for each other's rebalances.
        with ThreadPoolExecutor(MEMBER_COUNT) as pool:
            list(pool.map(lambda member: member.close(), members))


def test_idle_members_and_lag_are_shown(
    broker: BrokerProcess, consumers: list[confluent_kafka.Consumer]
) -> None:
    at_broker = ("--bootstrap-server", broker.bootstrap_servers)
    printed = run_kstore("consumer-groups", *at_broker, "--describe", "--group", GROUP, "--json")
    rows = json.loads(printed)
    working = [row for row in rows if row["topic"] is not None]
    idle = [row for row in rows if row["topic"] is None]

    assert {
        row["partition"]: (row["topic"], row["current_offset"], row["log_end_offset"], row["lag"])
        for row in working
    } == {
        partition: (TOPIC, 2 * partition, 10 * (partition + 1), 8 * partition + 10)
        for partition in range(PARTITION_COUNT)
    }
    assert {row["group"] for row in rows} == {GROUP}
    assert [(row["partition"], row["lag"]) for row in idle] == [(None, None)] * 2
    assert len({row["consumer_id"] for row in rows}) == MEMBER_COUNT
    clients = Counter(row["client_id"] for row in rows)
    assert clients == {f"member-{number}": 1 for number in range(MEMBER_COUNT)}
    for row in idle:
        assert consumers[int(row["client_id"].removeprefix("member-"))].assignment() == []

    table = run_kstore("consumer-groups", *at_broker, "--describe", "--group", GROUP)
    for row in idle:
        assert row["consumer_id"] in table
