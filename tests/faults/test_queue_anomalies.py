"""What real clients are told under kills and pauses is free of the anomalies that Jepsen names."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.conformance.judges.kafka import KafkaProcess
from tests.conftest import StartBroker, broker_class
from tests.faults.broken_broker import BrokenBroker
from tests.faults.queue_run import QueueRun
from tests.support.queue_history import Ending, Kind, find_anomalies

pytestmark = pytest.mark.slow

FAULTS = ("kill_broker", "pause_broker", "kill_client", "pause_client")


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(1, id="short", marks=pytest.mark.timeout(300)),
        pytest.param(10, id="full", marks=[pytest.mark.long, pytest.mark.timeout(1500)]),
    ],
)
def test_no_anomaly_is_found(
    start_broker: StartBroker, tmp_path: Path, seed: int, rounds: int
) -> None:
    choices = random.Random(seed)
    settings: dict[str, object] = {"group.min.session.timeout.ms": 1000}
    if broker_class() is KafkaProcess:
        # A killed Kafka is let in again only after its session has expired.
        settings |= {"broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500}
    broker = start_broker(settings)
    run = QueueRun(broker, tmp_path, choices.randrange(1 << 31))
    faults = [name for _ in range(rounds) for name in choices.sample(FAULTS, len(FAULTS))]
    run.run(faults)
    print(run.summary())
    endings = [one.ending for one in run.history.transactions.values()]
    assert endings.count(Ending.COMMITTED) > 10
    assert endings.count(Ending.ABORTED) > 3
    anomalies = find_anomalies(run.history)
    assert not anomalies, "\n".join(map(str, anomalies[:20]))
    broker.stop()


@pytest.mark.timeout(300)
@pytest.mark.skipif(broker_class() is KafkaProcess, reason="it is kstore that is broken here")
@pytest.mark.parametrize(
    ("check", "faults", "expected"),
    [
        ("sequences", ["pause_broker"] * 2, Kind.DUPLICATE),
        ("aborted lists", [], Kind.ABORTED_READ),
    ],
)
def test_a_broker_without_a_check_is_caught(
    tmp_path: Path, seed: int, check: str, faults: list[str], expected: Kind
) -> None:
    with BrokenBroker(tmp_path / "broker", check) as broker:
        run = QueueRun(broker, tmp_path, seed)
        run.run(faults)
    assert expected in {one.kind for one in find_anomalies(run.history)}
