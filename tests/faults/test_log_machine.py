"""The state machine of `log_machine`, shortened and at full length; hypothesis prints its seed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.log_machine import LogMachine


def run(example_count: int, step_count: int) -> None:
    run_state_machine_as_test(
        LogMachine,
        settings=settings(
            max_examples=example_count,
            stateful_step_count=step_count,
            deadline=None,
            print_blob=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_short_life_of_a_log() -> None:
    run(4, 40)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_long_life_of_a_log() -> None:
    run(100, 200)
