"""Which module imports which, and whether it may: the house's rooms and their order.

An import is an `import`, a `from … import`, a `cimport` or an `import_module("…")` with a literal
name, anywhere in a file: at its top, inside a function, or for type checkers only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.quality.tree import module_name

# From left to right: a room may import those before its own group, and itself. Rooms of one group
# never import each other.
ORDER: tuple[tuple[str, ...], ...] = (
    ("kstore.errors",),
    ("kstore.runtime",),
    ("kstore.configs",),
    ("kstore._native",),
    ("kstore.log", "kstore.wire"),
    ("kstore",),  # the package itself: the embedded API
    ("kstore.metadata",),
    ("kstore.coordinator",),
    ("kstore.groups", "kstore.transactions", "kstore.security", "kstore.replication"),
    ("kstore.broker",),
    ("kstore_server",),
    ("kstore.cli", "kstore.testing"),
)
RANKS = {room: rank for rank, group in enumerate(ORDER) for room in group}

# What only some rooms, or single modules, may import from outside; an empty list: nobody.
DOORS: dict[str, tuple[str, ...]] = {
    "asyncio": ("kstore_server", "kstore.testing"),
    "uvloop": ("kstore_server",),
    "ssl": ("kstore_server",),
    "socket": ("kstore_server", "kstore.cli.wire_client", "kstore.cli.bench.load_connection"),
    "sqlite3": ("kstore.metadata",),
    "typer": ("kstore.cli",),
    "rich": ("kstore.cli",),
    "confluent_kafka": ("kstore.cli",),
    "numpy": ("kstore.log", "kstore.cli.bench.keyed"),
    "matplotlib": (
        "kstore.cli.plots",
        "kstore.cli.profile_plot",
        "kstore.cli.bench.plot",
        "kstore.cli.bench.latency_plot",
        "kstore.cli.bench.upkeep_plot",
    ),
    "pytest": ("kstore.testing",),
    "kio": (),
}

_CYTHON_IMPORT = re.compile(
    r"^\s*(?:from\s+([\w.]+)\s+c?import\b|c?import\s+([\w.]+(?:\s*,\s*[\w.]+)*))", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Import:
    """`importer` names `target`; both are modules, or a name inside one."""

    importer: str
    target: str
    line: int


def room_of(module: str) -> str | None:
    """The room that a module of ours lies in; None for other people's modules."""
    top, _, rest = module.partition(".")
    if top == "kstore_server":
        return top
    if top != "kstore":
        return None
    room = f"kstore.{rest.partition('.')[0]}"
    return room if room in RANKS else "kstore"


def fault_of(found: Import) -> str | None:
    """Why this import is wrong; None if it is right."""
    importer = room_of(found.importer)
    assert importer is not None
    target = room_of(found.target)
    where = f"{found.importer}, line {found.line}: {importer} may not import {found.target}"
    if target is None:
        owners = DOORS.get(found.target.partition(".")[0])
        allowed = owners is None or importer in owners or found.importer in owners
        return None if allowed else where
    if target == importer or RANKS[target] < RANKS[importer]:
        return None
    return where


def imports_below(root: Path) -> Iterator[Import]:
    """All imports of the `.py`, `.pyx` and `.pxd` files below a source root."""
    for path in sorted(root.rglob("*.p*")):
        if path.suffix == ".py":
            yield from _python_imports(path, root)
        elif path.suffix in (".pyx", ".pxd"):
            yield from _cython_imports(path, root)


def _python_imports(path: Path, root: Path) -> Iterator[Import]:
    importer = module_name(path, root)
    package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for target in _targets(node, package):
            yield Import(importer, target, getattr(node, "lineno", 0))


def _targets(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*parents, base] if base else parents)
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and node.args:
        called = ast.unparse(node.func).rpartition(".")[2]
        first = node.args[0]
        if called in ("import_module", "__import__") and isinstance(first, ast.Constant):
            return [str(first.value)]
    return []


def _cython_imports(path: Path, root: Path) -> Iterator[Import]:
    text = path.read_text(encoding="utf-8")
    for found in _CYTHON_IMPORT.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        for target in (found[1] or found[2]).split(","):
            yield Import(module_name(path, root), target.strip(), line)
