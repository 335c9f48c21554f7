"""Rooms that fit on a few screens: at most 600 lines a file and 100 a function.

The aim is 400 and 60. What must be longer is listed here with its reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.quality.tree import code_files, name_of, parse

FILE_LINES = 600
FUNCTION_LINES = 100
GENERATED = "src/kstore/wire/messages/"

# File, or file and function, and why it may be longer.
LONGER: dict[str, str] = {}

_CYTHON_FUNCTION = re.compile(
    r"^( *)(?:async )?c?p?def\b[^=(\n]*?(\w+) *\([^)]*\)[^:\n]*:\s*(?:#.*)?$", re.MULTILINE
)


def function_sizes(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a file and its lines, decorators and docstring included."""
    if path.suffix == ".py":
        for node in ast.walk(parse(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                assert node.end_lineno is not None
                first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
                yield node.name, node.end_lineno - first + 1
        return
    text = path.read_text(encoding="utf-8")
    for found in _CYTHON_FUNCTION.finditer(text):
        yield found[2], 1 + found[0].count("\n") + _body_size(text[found.end() :], len(found[1]))


def _body_size(rest: str, indent: int) -> int:
    """How many lines after a function's head belong to it: up to the next that is not deeper."""
    size = 0
    for number, line in enumerate(rest.split("\n")[1:], 1):
        if not line.strip():
            continue
        if len(line) - len(line.lstrip()) <= indent:
            break
        size = number
    return size


def test_no_file_is_too_long() -> None:
    long = {
        name: lines
        for path in code_files()
        if not (name := name_of(path)).startswith(GENERATED)
        and (lines := path.read_text(encoding="utf-8").count("\n")) > FILE_LINES
        and name not in LONGER
    }
    assert long == {}


def test_no_function_is_too_long() -> None:
    long = {
        where: lines
        for path in code_files(".py", ".pyx")
        if not name_of(path).startswith(GENERATED)
        for function, lines in function_sizes(path)
        if lines > FUNCTION_LINES and (where := f"{name_of(path)}:{function}") not in LONGER
    }
    assert long == {}


def test_what_is_listed_is_still_too_long() -> None:
    sizes = {name_of(path): path.read_text(encoding="utf-8").count("\n") for path in code_files()}
    for path in code_files(".py", ".pyx"):
        for function, lines in function_sizes(path):
            sizes[f"{name_of(path)}:{function}"] = lines
    limits = {name: FUNCTION_LINES if ":" in name else FILE_LINES for name in LONGER}
    assert [name for name, limit in limits.items() if sizes.get(name, 0) <= limit] == []
    assert all(reason for reason in LONGER.values())


def test_functions_are_measured(tmp_path: Path) -> None:
    """The canary: both languages, methods, and arguments over several lines."""
    body = "    x = 1\n\n    return x\n"
    python = tmp_path / "a.py"
    python.write_text(f"@decorated\ndef f(\n    a,\n):\n{body}\n\ny = 2\n")
    assert dict(function_sizes(python)) == {"f": 7}
    cython = tmp_path / "a.pyx"
    cython.write_text(
        f"cdef int f(\n    int a,\n) except -1 nogil:\n{body}\n\ncdef class C:\n"
        f"    cpdef g(self):\n        return 1\n\n    def h(self):\n        return 2\n"
    )
    assert dict(function_sizes(cython)) == {"f": 6, "g": 2, "h": 2}
