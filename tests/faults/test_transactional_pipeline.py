"""Exactly once: a pipeline moves numbers, is killed with its broker, and loses and doubles none."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.conformance.judges.kafka import KafkaProcess, KafkaTools
from tests.conftest import StartBroker, broker_class
from tests.faults.transactional_pipeline import PipelineRun, Plan

pytestmark = pytest.mark.slow

SHORT, FULL = (5_000, 3), (200_000, 30)


def settings() -> Mapping[str, object]:
    """A killed Kafka is let in again only after its session has expired."""
    if broker_class() is not KafkaProcess:
        return {}
    return {"broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500}


def move(start_broker: StartBroker, client: str, length: tuple[int, int], seed: int) -> None:
    records, kills = length
    plan = Plan(client, records, kills, transaction_count=50 if records < 10_000 else 100)
    broker = start_broker(settings())
    PipelineRun(broker, plan, seed).run()
    broker.stop()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("client", ["librdkafka", "aiokafka"])
def test_a_killed_pipeline_moves_each_record_once(
    start_broker: StartBroker, client: str, seed: int
) -> None:
    move(start_broker, client, SHORT, seed)


@pytest.mark.jdk
@pytest.mark.timeout(300)
def test_a_killed_pipeline_of_the_java_client_moves_each_record_once(
    start_broker: StartBroker, kafka_tools: KafkaTools, seed: int
) -> None:
    move(start_broker, "java", SHORT, seed)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("client", ["librdkafka", "aiokafka"])
def test_thirty_kills(start_broker: StartBroker, client: str, seed: int) -> None:
    move(start_broker, client, FULL, seed)


@pytest.mark.long
@pytest.mark.jdk
@pytest.mark.timeout(1800)
def test_thirty_kills_with_the_java_client(
    start_broker: StartBroker, kafka_tools: KafkaTools, seed: int
) -> None:
    move(start_broker, "java", FULL, seed)
