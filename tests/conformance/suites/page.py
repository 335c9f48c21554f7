"""Writes docs/conformance.md from a run of the suites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.conformance.suites.judgement import Cause
from tests.conformance.suites.outcome import Outcome, State, Suite

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"
HEAD = """\
# Other people's test suites against kstore

Written by `make conformance-full` from its run; not by hand. Each suite ran at the version named
here against a `kstore serve` of its own on one machine. Only tests that reach a broker count; a
subtest of a Go test has a line of its own if it did not pass. Nothing was rerun until it passed.
The names that must pass stand in `tests/conformance/suites/allowed/`. What did not pass ran against
Apache Kafka 4.3.1 too, each by itself: "on Kafka" says what became of it there.

To repeat it: `make conformance-full`, which also runs our own tests against both brokers. One suite
alone: `.venv/bin/python -m tests.conformance.suites librdkafka`; with `KSTORE_TEST_BROKER=kafka`
before it, those of its tests that do not pass, against Kafka. The suites need Go, npm and a C++
compiler, Kafka needs a JDK 17 and Maven; what they fetch is kept in `~/.cache/kstore`.
"""
NO_CAUSE = Cause(on_kafka="", needs="**no cause known**")


def page(runs: Sequence[tuple[Suite, Sequence[Outcome], Mapping[str, Cause]]]) -> str:
    """The page for these suites: their outcomes, and the causes of what did not pass."""
    lines = [HEAD, "| suite | version | what ran | passed | failed | left out |"]
    lines.append("|---|---|---|---|---|---|")
    for suite, outcomes, _ in runs:
        count = Counter(outcome.state for outcome in outcomes)
        left_out = count[State.SKIPPED] + count[State.NOT_RUN]
        lines.append(
            f"| {suite.name} | {suite.version} | {suite.description} "
            f"| {count[State.PASSED]} | {count[State.FAILED]} | {left_out} |"
        )
    for suite, outcomes, causes in runs:
        others = [outcome for outcome in outcomes if outcome.state is not State.PASSED]
        if others:
            lines += [
                "",
                f"## {suite.name}: not passed",
                "",
                "| test | | on Kafka | what it needs |",
            ]
            lines.append("|---|---|---|---|")
        for outcome in sorted(others, key=lambda outcome: outcome.name):
            cause = causes.get(outcome.name, NO_CAUSE)
            state = "failed" if outcome.state is State.FAILED else "left out"
            lines.append(f"| `{outcome.name}` | {state} | {cause.on_kafka} | {cause.needs} |")
    return "\n".join(lines) + "\n"
