"""A broker on a disk whose syncs take as long as one says: the environment to start it with.

    python bench/slow_sync.py 5 -- COMMAND ...      runs COMMAND, each sync 5 ms later

Compiles `slow_sync.c` once into the cache directory (needs a C compiler) and preloads it. It works
for every program that syncs through libc: Python, the JVM, librdkafka; not for a static binary.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("slow_sync.c")


def library(cache: Path | None = None) -> Path:
    """The compiled library, made anew when its source has changed. Raises CalledProcessError."""
    source = SOURCE.read_bytes()
    if cache is None:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = Path(base) / "kstore-bench"
    path = cache / f"slow_sync-{hashlib.sha256(source).hexdigest()[:16]}.so"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(f".{os.getpid()}")
        compiler = os.environ.get("CC", "cc")
        subprocess.run(
            [compiler, "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", made, SOURCE, "-ldl"],
            check=True,
        )
        made.rename(path)
    return path


def environment(delay_ms: float, cache: Path | None = None) -> dict[str, str]:
    """What to add to the environment of a broker; nothing for no delay."""
    if delay_ms <= 0:
        return {}
    return {"LD_PRELOAD": str(library(cache)), "SLOW_SYNC_US": str(round(delay_ms * 1000))}


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs a command, each sync of a file delayed.")
    parser.add_argument("delay_ms", type=float)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = [word for word in options.command if word != "--"]
    if not command:
        parser.error("no command")
    os.execvpe(command[0], command, {**os.environ, **environment(options.delay_ms)})


if __name__ == "__main__":
    main()
