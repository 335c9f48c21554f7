"""How runs of other people's suites are judged; the suites themselves run by `make conformance`."""

from __future__ import annotations

import json

import pytest

from tests.conformance.suites import franz_go, kafka_go, librdkafka
from tests.conformance.suites.go_tests import outcomes_of
from tests.conformance.suites.judgement import (
    EITHER,
    HEADING,
    IN_WORDS,
    Cause,
    allowed_names,
    judge,
    judge_on_kafka,
    known_causes,
)
from tests.conformance.suites.outcome import Outcome, State
from tests.conformance.suites.page import page

KNOWN = Cause("fails", "more brokers")
SUITES = [franz_go.SUITE, librdkafka.SUITE, kafka_go.SUITE]


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_a_test_stands_in_one_list(suite) -> None:
    allowed = allowed_names(suite.name)
    assert len(set(allowed)) == len(allowed)
    causes = known_causes(suite.name)
    assert not set(allowed) & set(causes)
    assert all(cause.needs for cause in causes.values())
    assert {cause.on_kafka for cause in causes.values()} <= {*IN_WORDS.values(), EITHER}


@pytest.mark.parametrize("state", [State.FAILED, State.SKIPPED, State.NOT_RUN])
def test_an_allowed_test_must_pass(state: State) -> None:
    judgement = judge([Outcome("A", state)], ["A"], {"A": KNOWN}, unlisted_skips_fail=False)
    assert judgement.faults == [f"A {state.value}; it must pass"]


def test_an_allowed_test_must_be_heard_of() -> None:
    judgement = judge([], ["A"], {}, unlisted_skips_fail=False)
    assert judgement.faults == ["A must pass and was not heard of"]


def test_a_failure_needs_a_cause() -> None:
    failed = Outcome("A", State.FAILED, "said why")
    judgement = judge([failed], [], {}, unlisted_skips_fail=False)
    assert judgement.faults == ["A failed: said why; FINDINGS.md names no cause"]
    assert not judge([failed], [], {"A": KNOWN}, unlisted_skips_fail=True).faults


@pytest.mark.parametrize("in_ci", [False, True])
def test_an_unlisted_skip_fails_in_ci_only(in_ci: bool) -> None:
    judgement = judge([Outcome("A", State.SKIPPED)], [], {}, unlisted_skips_fail=in_ci)
    assert bool(judgement.faults) is in_ci
    assert bool(judgement.news) is not in_ci


def test_what_passes_now_is_news() -> None:
    judgement = judge([Outcome("A", State.PASSED)], [], {"A": KNOWN}, unlisted_skips_fail=True)
    assert not judgement.faults
    assert len(judgement.news) == 1


def test_what_is_said_of_kafka_must_be_true() -> None:
    causes = {"A": Cause("fails", "x"), "B": Cause("passes", "y"), "C": Cause(EITHER, "z")}
    outcomes = [
        Outcome("A", State.FAILED),
        Outcome("B", State.FAILED, "why"),
        Outcome("C", State.FAILED),
    ]
    assert judge_on_kafka(outcomes, causes) == [
        "B fails on Kafka; FINDINGS.md says that it passes: why"
    ]


def test_causes_are_read_from_their_table_only() -> None:
    text = (
        f"| go | `B` | other | table |\n{HEADING}\n\n| go | `A/b c` | fails | SASL. |\n"
        "| c | `A` | passes | x |\n"
    )
    assert known_causes("go", text) == {"A/b c": Cause("fails", "SASL.")}


def test_outcomes_of_go_tests() -> None:
    """Subtests count when they did not pass; a test cut off by a panic did not run."""
    events = [
        {"Action": "run", "Test": "A"},
        {"Action": "output", "Test": "A/x", "Output": "    a_test.go:12: no such thing\n"},
        {"Action": "skip", "Test": "A/x"},
        {"Action": "pass", "Test": "A/y"},
        {"Action": "pass", "Test": "A"},
        {"Action": "run", "Test": "B"},
        {"Action": "fail"},
    ]
    lines = ["not JSON", *map(json.dumps, events)]
    assert outcomes_of(lines, ["A", "B"]) == [
        Outcome("B", State.NOT_RUN),
        Outcome("A/x", State.SKIPPED, "no such thing"),
        Outcome("A", State.PASSED),
    ]


def test_the_page_counts_and_names_causes() -> None:
    outcomes = [
        Outcome("A", State.PASSED),
        Outcome("B", State.FAILED),
        Outcome("C", State.NOT_RUN),
    ]
    written = page([(kafka_go.SUITE, outcomes, {"B": Cause("fails", "SASL.")})])
    assert "| 1 | 1 | 1 |" in written
    assert "| `B` | failed | fails | SASL. |" in written
    assert "| `C` | left out |  | **no cause known** |" in written
