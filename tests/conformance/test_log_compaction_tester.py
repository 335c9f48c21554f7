"""Kafka's LogCompactionTester: what it reads back has the last value of each key that it wrote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.broker import BrokerProcess
from tests.conftest import StartBroker

pytestmark = pytest.mark.jdk

# The tool sets of a topic's configs only `cleanup.policy`: segments and cleaner are the broker's.
SETTINGS = {
    "log.segment.bytes": 1 << 20,
    "log.cleaner.backoff.ms": 100,
    "log.cleaner.min.cleanable.ratio": 0.01,
    "log.cleaner.dedupe.buffer.size": 4 << 20,
    "log.cleaner.delete.retention.ms": 500,
}


def verify(kafka_tools: KafkaTools, broker: BrokerProcess, directory: Path, *options: str) -> float:
    """How much smaller compaction made the topics, in percent. The tool fails on a difference."""
    told = kafka_tools.run(
        "log-compaction-tester",
        *("--bootstrap-server", broker.bootstrap_servers, "--sleep", "3", *options),
        java_options=[f"-Djava.io.tmpdir={directory}"],
        timeout_s=240,
    ).stdout
    assert "Data verification is completed" in told
    assert ", 0 mismatches." in told
    found = re.search(r"\((-?[\d.]+)% reduction\)", told)
    assert found is not None, told
    return float(found[1])


def test_the_last_value_of_each_key_is_kept(
    start_broker: StartBroker, kafka_tools: KafkaTools, tmp_path: Path
) -> None:
    broker = start_broker(SETTINGS)
    counts = ("--messages", "150000", "--duplicates", "20", "--percent-deletes", "10")
    assert verify(kafka_tools, broker, tmp_path, *counts) > 30


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_several_topics_of_each_codec(
    start_broker: StartBroker, kafka_tools: KafkaTools, tmp_path: Path, codec: str
) -> None:
    broker = start_broker(SETTINGS)
    counts = ("--topics", "3", "--messages", "500000", "--duplicates", "50")
    options = (*counts, "--percent-deletes", "20", "--compression-type", codec)
    assert verify(kafka_tools, broker, tmp_path, *options) > 30
