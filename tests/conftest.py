"""Fixtures of all tests: brokers as real processes, and Kafka's tools.

A test that fails shows the end of the output of every broker that ran meanwhile.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest

from tests.conformance.judges import kafka
from tests.conformance.support.broker import BrokerProcess

StartBroker = Callable[..., BrokerProcess]

# Tests need not wait for members that will never come.
SETTINGS = {"group.initial.rebalance.delay.ms": 0}


def broker_class() -> type[BrokerProcess]:
    """kstore, unless `KSTORE_TEST_BROKER=kafka` puts Kafka in its place to judge the tests."""
    name = os.environ.get("KSTORE_TEST_BROKER", "kstore")
    return {"kstore": BrokerProcess, "kafka": kafka.KafkaProcess}[name]


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[StartBroker]:
    """Starts a broker of the test's own, with these settings; killed at the end if it runs."""
    brokers: list[BrokerProcess] = []

    def start(settings: Mapping[str, object] | None = None) -> BrokerProcess:
        broker = broker_class()(
            tmp_path / f"broker-{len(brokers)}", {**SETTINGS, **(settings or {})}
        )
        brokers.append(broker)
        return broker.start()

    yield start
    for broker in brokers:
        if broker.process is not None:
            broker.kill()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """One broker for the tests of a module, which neither stop it nor count on its being empty."""
    with broker_class()(tmp_path_factory.mktemp("broker"), SETTINGS) as process:
        yield process


@pytest.fixture
def kafka_tools() -> kafka.KafkaTools:
    """Kafka's tools; without a JDK the test is skipped, under CI it fails."""
    why = kafka.why_unavailable()
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)
    return kafka.KafkaTools()


@pytest.fixture
def seed() -> int:
    """A seed for the test's choices, printed; `KSTORE_TEST_SEED` repeats a run."""
    value = int(os.environ.get("KSTORE_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed: KSTORE_TEST_SEED={value}")
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for broker in BrokerProcess.running:
            report.sections.append((f"output of broker {broker.port}", broker.output()))
    return report
