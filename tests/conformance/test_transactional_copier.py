"""The copier of Kafka's own system tests: it aborts at random, and the copy is right."""

from __future__ import annotations

import pytest

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.batches import now_ms
from tests.conformance.support.clients import create_topic, write_confluent
from tests.conformance.support.topic_reading import (
    committed_offsets,
    read_to_end,
    wait_until_stable,
)
from tests.conformance.support.workload import Sent
from tests.conftest import StartBroker

pytestmark = pytest.mark.jdk

SOURCE, TARGET, GROUP = "original", "copy", "copiers"
RECORD_COUNT = 5_000
TRANSACTION_COUNT = 100


@pytest.mark.parametrize(
    "mode", [(), ("--group-mode", "--use-group-metadata")], ids=["assigned", "group"]
)
def test_the_copy_is_the_original(
    start_broker: StartBroker, kafka_tools: KafkaTools, mode: tuple[str, ...]
) -> None:
    broker = start_broker()
    bootstrap = broker.bootstrap_servers
    for topic in (SOURCE, TARGET):
        create_topic(bootstrap, topic, 1)
    records = [Sent(0, None, b"%d" % n, (), now_ms()) for n in range(RECORD_COUNT)]
    write_confluent(bootstrap, SOURCE, records, "none")
    kafka_tools.run(
        "transactional-message-copier",
        *("--broker-list", bootstrap, "--input-topic", SOURCE, "--input-partition", "0"),
        *("--output-topic", TARGET, "--consumer-group", GROUP, "--transactional-id", "copier"),
        *("--transaction-size", str(TRANSACTION_COUNT), "--enable-random-aborts", *mode),
    )
    wait_until_stable(bootstrap, TARGET, [0])
    committed = read_to_end(bootstrap, TARGET, [0], "read_committed")[0]
    everything = read_to_end(bootstrap, TARGET, [0], "read_uncommitted")[0]
    assert [value for _, value in committed] == [record.value for record in records]
    assert set(committed) < set(everything), "nothing was aborted"
    assert committed_offsets(bootstrap, GROUP, SOURCE, [0]) == [RECORD_COUNT]
    broker.stop()
