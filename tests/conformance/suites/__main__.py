"""Runs the suites and judges them; status 1 if one is not as the lists say.

    python -m tests.conformance.suites [--quick] [--write-page] [SUITE...]

`--quick` leaves out what does not fit into 15 minutes with the other judges. `--write-page`
writes docs/conformance.md. A suite that cannot run on this machine is a failure with CI=true.

With KSTORE_TEST_BROKER=kafka the tests that do not pass here run against Apache Kafka instead, each
by itself, and what FINDINGS.md says of them there must be true.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.conformance.suites import franz_go, kafka_go, librdkafka
from tests.conformance.suites.judgement import (
    Judgement,
    allowed_names,
    judge,
    judge_on_kafka,
    known_causes,
)
from tests.conformance.suites.outcome import Outcome, Suite
from tests.conformance.suites.page import PAGE, page
from tests.conformance.support.broker import BrokerProcess
from tests.conftest import broker_class

SUITES = {suite.name: suite for suite in (franz_go.SUITE, librdkafka.SUITE, kafka_go.SUITE)}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.suites")
    parser.add_argument("suites", nargs="*", choices=[*SUITES, []], metavar="SUITE")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write-page", action="store_true")
    options = parser.parse_args()
    in_ci = os.environ.get("CI") == "true"
    chosen = [SUITES[name] for name in options.suites or SUITES]
    failed = False
    runs = []
    for suite in chosen:
        if options.quick and not suite.quick:
            continue
        why = suite.why_unavailable()
        if why:
            print(f"{suite.name}: skipped, {why}", flush=True)
            failed |= in_ci
            continue
        try:
            if broker_class() is not BrokerProcess:
                failed |= not _ask_kafka(suite)
                continue
            judgement = _run(suite, unlisted_skips_fail=in_ci)
        except RuntimeError as error:
            print(f"{suite.name}: could not be fetched or built: {error}", flush=True)
            failed = True
            continue
        failed |= bool(judgement.faults)
        runs.append((suite, judgement.outcomes, known_causes(suite.name)))
    if options.write_page and len(runs) == len(SUITES):
        PAGE.write_text(page(runs))
    return int(failed)


def _run(suite: Suite, *, unlisted_skips_fail: bool) -> Judgement:
    allowed = allowed_names(suite.name)
    causes = known_causes(suite.name)
    top_level = [name for name in causes if "/" not in name]
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix=f"kstore-{suite.name}-"))
    outcomes: list[Outcome] = suite.run(directory, [*allowed, *top_level])
    judgement = judge(outcomes, allowed, causes, unlisted_skips_fail=unlisted_skips_fail)
    states = Counter(outcome.state.value for outcome in outcomes)
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    print(f"{suite.name} {suite.version}: {counts} in {time.monotonic() - began:.0f} s", flush=True)
    for line in [*judgement.news, *judgement.faults]:
        print(f"  {line}", flush=True)
    if judgement.faults:
        print(f"  what it wrote is kept: {directory}", flush=True)
    else:
        shutil.rmtree(directory)
    return judgement


def _ask_kafka(suite: Suite) -> bool:
    """Whether Kafka does with the tests of FINDINGS.md what is said there."""
    causes = known_causes(suite.name)
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix=f"kafka-{suite.name}-"))
    outcomes = suite.run_apart(directory, list(causes), broker_class()(directory / "broker"))
    faults = judge_on_kafka(outcomes, causes)
    took_s = time.monotonic() - began
    print(f"{suite.name} on Kafka: {len(outcomes)} tests in {took_s:.0f} s", flush=True)
    for line in faults:
        print(f"  {line}", flush=True)
    if faults:
        print(f"  what it wrote is kept: {directory}", flush=True)
    else:
        shutil.rmtree(directory)
    return not faults


if __name__ == "__main__":
    sys.exit(main())
