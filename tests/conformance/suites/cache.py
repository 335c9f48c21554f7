"""The judges' cache: what was downloaded and built lies outside the checkout, by version."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PAUSES_S = (3, 10, 30)
DEADLINE_S = 900
"""Of a download or a build: it fails then, it does not hang."""


def cache_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kstore" / "judges"


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The directory `name` of the cache; `make` fills it first if it is not there yet.

    It is renamed into place when it is whole, so one that exists is complete.
    """
    directory = cache_directory() / name
    if directory.exists():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(directory.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            partial = directory.with_name(directory.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            make(partial)
            partial.rename(directory)
    return directory


def download(command: Sequence[str], directory: Path) -> str:
    """Runs a command that downloads, up to four times; returns its stdout."""
    for pause_s in PAUSES_S:
        try:
            return build(command, directory)
        except RuntimeError:
            time.sleep(pause_s)
    return build(command, directory)


def build(command: Sequence[str], directory: Path, env: Mapping[str, str] | None = None) -> str:
    """Runs a command at low priority that must succeed; returns its stdout."""
    try:
        done = subprocess.run(
            ["nice", "-n", "10", *command],
            cwd=directory,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(str(error)) from error
    if done.returncode != 0:
        said = (done.stdout[-2000:] + done.stderr[-2000:]).strip()
        raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{said}")
    return done.stdout


def missing_program(*programs: str) -> str | None:
    """Which of these programs is not on the PATH, in words; None if all are."""
    for program in programs:
        if shutil.which(program) is None:
            return f"no {program} on the PATH"
    return None
