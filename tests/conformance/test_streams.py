"""Kafka Streams with exactly_once_v2: killed and resumed, its counts are right.

Lines go in while the application, and now and then the broker, is killed. What it wrote for a word
must never go back, and ends at the number of times that the word went in.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import confluent_kafka
import pytest

from tests.conformance.judges.kafka import KafkaTools, program_command
from tests.conformance.support.batches import now_ms
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic, write_confluent
from tests.conformance.support.java_process import JavaProcess
from tests.conformance.support.workload import Sent
from tests.conftest import StartBroker

pytestmark = pytest.mark.jdk

PARTITION_COUNT = 2
WORDS = [f"word{number}" for number in range(50)]
WINDOW_MS = 10_000
MS_A_LINE = 25
PROGRESS_S = 90
OUTPUTS = ("counts", "window-counts")


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines, and the kills between them; every second kill takes the broker too."""

    line_count: int
    kill_count: int


class Counts:
    """Reads the application's output at read_committed, and sees to it that no count goes back."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "none",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 200,
                "log_level": 2,
            }
        )
        self._consumer.assign(
            [
                confluent_kafka.TopicPartition(topic, partition, 0)
                for topic in OUTPUTS
                for partition in range(PARTITION_COUNT)
            ]
        )
        self.found: dict[str, Counter[str]] = {topic: Counter() for topic in OUTPUTS}

    def read(self) -> None:
        for message in self._consumer.consume(1000, timeout=0.2):
            if message.error() is None:
                counts = self.found[message.topic()]
                word, count = message.key().decode(), int(message.value())
                assert count > counts[word], f"{word} went from {counts[word]} to {count}"
                counts[word] = count

    def total(self) -> int:
        return self.found["counts"].total()

    def is_past(self, total: int) -> bool:
        return self.total() >= total

    def close(self) -> None:
        self._consumer.close()


@pytest.fixture
def processes(kafka_tools: KafkaTools) -> Iterator[list[JavaProcess]]:
    """Where a test puts its processes: they are killed at its end."""
    started: list[JavaProcess] = []
    yield started
    for process in started:
        process.kill()


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(
            Plan(line_count=3_000, kill_count=2), id="short", marks=pytest.mark.timeout(300)
        ),
        pytest.param(
            Plan(line_count=60_000, kill_count=10),
            id="full",
            marks=[pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1500)],
        ),
    ],
)
def test_a_killed_application_counts_each_word_once(
    start_broker: StartBroker,
    processes: list[JavaProcess],
    tmp_path: Path,
    plan: Plan,
    seed: int,
) -> None:
    broker = start_broker()
    for topic in ("lines", *OUTPUTS):
        create_topic(broker.bootstrap_servers, topic, PARTITION_COUNT)
    command = program_command("WordCounts")
    command += [broker.bootstrap_servers, "word-counts", str(tmp_path / "state")]
    process = JavaProcess(command, tmp_path / "application.log")
    processes.append(process.start())
    counts = Counts(broker.bootstrap_servers)
    try:
        _run(broker, process, counts, plan, _lines(seed, plan.line_count))
    finally:
        counts.close()
    process.stop()
    broker.stop()


def _run(
    broker: BrokerProcess, process: JavaProcess, counts: Counts, plan: Plan, lines: list[Sent]
) -> None:
    share = plan.line_count // (plan.kill_count + 1)
    for number in range(plan.kill_count):
        some = counts.total() + 1
        part = lines[number * share : (number + 1) * share]
        write_confluent(broker.bootstrap_servers, "lines", part, "none")
        _read_until(counts, process, partial(counts.is_past, some))
        print(f"kill {number + 1}: {counts.found['counts'].total()} words counted")
        process.kill()
        if number % 2:
            broker.kill()
            broker.start()
        process.start()
    write_confluent(broker.bootstrap_servers, "lines", lines[plan.kill_count * share :], "none")
    expected = _expected(lines)
    _read_until(counts, process, lambda: counts.found == expected)


def _read_until(counts: Counts, process: JavaProcess, is_done: Callable[[], bool]) -> None:
    """Reads on; fails if nothing was counted for a while, or the application ended."""
    seen, deadline = -1, 0.0
    while not is_done():
        if (total := counts.total()) != seen:
            seen, deadline = total, time.monotonic() + PROGRESS_S
        assert time.monotonic() < deadline, f"{seen} words counted\n{process.output()[-4000:]}"
        process.assert_alive()
        counts.read()


def _lines(seed: int, count: int) -> list[Sent]:
    choices = random.Random(seed)
    start_ms = now_ms() - count * MS_A_LINE
    return [
        Sent(
            number % PARTITION_COUNT,
            None,
            " ".join(choices.choices(WORDS, k=5)).encode(),
            (),
            start_ms + number * MS_A_LINE,
        )
        for number in range(count)
    ]


def _expected(lines: list[Sent]) -> dict[str, Counter[str]]:
    counts: Counter[str] = Counter()
    windows: Counter[str] = Counter()
    for line in lines:
        start = line.timestamp_ms // WINDOW_MS * WINDOW_MS
        for word in line.value.decode().split():
            counts[word] += 1
            windows[f"{word}@{start}"] += 1
    return {"counts": counts, "window-counts": windows}
