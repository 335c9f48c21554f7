"""What every file says and does not say: docstrings, stubs, licence, no left-overs, no machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tests.quality.tree import ROOT, code_files, name_of, parse, tracked_files

TEXT_SUFFIXES = {
    *{".py", ".pyx", ".pxd", ".pyi", ".h", ".md", ".toml", ".txt", ".json", ".xml", ".cfg"},
    *{"", ".in"},
}
# The words are written so that this file does not find itself.
LEFT_OVER = re.compile(r"\b(?:T[O]DO|F[I]XME|X[X]X|H[A]CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.}$/-])/(?:tmp|work|root|home)/[\w.]")
CYTHON_DOCSTRING = re.compile(r"(?:\s*#.*\n)*\s*(?:\"\"\"|''')\S")


def opens_with_docstring(path: Path) -> bool:
    """Cython declarations have no docstrings of their own, so a comment may stand in a `.pxd`."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        node = parse(path)
        first = node.body[0].value.value if node.body and hasattr(node.body[0], "value") else None
        return isinstance(first, str) and bool(first.strip())
    if path.suffix == ".pxd" and text.lstrip().startswith("# "):
        return True
    return CYTHON_DOCSTRING.match(text) is not None


def test_every_module_opens_with_what_it_is_for() -> None:
    """Stubs excepted: what they are for stands in the module that they describe."""
    sources = code_files(".py", ".pyx", ".pxd")
    assert [name_of(path) for path in sources if not opens_with_docstring(path)] == []


def test_every_native_module_has_a_stub() -> None:
    native = ROOT / "src" / "kstore" / "_native"
    modules = {path.stem for path in native.glob("*.pyx")}
    assert modules
    assert {path.stem for path in native.glob("*.pyi")} == modules


def text_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix in TEXT_SUFFIXES]


def test_nothing_was_left_for_later() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if LEFT_OVER.search(line)
    ]
    assert found == []


def test_no_path_of_a_machine_is_written_down() -> None:
    found = [
        f"{name_of(path)}:{number}: {line.strip():.80}"
        for path in text_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert found == []


def test_the_canaries_are_caught() -> None:
    assert LEFT_OVER.search("# {}: later".format("todo".upper()))
    assert MACHINE_PATH.search("open('/{}/x')".format("tmp"))
    assert not MACHINE_PATH.search('f"{directory}/tmp/x" $HOME/work/x https://host/home/x')


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License\n                           Version 2.0, January 2004" in text
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
