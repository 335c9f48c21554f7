"""What the suites written in Go share: a module's sources, a test binary, and its outcomes.

Modules come through the Go module proxy, checked by Go's checksum database.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.conformance.suites.cache import build, download
from tests.conformance.suites.outcome import Outcome, State

# A module that asks for other versions than its go.mod says is built with those.
BUILD_ENVIRONMENT = {"GOFLAGS": "-mod=mod"}
STATES = {"pass": State.PASSED, "fail": State.FAILED, "skip": State.SKIPPED}
KILL_AFTER_S = 60
"""Beyond the time limit of its own, a test binary that does not end by itself."""
POSITION = re.compile(r"^\s*\S+_test\.go:\d+: ")


def fetch_module(module: str, directory: Path) -> None:
    """Copies the sources of `module` (path@version) into `directory`, writable."""
    said = download(["go", "mod", "download", "-json", module], directory)
    shutil.copytree(json.loads(said)["Dir"], directory, dirs_exist_ok=True)
    for path in [directory, *directory.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


def build_tests(package: Path, binary: Path) -> None:
    """Compiles the tests of the package in that directory."""
    build(["go", "test", "-c", "-o", str(binary), "."], package, BUILD_ENVIRONMENT)


def run_tests(
    binary: Path,
    package: Path,
    names: Iterable[str],
    *,
    env: Mapping[str, str],
    log_file: Path,
    timeout_s: int,
    skip: str = "",
) -> list[Outcome]:
    """Runs these top-level tests in one process; one outcome each.

    A subtest has an outcome of its own only if it did not pass. `skip` is a pattern of tests and
    subtests that are left out without a word.
    """
    wanted = list(names)
    options = ["-test.run", f"^({'|'.join(map(re.escape, wanted))})$"]
    options += ["-test.skip", skip] if skip else []
    return outcomes_of(_run(binary, package, options, env, log_file, timeout_s), wanted)


def run_apart(
    binary: Path,
    package: Path,
    names: Iterable[str],
    *,
    env: Mapping[str, str],
    directory: Path,
    timeout_s: int,
    whole: bool = False,
) -> list[Outcome]:
    """Runs each of these tests in a process of its own: one may end it.

    `whole`: a subtest can't do without the others of its test, and all run in one process.
    """
    outcomes = []
    read: dict[str, tuple[dict[str, State], dict[str, str]]] = {}
    for name in names:
        run = name.partition("/")[0] if whole else name
        if run not in read:
            log_file = directory / f"{run.replace('/', '-')}.log"
            pattern = "/".join(f"^{re.escape(part)}$" for part in run.split("/"))
            lines = _run(binary, package, ["-test.run", pattern], env, log_file, timeout_s)
            read[run] = _read_events(lines)
        states, said = read[run]
        outcomes.append(Outcome(name, states.get(name, State.NOT_RUN), said.get(name, "")))
    return outcomes


def _run(
    binary: Path,
    package: Path,
    options: Sequence[str],
    env: Mapping[str, str],
    log_file: Path,
    timeout_s: int,
) -> list[str]:
    """The lines that test2json prints of a run."""
    command = ["go", "tool", "test2json", str(binary), "-test.v=test2json"]
    command += ["-test.timeout", f"{timeout_s}s", *options]
    with log_file.open("w") as output, suppress(subprocess.TimeoutExpired):
        subprocess.run(
            command,
            cwd=package,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=timeout_s + KILL_AFTER_S,
        )
    return log_file.read_text(errors="replace").splitlines()


def outcomes_of(lines: Iterable[str], wanted: Iterable[str]) -> list[Outcome]:
    """The outcomes that test2json's lines tell; of `wanted`, those never heard of did not run."""
    states, said = _read_events(lines)
    top_level = [
        Outcome(name, states.get(name, State.NOT_RUN), said.get(name, "")) for name in wanted
    ]
    below = [
        Outcome(name, state, said.get(name, ""))
        for name, state in states.items()
        if "/" in name and state is not State.PASSED
    ]
    return [outcome for outcome in top_level + below if outcome.state is not State.PASSED] + [
        outcome for outcome in top_level if outcome.state is State.PASSED
    ]


def _read_events(lines: Iterable[str]) -> tuple[dict[str, State], dict[str, str]]:
    """How each test and subtest ended, and the last thing that it said."""
    states: dict[str, State] = {}
    said: dict[str, str] = {}
    for line in lines:
        if not line.startswith("{"):
            continue
        event = json.loads(line)
        name = event.get("Test", "")
        if event["Action"] in STATES and name:
            states[name] = STATES[event["Action"]]
        elif event["Action"] == "output" and POSITION.match(event["Output"]):
            said[name] = POSITION.sub("", event["Output"]).strip()
    return states, said
