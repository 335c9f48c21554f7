"""Configs as `kstore configs` takes them: `k1=v1,k2=[v1,v2],k3=`, and names with commas."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kstore.cli.errors import CallError

__all__ = ["parse_added", "parse_deleted"]

# A comma or an equals sign that no closing bracket follows before the next opening one.
_OUTSIDE_BRACKETS = r"(?=[^\]]*(?:\[|$))"
_COMMA = re.compile("," + _OUTSIDE_BRACKETS)
_EQUALS = re.compile(r"\s*=\s*" + _OUTSIDE_BRACKETS)

_NAME = re.compile(r"[$a-zA-Z0-9._-]+")


def parse_added(text: str) -> dict[str, str]:
    """Configs from `k=v,k=[v,v]`. Raises `CallError`."""
    added = {}
    for pair in _COMMA.split(text):
        parts = _EQUALS.split(pair)
        if len(parts) != 2:
            raise CallError(f"--add-config {pair}: want NAME=VALUE or NAME=[VALUE,VALUE]")
        name, value = parts[0].strip(), parts[1].replace("[", "").replace("]", "").strip()
        if not _NAME.fullmatch(name):
            raise CallError(f"--add-config {pair}: '{name}' is no config's name")
        added[name] = value
    return added


def parse_deleted(words: Iterable[str]) -> list[str]:
    """Names of configs from words with commas."""
    names = [name.strip() for word in words for name in word.split(",")]
    if not all(names):
        raise CallError("--delete-config: want names with commas between them")
    return names
