"""The program that makes the load (bench/load, in Go on franz-go), and what it measured.

It is built once into the judges' cache, by what its sources are.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.conformance.suites.cache import build, cache_directory, cached, missing_program

SOURCES = Path(__file__).resolve().parents[1] / "load"
DEADLINE_S = 300


def why_unavailable() -> str | None:
    """Why the load cannot be made on this machine; None if it can."""
    missing = missing_program("go")
    return None if missing is None or _directory().exists() else f"needs Go: {missing}"


def run(subcommand: str, address: str, **options: object) -> dict[str, Any]:
    """What the load printed. Raises RuntimeError with its own words if it failed."""
    try:
        done = subprocess.run(
            command(subcommand, address, **options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"load {subcommand} {options}: no end in {DEADLINE_S} s") from None
    if done.returncode != 0:
        raise RuntimeError(f"{options}: {done.stderr.strip()[-500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def command(subcommand: str, address: str, **options: object) -> list[str]:
    words = [str(program()), subcommand, "-address", address]
    for name, value in options.items():
        words += [f"-{name.replace('_', '-')}", str(value)]
    return words


def program() -> Path:
    return cached(_directory().name, _build) / "load"


def _directory() -> Path:
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return cache_directory() / f"load-{digest.hexdigest()[:16]}"


def _build(directory: Path) -> None:
    sources = directory / "sources"
    shutil.copytree(SOURCES, sources)
    build(
        ["go", "build", "-o", str(directory / "load"), "."], sources, {"GOFLAGS": "-mod=readonly"}
    )
