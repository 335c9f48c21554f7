"""`kstore import`: what it says, what it refuses, and what it leaves behind."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from uuid import UUID

import pytest

from kstore.cli.main import main
from kstore.log.properties import format_uuid
from kstore.metadata.sqlite_tree import METADATA_FILE
from tests.support import kraft
from tests.support.kraft import NODE_ID, NodeDirectory, config, topic

A, B = UUID(int=0xA << 64), UUID(int=0xB << 64)


@pytest.fixture
def node(tmp_path: Path) -> NodeDirectory:
    """A node with a topic of two partitions, and a directory of nobody's."""
    node = NodeDirectory(tmp_path / "data")
    records = topic("a", A, [(NODE_ID,)] * 2)
    kraft.write_log(node.metadata, [*records, config(2, "a", "retention.ms", "-1")])
    node.partition("a-0", A)
    node.partition("a-1", A)
    node.partition("b-0", B)
    return node


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    status = main(["import", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_table_and_the_command_that_serves_it(
    node: NodeDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = call(capsys, node.path)
    assert (status, err) == (0, "")
    head, a, b, last = out.splitlines()
    assert head.split() == [
        *("TOPIC", "TOPIC-ID", "PARTITIONS", "SERVED", "SIZE", "READ-ONLY", "CONFIGS", "NOTE")
    ]
    size = sum(path.stat().st_size for path in node.path.glob("a-*/*.log"))
    assert a.split() == ["a", format_uuid(A), "2", "2", str(size), "False", "retention.ms:-1", "-"]
    assert b.split()[:4] == ["b", "-", "1", "0"]
    assert f"kstore serve --data-dir {node.path} --set node.id={NODE_ID} " in last
    assert (node.path / METADATA_FILE).exists()


def test_a_dry_run_changes_nothing(node: NodeDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(node.path.rglob("*"))
    status, out, err = call(capsys, "--dry-run", "--json", node.path)
    assert (status, err) == (0, "")
    assert json.loads(out)[0] == {
        "topic": "a",
        "topic_id": format_uuid(A),
        "partitions": 2,
        "served": 2,
        "size": sum(path.stat().st_size for path in node.path.glob("a-*/*.log")),
        "read_only": False,
        "configs": {"retention.ms": "-1"},
        "note": None,
    }
    assert sorted(path for path in node.path.rglob("*") if path.name != ".lock") == before


def test_missing_partitions_are_refused_unless_they_may_begin_empty(
    node: NodeDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    (node.path / "a-1").rename(node.path.parent / "a-1")
    status, _, err = call(capsys, node.path)
    assert status == 1
    assert err.splitlines()[-1].startswith("kstore: no directory of a-1; name all of")
    assert not (node.path / METADATA_FILE).exists()
    assert call(capsys, node.path, "--allow-missing")[0] == 0


def test_without_metadata_it_says_so(
    node: NodeDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    node.metadata.rename(node.path.parent / "elsewhere")
    status, out, err = call(capsys, node.path)
    assert status == 0
    assert err.startswith("kstore: warning: Kafka's metadata can't be read: there is no __cluster_")
    assert "read-only" in err
    assert [line.split()[5] for line in out.splitlines()[1:3]] == ["True", "True"]


@pytest.mark.parametrize("lock", [fcntl.flock, fcntl.lockf])
def test_a_directory_in_use_is_refused(
    node: NodeDirectory, capsys: pytest.CaptureFixture[str], lock
) -> None:
    with (node.path / ".lock").open("w") as file:
        lock(file, fcntl.LOCK_EX)
        status, out, err = call(capsys, node.path)
    assert (status, out) == (1, "")
    assert "is in use" in err
    assert err.count("\n") == 1


def test_a_directory_that_is_ours_is_refused(
    node: NodeDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, node.path)[0] == 0
    status, out, err = call(capsys, node.path)
    assert (status, out) == (1, "")
    assert err == f"kstore: {node.path} is kstore's already: there is a {METADATA_FILE} in it\n"


def test_a_directory_of_its_own_for_the_metadata(
    node: NodeDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = NodeDirectory(tmp_path / "own", B)
    node.metadata.rename(own.metadata)
    status, out, _ = call(capsys, node.path, "--metadata-dir", own.path)
    assert status == 0
    assert f"--set metadata.log.dir={own.path} " in out
    assert (own.path / METADATA_FILE).exists()
