"""The last step of what generates a page: write it, or with `--check` say whether it differs."""

from __future__ import annotations

import sys
from pathlib import Path


def finish(page: Path, made: str) -> int:
    """Writes `made`, or with `--check` writes nothing; gives the exit status."""
    if "--check" not in sys.argv[1:]:
        page.write_text(made)
        return 0
    if page.exists() and page.read_text() == made:
        return 0
    print(f"{page.name} is out of date; run {sys.argv[0]}")
    return 1
