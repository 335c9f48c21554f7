"""kafka-go's tests of its root package: the low-level Conn, Client, Reader, Writer and groups.

They take for granted a broker with node id 1 at localhost:9092, also as a default port deep in the
client. The port is replaced by the broker's in a copy of the sources, everywhere alike.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.suites import go_tests
from tests.conformance.suites.cache import cached, missing_program
from tests.conformance.suites.outcome import Outcome, State, Suite
from tests.conformance.support.broker import BrokerProcess

VERSION = "v0.4.51"
TIMEOUT_S = 540
APART_TIMEOUT_S = 120
# As in kafka-go's own CI, whose newest broker is 3.7; its generic tests of connections ("nettest")
# are off there too.
ENVIRONMENT = {"KAFKA_VERSION": "3.7.0"}
WITHOUT_NETTEST = {**ENVIRONMENT, "KAFKA_SKIP_NETTEST": "1"}
SETTINGS = {"message.max.bytes": 200_000_000}
# Subtests that cannot pass and take others with them, whatever the broker: FINDINGS.md says why.
GROUP = "TestReaderConsumerGroup"
LEFT_OUT = (
    f"{GROUP}/verify_offset_committed",
    f"{GROUP}/verify_offset_committed_when_using_interval_committer",
    f"{GROUP}/consumer_group_commits_on_close",
    f"{GROUP}/consumer_group_rebalance",
)


def run(directory: Path, names: list[str]) -> list[Outcome]:
    with _served(BrokerProcess(directory), directory) as (binary, package):
        outcomes = go_tests.run_tests(
            binary,
            package,
            names,
            env=WITHOUT_NETTEST,
            log_file=directory / "tests.log",
            timeout_s=TIMEOUT_S,
            skip="|".join(f"^{name.replace('/', '$/^')}$" for name in LEFT_OUT),
        )
    return [*outcomes, *(Outcome(name, State.NOT_RUN) for name in LEFT_OUT)]


def run_apart(directory: Path, names: list[str], broker: BrokerProcess) -> list[Outcome]:
    with _served(broker, directory) as (binary, package):
        return go_tests.run_apart(
            binary,
            package,
            names,
            env=ENVIRONMENT,
            directory=directory,
            timeout_s=APART_TIMEOUT_S,
        )


@contextmanager
def _served(broker: BrokerProcess, directory: Path) -> Iterator[tuple[Path, Path]]:
    """The binary and the sources of the tests, made for this broker, while it runs."""
    sources = cached(f"kafka-go-{VERSION}", _make)
    broker.settings.update(SETTINGS)
    broker.advertised_host = "localhost"
    with broker:
        broker.restart()  # at the port that it was given first, which it can now advertise
        package = directory / "kafka-go"
        _copy_for_port(sources, package, broker.port)
        binary = directory / "kafka-go.test"
        go_tests.build_tests(package, binary)
        yield binary, package


def _make(directory: Path) -> None:
    go_tests.fetch_module(f"github.com/segmentio/kafka-go@{VERSION}", directory)


def _copy_for_port(sources: Path, package: Path, port: int) -> None:
    shutil.copytree(sources, package)
    for path in package.rglob("*.go"):
        text = path.read_text()
        if "9092" in text:
            path.write_text(re.sub(r"\b9092\b", str(port), text))


SUITE = Suite(
    name="kafka-go",
    version=VERSION,
    description="the root package, set up as in its own CI",
    why_unavailable=lambda: missing_program("go"),
    run=run,
    run_apart=run_apart,
    quick=False,
)
