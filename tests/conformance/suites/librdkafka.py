"""librdkafka's own tests 0001 to 0069 and those of transactions that need a broker, at full length.

The npm package @confluentinc/kafka-javascript carries librdkafka's sources with its tests. Quick
mode (`-Q`) is not used: it passes many of these tests without doing anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.conformance.suites.cache import build, cached, download, missing_program
from tests.conformance.suites.outcome import Outcome, State, Suite
from tests.conformance.support.broker import BrokerProcess, kstore_command

VERSION = "2.15.1"
PACKAGE = "@confluentinc/kafka-javascript@1.10.1"
SHA256 = "ada7d703bb1d3237e2292bfabf438d663b6160c9f1ac2a2406b5dc4257c81b66"
FEATURES = ["--enable-ssl", "--disable-gssapi", "--disable-curl", "--disable-zstd"]
FEATURES += ["--disable-lz4-ext", "--disable-syslog"]
# The runner's scenarios, each of which runs the tests made for it, and the broker for each. The
# tests expect four partitions of a topic that comes by itself.
SCENARIOS: dict[str, dict[str, object]] = {
    "default": {"num.partitions": 4},
    "noautocreate": {"auto.create.topics.enable": "false"},
}
IN_PARALLEL = 3
TIMEOUT_S = 540
APART_TIMEOUT_S = 150
STATES = {"PASSED": State.PASSED, "FAILED": State.FAILED, "SKIPPED": State.SKIPPED}


def run(directory: Path, names: list[str]) -> list[Outcome]:
    sources = cached(f"librdkafka-{VERSION}-one", _make)
    found: dict[str, Outcome] = {}
    for scenario, settings in SCENARIOS.items():
        place = directory / scenario
        with BrokerProcess(place, settings) as broker:
            _run_tests(sources, place, broker, scenario, names)
        for outcome in _outcomes(place, names):
            # A scenario skips the tests of the others.
            if outcome.name not in found or outcome.state in (State.PASSED, State.FAILED):
                found[outcome.name] = outcome
    return list(found.values())


def run_apart(directory: Path, names: list[str], broker: BrokerProcess) -> list[Outcome]:
    """A test that librdkafka calls a known issue of its own is run for once."""
    sources = cached(f"librdkafka-{VERSION}-one", _make)
    broker.settings.update(SCENARIOS["default"])
    outcomes = []
    with broker:
        for name in names:
            for number, options in enumerate(([], ["-k"])):
                place = directory / f"{name}-{number}"
                _run_tests(sources, place, broker, "default", [name], options, APART_TIMEOUT_S)
                (outcome,) = _outcomes(place, [name])
                if outcome.state is not State.SKIPPED:
                    break
            outcomes.append(outcome)
    return outcomes


def _run_tests(
    sources: Path,
    directory: Path,
    broker: BrokerProcess,
    scenario: str,
    names: list[str],
    options: Sequence[str] = (),
    timeout_s: int = TIMEOUT_S,
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("interceptor_test", "plugin_test", "fixtures"):
        (directory / name).symlink_to(sources / "tests" / name)
    (directory / "test.conf").write_text(f"bootstrap.servers={broker.bootstrap_servers}\n")
    script = directory / "kafka" / "bin" / "kafka-topics.sh"
    script.parent.mkdir(parents=True)
    script.write_text(f'#!/bin/sh\nexec {shlex.join(kstore_command())} topics "$@"\n')
    script.chmod(0o755)
    environment = {
        **os.environ,
        "TESTS": ",".join(sorted({name.partition("_")[0] for name in names})),
        "TEST_KAFKA_VERSION": "4.0.0",
        "KAFKA_PATH": str(directory / "kafka"),
        "BROKERS": broker.bootstrap_servers,
        "LD_LIBRARY_PATH": f"{sources / 'src'}:{sources / 'src-cpp'}",
    }
    environment.pop("CI", None)  # it would turn off tests
    command = [str(sources / "tests" / "test-runner"), "-L", "-r", f"-p{IN_PARALLEL}"]
    command += ["-s", scenario, *options]
    with (directory / "tests.log").open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _outcomes(directory: Path, names: list[str]) -> list[Outcome]:
    """What the report says of these tests. Without one (the runner was ended) none has run."""
    results = {}
    for report in directory.glob("test_report_*.json"):
        results = json.loads(report.read_text(errors="replace"), strict=False)["tests"]
    outcomes = []
    for name in names:
        result = results.get(name, {})
        state = STATES.get(result.get("state", ""), State.NOT_RUN)
        said = " ".join(result.get("extra", "").split())
        outcomes.append(Outcome(name, state, said if state is not State.PASSED else ""))
    return outcomes


def _make(directory: Path) -> None:
    packed = directory / download(["npm", "pack", "--silent", PACKAGE], directory).strip()
    if hashlib.sha256(packed.read_bytes()).hexdigest() != SHA256:
        raise RuntimeError(f"{PACKAGE} is not the package whose hash is pinned here")
    inside = "package/deps/librdkafka/"
    with tarfile.open(packed) as archive:
        members = [member for member in archive if member.name.startswith(inside)]
        for member in members:
            member.name = member.name.removeprefix(inside)
        archive.extractall(directory, members, filter="data")
    packed.unlink()
    # Its topics ask for three replicas, and here is one broker.
    transactions = directory / "tests" / "0103-transactions.c"
    transactions.write_text(transactions.read_text().replace(", 3, 5000)", ", 1, 5000)"))
    build(["bash", "configure", *FEATURES], directory)
    build(["make", "-j2", "libs"], directory)
    build(["make", "-j2", "-C", "tests", "build"], directory)


SUITE = Suite(
    name="librdkafka",
    version=VERSION,
    description="tests 0001 to 0069 and those of transactions with `-L`, at full length",
    why_unavailable=lambda: missing_program("npm", "cc", "c++", "make"),
    run=run,
    run_apart=run_apart,
)
