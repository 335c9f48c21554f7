"""Kafka's dump-log reads the files that a clean stop leaves, and finds no fault in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.clients import CODECS, create_topic, write_confluent
from tests.conformance.support.workload import make_records
from tests.conftest import StartBroker

pytestmark = pytest.mark.jdk

# Several segments, and an index entry for nearly every batch.
SETTINGS = {"log.segment.bytes": 1 << 20, "log.index.interval.bytes": 512}
RECORD_COUNT = 100_000


def dump(kafka_tools: KafkaTools, files: list[Path], *options: str) -> tuple[list[str], list[str]]:
    """What dump-log prints of `files`, and its complaints."""
    names = ",".join(str(file) for file in files)
    done = kafka_tools.run("dump-log", "--files", names, *options)
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_dump_log_finds_no_fault(
    start_broker: StartBroker, kafka_tools: KafkaTools, seed: int
) -> None:
    broker = start_broker(SETTINGS)
    create_topic(broker.bootstrap_servers, "dumped", 1)
    records = make_records(seed, RECORD_COUNT, 1)
    share = RECORD_COUNT // len(CODECS)
    for number, codec in enumerate(CODECS):
        part = records[number * share : (number + 1) * share]
        write_confluent(broker.bootstrap_servers, "dumped", part, codec, batch_count=100)
    broker.stop()

    directory = broker.partition_dir("dumped", 0)
    logs, indexes, time_indexes = (
        sorted(directory.glob(f"*.{suffix}")) for suffix in ("log", "index", "timeindex")
    )
    assert len(logs) == len(indexes) == len(time_indexes) >= 3
    assert sum(index.stat().st_size for index in indexes) >= 8 * 100

    lines, complaints = dump(kafka_tools, logs, "--deep-iteration")
    # It takes every file for the first of its log, and says so of those that are not.
    for file in logs[1:]:
        complaints.remove(f"Non-consecutive offsets in {file}")
        complaints.remove(f"  -1 is followed by {int(file.stem)}")
    assert complaints == []
    assert not [line for line in lines if line.startswith("Found")]
    assert all("isvalid: true" in line for line in lines if line.startswith("baseOffset:"))
    offsets = [int(found[1]) for line in lines if (found := re.match(r"\| offset: (\d+) ", line))]
    assert offsets == list(range(RECORD_COUNT))
    codecs = {found[1] for line in lines if (found := re.search(r"compresscodec: (\w+)", line))}
    assert codecs == set(CODECS)

    # Without options every entry of an index is looked up in its log.
    for file in indexes + time_indexes:
        assert file.stat().st_size > 0
    _, complaints = dump(kafka_tools, indexes + time_indexes)
    assert complaints == []
    checked, complaints = dump(kafka_tools, indexes + time_indexes, "--index-sanity-check")
    assert complaints == []
    passed = [line for line in checked if line.endswith("passed sanity check.")]
    assert len(passed) == len(indexes + time_indexes)
