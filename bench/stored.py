"""How the figures of a benchmark are kept: with the command and the machine that made them."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

__all__ = ["store"]


def store(results: object, output: Path | None) -> None:
    """Prints `results` of the script that runs, and writes them to `output` if there is one."""
    stored = {
        "command": " ".join(["python", f"bench/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "results": results,
    }
    text = json.dumps(stored, indent=2) + "\n"
    if output is not None:
        output.write_text(text)
    print(text, end="")
