"""The names that kstore gives its users: no more, no fewer, and each of them is there."""

from __future__ import annotations

import importlib

import pytest

import kstore
from tests.quality.tree import ROOT, code_files, module_name, parse

SOURCES = {
    module_name(path, root): path
    for root in (ROOT / "src", ROOT / "server")
    for path in code_files(".py")
    if path.is_relative_to(root) and path.name != "__main__.py"
}


def test_the_public_names_are_these() -> None:
    assert sorted(kstore.__all__) == [
        "Appended",
        "BinaryColumn",
        "Columns",
        "CorruptLogError",
        "ErrorCode",
        "KafkaError",
        "Log",
        "LogConfig",
        "Record",
        "Store",
        "StoreError",
        "open",
    ]
    assert set(kstore.__all__) <= set(dir(kstore))


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_what_a_module_exports_is_there(name: str) -> None:
    if "__all__" not in SOURCES[name].read_text(encoding="utf-8"):
        parse(SOURCES[name])
        return
    module = importlib.import_module(name)
    missing = [one for one in module.__all__ if not hasattr(module, one)]
    assert missing == []
    assert len(set(module.__all__)) == len(module.__all__)
