"""`kstore profile`: what it says of a directory, also beside a broker; nothing is changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kstore.cli.main import main
from kstore.configs import LogConfig
from kstore.log.records import build_batch
from kstore.log.store import Store
from kstore.testing import BrokerThread

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000
COMPACT = LogConfig(cleanup_policy=frozenset({"compact"}))


def put(store: Store, topic: str, *keys: bytes, timestamp_ms: int = NOW_MS) -> None:
    log = store.logs[topic, 0]
    records = [(key, b"value" * 20) for key in keys]
    log.append_verbatim(
        build_batch(
            records, base_offset=log.log_end_offset, timestamp_ms=timestamp_ms, leader_epoch=0
        )
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A topic `keyed` with two sealed segments, and a topic `old` with one of long ago."""
    with Store.open(tmp_path / "data") as store:
        keyed, old = store.create("keyed", config=COMPACT), store.create("old")
        put(store, "keyed", b"a", b"b", b"a", b"c")
        keyed.roll()
        put(store, "keyed", b"a", b"d")
        keyed.roll()
        put(store, "keyed", b"a")
        put(store, "old", b"a", timestamp_ms=HOUR_MS)
        old.roll()
        put(store, "old", b"b", timestamp_ms=4_000_000_000_000)
    return tmp_path / "data"


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["profile", *words, "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


KEYED = ("--topic", "keyed", "--config", "cleanup.policy=compact")


def test_compaction_segment_by_segment(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(data)
    first, second, active = rows(capsys, "compact", str(data), *KEYED)
    assert (first["verdict"], first["records"], first["kept_records"]) == ("dirty", 4, 2)
    assert (second["verdict"], second["records"], second["kept_records"]) == ("dirty", 2, 2)
    assert (active["verdict"], active["reclaimed_bytes"]) == ("active", 0)
    assert 0 < first["reclaimed_bytes"] < first["bytes"]
    assert main(["profile", "compact", str(data), *KEYED]) == 0
    said = capsys.readouterr().out
    assert "PARTITION" in said
    assert f"{first['reclaimed_bytes']:,} of " in said
    assert "keyed-0: 100% is dirty, so the cleaner takes it; 4 keys" in said
    assert contents(data) == before


def test_a_map_that_is_too_small_is_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "compact", str(data), *KEYED, "--map-size", "1024"]) == 0
    assert "more passes" not in capsys.readouterr().out
    with Store.open(data, config=COMPACT) as store:
        put(store, "keyed", *(b"%d" % number for number in range(100)))
        store.logs["keyed", 0].roll()
    assert main(["profile", "compact", str(data), *KEYED, "--map-size", "1024"]) == 0
    assert "The map is full at offset " in capsys.readouterr().out


def test_retention_says_why(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(data)
    found = rows(capsys, "retention", str(data))
    assert [(one["partition"], one["verdict"]) for one in found] == [
        *[("keyed-0", "stays")] * 3,
        ("old-0", "time"),
        ("old-0", "stays"),
    ]
    words = ("--topic", "old", "--config", "retention.bytes=1", "--config", "retention.ms=-1")
    assert [one["verdict"] for one in rows(capsys, "retention", str(data), *words)] == [
        "size",
        "stays",
    ]
    assert contents(data) == before


def test_beside_a_broker_that_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    with BrokerThread(data) as broker:
        server = ["--bootstrap-server", broker.bootstrap_servers]
        configs = [
            "--config",
            "cleanup.policy=compact",
            "--config",
            "min.cleanable.dirty.ratio=0.9",
        ]
        assert main(["topics", *server, "--create", "--topic", "keyed", *configs]) == 0
        capsys.readouterr()
        before = contents(data)
        assert main(["profile", "compact", str(data), "--topic", "keyed"]) == 0
        assert "nothing can be compacted now" in capsys.readouterr().out
        assert [one["verdict"] for one in rows(capsys, "retention", str(data))] == ["stays"]
        assert contents(data) == before
        assert main(["topics", *server, "--delete", "--topic", "keyed"]) == 0


@pytest.mark.parametrize("kind", ["compact", "retention"])
def test_it_is_drawn(kind: str, data: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.svg"
    words = KEYED if kind == "compact" else ()
    assert main(["profile", kind, str(data), *words, "--plot", str(picture)]) == 0
    assert f"kstore profile {kind}" in picture.read_text()


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (["nothing"], 2, "nothing to profile called 'nothing'; there are: compact, retention"),
        (["retention", "nowhere"], 2, "nowhere is no directory"),
        (["compact", "DIR", "--topic", "no"], 1, "DIR: no partition of 'no' is here"),
        (["compact", "DIR", "--topic", "old"], 1, "the cleanup.policy of 'old' is not compact; "),
        (["retention", "DIR", "--config", "x=1"], 2, "--config x=1: want NAME=VALUE of a topic"),
        (["retention", "DIR", "--config", "retention.ms=x"], 2, "--config: Invalid value x "),
        (["retention", "DIR", "--plot", "a.txt"], 2, "--plot a.txt: want a name that ends in .png"),
    ],
)
def test_wrong_calls_are_one_line(
    words: list[str], status: int, error: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", *(word.replace("DIR", str(data)) for word in words)]) == status
    said = capsys.readouterr().err
    assert said.startswith(f"kstore: {error.replace('DIR', str(data))}")
    assert said.count("\n") == 1


def test_a_picture_needs_matplotlib(
    monkeypatch: pytest.MonkeyPatch, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["profile", "retention", str(data), "--plot", "a.png"]) == 1
    assert "needs matplotlib" in capsys.readouterr().err
