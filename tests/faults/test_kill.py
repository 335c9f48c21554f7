"""`kill -9` in the middle of a stream loses, doubles and moves nothing that was acknowledged."""

from __future__ import annotations

import pytest

from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conftest import StartBroker
from tests.faults.kill_stream import KillStream, Plan

# Small segments, so that kills also fall on rolls, and recovery has more than one to look at.
SETTINGS = {"log.segment.bytes": 1 << 20, "log.index.interval.bytes": 1024}


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(Plan(record_count=30_000, kill_count=3), id="short"),
        pytest.param(
            Plan(record_count=200_000, kill_count=20),
            id="full",
            marks=[pytest.mark.slow, pytest.mark.timeout(1800)],
        ),
    ],
)
def test_a_killed_broker_keeps_what_it_acknowledged(start_broker: StartBroker, plan: Plan) -> None:
    broker = start_broker(SETTINGS)
    KillStream(broker, plan).run()
    broker.stop()
    if type(broker) is BrokerProcess:
        run_kstore("check", str(broker.data_dir))
