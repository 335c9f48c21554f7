"""Judges outcomes by the two lists: what must pass, and what cannot and why.

The names that must pass stand in `allowed/<suite>`, one a line; names are only ever added. What
cannot pass stands in the table of FINDINGS.md under `HEADING`, with what outside kstore it needs.
Together they are the tests of a suite that reach a broker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.suites.outcome import Outcome, State

ALLOWED = Path(__file__).parent / "allowed"
FINDINGS = Path(__file__).parents[1] / "FINDINGS.md"
HEADING = "## Tests of other people's suites that do not pass"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a test does not pass against kstore."""

    on_kafka: str
    """What Kafka does with it: one of `IN_WORDS`, or EITHER."""
    needs: str


IN_WORDS = {
    State.PASSED: "passes",
    State.FAILED: "fails",
    State.SKIPPED: "left out",
    State.NOT_RUN: "does not end",
}
EITHER = "passes or fails"
"""Of a test that measures times, by what else the machine does."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a run of one suite means."""

    outcomes: Sequence[Outcome]
    faults: Sequence[str]
    """Why the run as a whole has failed; empty if it has not."""
    news: Sequence[str]
    """What the lists do not say yet, and no failure: a test that passes now, a skip."""


def allowed_names(suite: str) -> list[str]:
    """The tests of a suite that must pass."""
    return (ALLOWED / suite).read_text().split()


def known_causes(suite: str, findings: str | None = None) -> dict[str, Cause]:
    """Test → why it does not pass, from FINDINGS.md (or from that text)."""
    text = FINDINGS.read_text() if findings is None else findings
    causes = {}
    for line in text.partition(HEADING)[2].partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and len(cells) == 4 and cells[0] == suite:
            causes[cells[1].strip("`")] = Cause(on_kafka=cells[2], needs=cells[3])
    return causes


def judge(
    outcomes: Sequence[Outcome],
    allowed: Sequence[str],
    causes: Mapping[str, Cause],
    *,
    unlisted_skips_fail: bool,
) -> Judgement:
    """Every test of `allowed` must have passed; every other must have a cause if it did not."""
    faults = []
    news = []
    must_pass = set(allowed)
    missing = must_pass - {outcome.name for outcome in outcomes}
    faults += [f"{name} must pass and was not heard of" for name in sorted(missing)]
    for outcome in outcomes:
        passed = outcome.state is State.PASSED
        what = f"{outcome.name} {outcome.state.value}"
        what += f": {outcome.reason}" if outcome.reason else ""
        if outcome.name in must_pass:
            if not passed:
                faults.append(f"{what}; it must pass")
        elif passed:
            news.append(f"{what} now: it belongs into the list of those that must")
        elif outcome.name not in causes:
            skipped = outcome.state is State.SKIPPED and not unlisted_skips_fail
            (news if skipped else faults).append(f"{what}; FINDINGS.md names no cause")
    return Judgement(outcomes, faults, news)


def judge_on_kafka(outcomes: Sequence[Outcome], causes: Mapping[str, Cause]) -> list[str]:
    """What FINDINGS.md says otherwise than these outcomes of its tests against Kafka."""
    return [
        f"{outcome.name} {IN_WORDS[outcome.state]} on Kafka; FINDINGS.md says that it "
        f"{causes[outcome.name].on_kafka}" + (f": {outcome.reason}" if outcome.reason else "")
        for outcome in outcomes
        if causes[outcome.name].on_kafka not in (IN_WORDS[outcome.state], EITHER)
    ]
