"""Copies of a data directory that cost no room: sealed segments are the same files, under a second
name. Compaction and retention never write to them: they rename and remove names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["linked_copy"]

SEALED = (".log", ".index", ".timeindex")


def linked_copy(source: Path, target: Path) -> None:
    """Makes `target` as `source` is; but for sealed segments every file is copied."""
    for directory, _, names in os.walk(source):
        there = target / Path(directory).relative_to(source)
        there.mkdir(parents=True)
        active = max((name for name in names if name.endswith(".log")), default="")
        for name in names:
            old = Path(directory) / name
            is_sealed = name.endswith(SEALED) and old.stem != Path(active).stem
            (os.link if is_sealed else shutil.copy2)(old, there / name)
