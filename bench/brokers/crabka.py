"""Crabka, which cannot be had: why, as the results and the page tell it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.brokers.kind import Broker, Kind

REASON = (
    "all versions of crabka-broker with code in them were withdrawn by their authors (`cargo "
    "install --version 0.3.8` says that it has been yanked); the one left, 0.3.9, is empty and "
    "names a successor, Krabka, that is not published there and whose sources ask for Rust 1.97.1, "
    "for Bazel and for sibling repositories by git"
)


def _make(
    directory: Path, settings: Mapping[str, object], environment: Mapping[str, str]
) -> Broker:
    raise RuntimeError(REASON)


KIND = Kind(name="crabka", version="none", why_unavailable=lambda: REASON, make=_make)
