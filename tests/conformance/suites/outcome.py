"""What one test of a suite came to, and a suite as the runner sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.conformance.support.broker import BrokerProcess


class State(Enum):
    """How a test ended. Not run: the process of the suite ended before it."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test's end, and what it said of itself if it did not pass."""

    name: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite: its name, its pinned version and what it judges, and how it runs.

    `run(directory, names)` runs those tests against a broker that it starts and ends itself, with
    everything that it writes under `directory`. `run_apart(directory, names, broker)` runs each
    test in a process of its own against that broker. Both raise RuntimeError when the suite itself
    cannot be had.
    """

    name: str
    version: str
    description: str
    why_unavailable: Callable[[], str | None]
    run: Callable[[Path, list[str]], list[Outcome]]
    run_apart: Callable[[Path, list[str], BrokerProcess], list[Outcome]]
    quick: bool = True
    """Whether it belongs to the part that fits 15 minutes."""
