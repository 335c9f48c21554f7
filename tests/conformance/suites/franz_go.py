"""franz-go's tests of its client `kgo`: produce, consume, groups, transactions and chains of them,
each record checked for being there once and in order."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.suites import go_tests
from tests.conformance.suites.cache import cached, missing_program
from tests.conformance.suites.outcome import Outcome, Suite
from tests.conformance.support.broker import BrokerProcess

VERSION = "v1.22.2"
RECORDS = 50_000
TIMEOUT_S = 540
APART_TIMEOUT_S = 120


def run(directory: Path, names: list[str]) -> list[Outcome]:
    package = cached(f"franz-go-{VERSION}", _make) / "pkg" / "kgo"
    with BrokerProcess(directory) as broker:
        return go_tests.run_tests(
            package / "kgo.test",
            package,
            names,
            env=_environment(broker),
            log_file=directory / "tests.log",
            timeout_s=TIMEOUT_S,
        )


def run_apart(directory: Path, names: list[str], broker: BrokerProcess) -> list[Outcome]:
    package = cached(f"franz-go-{VERSION}", _make) / "pkg" / "kgo"
    with broker:
        return go_tests.run_apart(
            package / "kgo.test",
            package,
            names,
            env=_environment(broker),
            directory=directory,
            timeout_s=APART_TIMEOUT_S,
            whole=True,
        )


def _environment(broker: BrokerProcess) -> dict[str, str]:
    return {
        "KGO_SEEDS": broker.bootstrap_servers,
        "KGO_TEST_RF": "1",
        "KGO_TEST_RECORDS": str(RECORDS),
        "KGO_LOG_LEVEL": "none",
    }


def _make(directory: Path) -> None:
    go_tests.fetch_module(f"github.com/twmb/franz-go@{VERSION}", directory)
    package = directory / "pkg" / "kgo"
    go_tests.build_tests(package, package / "kgo.test")


SUITE = Suite(
    name="franz-go",
    version=VERSION,
    description=f"`pkg/kgo`, KGO_TEST_RF=1, KGO_TEST_RECORDS={RECORDS}",
    why_unavailable=lambda: missing_program("go"),
    run=run,
    run_apart=run_apart,
)
