"""The project's own files, as the quality tests see them."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE_ROOTS = ("src", "server", "tests", "tools", "bench")
CODE_SUFFIXES = (".py", ".pyx", ".pxd", ".pyi")


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files that git tracks or would (not ignored); those of a release where there is no git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [name for name in listed.stdout.split("\0") if name]
    return tuple(path for name in names if (path := ROOT / name).is_file())


def code_files(*suffixes: str) -> list[Path]:
    """The code files with these suffixes, all four kinds by default."""
    wanted = suffixes or CODE_SUFFIXES
    return [
        path
        for path in tracked_files()
        if path.suffix in wanted and path.relative_to(ROOT).parts[0] in CODE_ROOTS
    ]


def name_of(path: Path) -> str:
    """The path below the project's root, as messages show it."""
    return path.relative_to(ROOT).as_posix()


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_name(path: Path, root: Path) -> str:
    """`src/kstore/log/log.py` below `src` is `kstore.log.log`; a package is its `__init__`."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)
