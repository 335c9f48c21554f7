"""Kafka Connect with exactly-once sources: killed and resumed, its topic is the file.

A file grows while the worker, and now and then the broker, is killed. A source connector carries
its lines to a topic, a sink connector carries them from there to another file. The sink is
at-least-once: it may repeat lines, but lose none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.conformance.judges.kafka import KafkaTools
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic
from tests.conformance.support.connect import Worker
from tests.conformance.support.topic_reading import read_to_end, wait_until_stable
from tests.conftest import StartBroker

pytestmark = pytest.mark.jdk

TOPIC = "file-lines"
PROGRESS_S = 120
POLL_S = 0.2
BATCH_COUNT = 20
"""Lines of a transaction of the source."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines, and the kills between them; every second kill takes the broker too."""

    line_count: int
    kill_count: int


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(
            Plan(line_count=3_000, kill_count=2), id="short", marks=pytest.mark.timeout(400)
        ),
        pytest.param(
            Plan(line_count=50_000, kill_count=8),
            id="full",
            marks=[pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1500)],
        ),
    ],
)
def test_a_killed_worker_carries_each_line_once(
    start_broker: StartBroker, kafka_tools: KafkaTools, tmp_path: Path, plan: Plan
) -> None:
    broker = start_broker()
    create_topic(broker.bootstrap_servers, TOPIC, 1)
    source, sink = tmp_path / "source.txt", tmp_path / "sink.txt"
    source.touch()
    lines = [f"line {number} {'.' * (number % 60)}" for number in range(plan.line_count)]
    with Worker(broker.bootstrap_servers, tmp_path / "worker") as worker:
        _put_connectors(worker, source, sink)
        _feed(broker, worker, plan, lines, source, sink)
        _wait_until(worker, sink, lambda: set(_lines_of(sink)) >= set(lines))
        worker.stop()
    wait_until_stable(broker.bootstrap_servers, TOPIC, [0])
    found = read_to_end(broker.bootstrap_servers, TOPIC, [0], "read_committed")[0]
    assert [value.decode() for _, value in found] == lines
    repeats = len(_lines_of(sink)) - len(lines)
    print(f"{len(lines)} lines, {repeats} of them twice in the sink's file")
    assert list(dict.fromkeys(_lines_of(sink))) == lines
    broker.stop()


def _put_connectors(worker: Worker, source: Path, sink: Path) -> None:
    file_connector = "org.apache.kafka.connect.file.FileStream"
    worker.put_connector(
        "source",
        connector_class=f"{file_connector}SourceConnector",
        tasks_max=1,
        file=source,
        topic=TOPIC,
        batch_size=BATCH_COUNT,
        exactly_once_support="required",
    )
    worker.put_connector(
        "sink",
        connector_class=f"{file_connector}SinkConnector",
        tasks_max=1,
        file=sink,
        topics=TOPIC,
    )


def _feed(
    broker: BrokerProcess, worker: Worker, plan: Plan, lines: list[str], source: Path, sink: Path
) -> None:
    """Lets the file grow; kills the worker when some lines of each part, not all, have come."""
    share = plan.line_count // (plan.kill_count + 1)
    for number in range(plan.kill_count):
        some = len(_lines_of(sink)) + 1
        _append(source, lines[number * share : (number + 1) * share])
        _wait_until(worker, sink, partial(_has_lines, sink, some))
        print(f"kill {number + 1}: {len(_lines_of(sink))} lines in the sink's file")
        worker.kill()
        if number % 2:
            broker.kill()
            broker.start()
        worker.start()
    _append(source, lines[plan.kill_count * share :])


def _append(file: Path, lines: list[str]) -> None:
    with file.open("a") as target:
        target.writelines(f"{line}\n" for line in lines)


def _lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _has_lines(file: Path, count: int) -> bool:
    return len(_lines_of(file)) >= count


def _wait_until(worker: Worker, sink: Path, is_done: Callable[[], bool]) -> None:
    """Fails if nothing moves for a while, or the worker ended."""
    seen, deadline = -1, 0.0
    while not is_done():
        if (now := len(_lines_of(sink))) != seen:
            seen, deadline = now, time.monotonic() + PROGRESS_S
        assert time.monotonic() < deadline, f"{seen} lines\n{worker.output()[-4000:]}"
        worker.assert_alive()
        time.sleep(POLL_S)
