"""The version of kstore, as its installed package states it."""

from __future__ import annotations

from importlib import metadata

__all__ = ["version"]


def version() -> str:
    """The version, or `unknown` in a source tree that was never installed."""
    try:
        return metadata.version("kstore")
    except metadata.PackageNotFoundError:
        return "unknown"
