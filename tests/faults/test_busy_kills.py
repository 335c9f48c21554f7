"""`kill -9` while compaction and retention are busy loses nothing that they were not to take."""

from __future__ import annotations

import pytest

from tests.conformance.support.broker import run_kstore
from tests.conftest import StartBroker
from tests.faults.busy_kills import SETTINGS, BusyKills


@pytest.mark.parametrize(
    "kill_count",
    [
        pytest.param(3, id="short", marks=pytest.mark.slow),
        pytest.param(25, id="full", marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    ],
)
def test_kills_of_a_busy_broker(start_broker: StartBroker, seed: int, kill_count: int) -> None:
    broker = start_broker(SETTINGS)
    BusyKills(broker, seed).run(kill_count)
    broker.stop()
    run_kstore("check", str(broker.data_dir))
