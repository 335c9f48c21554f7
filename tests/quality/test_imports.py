"""Imports run one way: each room imports only what stands before it in the house's order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quality.imports import RANKS, fault_of, imports_below, room_of
from tests.quality.tree import ROOT, module_name

SOURCE_ROOTS = (ROOT / "src", ROOT / "server")


@pytest.mark.parametrize("root", SOURCE_ROOTS, ids=lambda root: root.name)
def test_no_room_imports_what_stands_after_it(root: Path) -> None:
    found = list(imports_below(root))
    assert len(found) > 20
    assert [fault for one in found if (fault := fault_of(one))] == []


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {
        module_name(path, ROOT / "src")
        for path in (ROOT / "src" / "kstore").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms <= RANKS.keys()
    assert all(room_of(room) == room for room in rooms)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("kstore/log/a.py", "import kstore.broker"),
        ("kstore/log/a.py", "from kstore import broker"),
        ("kstore/log/a.py", "from kstore.wire.codec import decode_request"),
        ("kstore/log/a.py", "from ..metadata import tree"),
        ("kstore/wire/__init__.py", "from .. import log"),
        ("kstore/groups/a.py", "from kstore.transactions import coordinator"),
        ("kstore/log/a.py", "def read():\n    from kstore.broker import partition"),
        ("kstore/log/a.py", "if TYPE_CHECKING:\n    from kstore.broker import partition"),
        ("kstore/broker/a.py", 'module = import_module("kstore.cli.main")'),
        ("kstore/broker/a.py", "import socket"),
        ("kstore/wire/a.py", "from kio.schema import types"),
        ("kstore/_native/a.pyx", "from kstore.log.slices cimport Slice"),
        ("kstore/_native/a.pyx", "cimport kstore.wire.codec"),
        ("kstore/_native/a.pxd", "    from kstore.log import files"),
    ],
)
def test_a_wrong_import_is_caught(tmp_path: Path, file: str, line: str) -> None:
    """The canary: without it, a walk that sees nothing would pass too."""
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(f'"""A wrong import."""\n\nimport os\n\n{line}\n')
    faults = [fault for one in imports_below(tmp_path) if (fault := fault_of(one))]
    assert len(faults) == 1
    assert "may not import" in faults[0]
