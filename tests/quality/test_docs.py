"""Links in the documents lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.quality.tree import ROOT, name_of, tracked_files

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors that a forge makes of a document's headings."""
    text = FENCE.sub("", document.read_text(encoding="utf-8"))
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text)
    }


def broken_links(document: Path) -> list[str]:
    """Relative links of a document to no file, or to no heading of it."""
    broken = []
    for link in LINK.findall(FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_every_relative_link_leads_somewhere() -> None:
    documents = [path for path in tracked_files() if path.suffix == ".md"]
    assert ROOT / "README.md" in documents
    assert {name_of(one): links for one in documents if (links := broken_links(one))} == {}


def test_a_broken_link_is_caught(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "# A title, here\n[x](a.md#a-title-here) [y](b.md) [z](#nowhere) [w](https://x.example/)\n"
    )
    assert broken_links(document) == ["b.md", "#nowhere"]
