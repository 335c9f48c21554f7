"""The state machine of `log_machine`: shortened, always the same; at full length, ever new ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.log_machine import LogMachine

SETTINGS = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


def test_a_short_life_of_a_log() -> None:
    chosen = settings(
        SETTINGS,
        max_examples=3,
        stateful_step_count=40,
        derandomize=True,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(LogMachine, settings=chosen)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_long_life_of_a_log() -> None:
    chosen = settings(SETTINGS, max_examples=100, stateful_step_count=150)
    run_state_machine_as_test(LogMachine, settings=chosen)
