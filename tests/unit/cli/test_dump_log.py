"""`kstore dump-log` against what Kafka's DumpLogSegments said of the same files; damaged files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from kstore.cli.main import main

GOLDEN = Path(__file__).parents[2] / "golden"
DATA = GOLDEN / "kafka-4.3.1"
SEGMENT = "00000000000000000000.log"


@pytest.fixture
def codecs(tmp_path: Path) -> Path:
    """A copy of a partition of ten batches, to be damaged."""
    return Path(shutil.copytree(DATA / "codecs-0", tmp_path / "codecs-0"))


def rows(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[dict[str, Any]]:
    assert main(["dump-log", "--json", *map(str, words)]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_the_lines_are_kafkas(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = (GOLDEN / "dump.txt").read_text()
    monkeypatch.chdir(DATA)
    prefix = "Dumping "
    files = [line[len(prefix) :] for line in expected.splitlines() if line.startswith(prefix)]
    assert files
    assert main(["dump-log", "--deep-iteration", "--files", ",".join(files)]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == expected.splitlines()
    # Only compaction leaves gaps.
    assert all(line.startswith("kstore: warning: compacted-") for line in captured.err.splitlines())


def test_without_deep_iteration_there_are_batches_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump-log", str(DATA / "codecs-0" / SEGMENT)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Log starting offset: 0"
    assert len(lines) == 12
    assert all(line.startswith("baseOffset: ") for line in lines[2:])


def test_keys_and_values_are_printed_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    segment = str(DATA / "codecs-0" / SEGMENT)
    assert main(["dump-log", "--print-data-log", segment]) == 0
    line = capsys.readouterr().out.splitlines()[3]
    assert line.startswith("| offset: 0 CreateTime: ")
    assert line.endswith(" sequence: 0 headerKeys: [] key: key0 payload: none 0 ")
    assert main(["dump-log", "--print-data-log", "--skip-record-metadata", segment]) == 0
    assert capsys.readouterr().out.splitlines()[3] == "| key: key0 payload: none 0 "


def test_no_more_of_a_segment_is_read_than_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    segment = DATA / "codecs-0" / SEGMENT
    assert [row["position"] for row in rows(capsys, segment, "--max-bytes", "1084")] == [0, 476]
    assert len(rows(capsys, segment, "--max-bytes", "1083")) == 1


def test_json_has_a_row_for_everything(capsys: pytest.CaptureFixture[str]) -> None:
    segment = DATA / "codecs-0" / SEGMENT
    found = rows(capsys, segment, "--deep-iteration")
    assert [row["kind"] for row in found[:8]] == ["batch", *["record"] * 6, "batch"]
    assert {row["file"] for row in found} == {str(segment)}
    assert all("value" not in row for row in found)
    with_contents = rows(capsys, segment, "--print-data-log")
    first = with_contents[2]
    assert (first["key"], first["headers"]) == ("key1", [{"key": "header0", "value": "h1"}])


def test_the_small_files_of_a_data_directory_are_printed_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["meta.properties", "codecs-0/leader-epoch-checkpoint", "codecs-0/partition.metadata"]
    assert main(["dump-log", *(str(DATA / name) for name in names)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "cluster_id: " in lines[1]
    assert lines[3] == "epoch: 0 start_offset: 0"
    assert lines[5].startswith("topic_id: ")


def test_a_torn_tail_is_shown(codecs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segment = codecs / SEGMENT
    with segment.open("ab") as file:
        file.write(b"\x00" * 30)
    assert main(["dump-log", str(segment)]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == f"Found 30 invalid bytes at the end of {SEGMENT}"
    assert captured.err.startswith(f"kstore: warning: {segment} at position ")


def test_an_index_that_does_not_fit_its_segment_is_reported(
    codecs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = codecs / "00000000000000000000.index"
    data = bytearray(index.read_bytes())
    data[3] += 1
    index.write_bytes(data)
    for option in ([], ["--verify-index-only"]):
        assert main(["dump-log", *option, str(index)]) == 1
        captured = capsys.readouterr()
        assert captured.err.startswith(f"kstore: {index} at position 0: the entry says offset 12,")
        assert ("offset: 12 position: 476" in captured.out) is not bool(option)
    # A broker looks at less when it starts.
    assert main(["dump-log", "--index-sanity-check", str(index)]) == 0
    assert capsys.readouterr().out.endswith(f"{index} passed sanity check.\n")


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-3], "is no multiple of"),
        (lambda data: data[:-8] + b"\xff" * 8, "lies before the base offset"),
    ],
)
def test_an_index_that_is_not_sane_is_reported(
    suffix: str, damage: Any, reason: str, codecs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = (codecs / SEGMENT).with_suffix(suffix)
    index.write_bytes(damage(index.read_bytes()))
    assert main(["dump-log", "--index-sanity-check", str(index)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"kstore: {index}: ")
    assert reason in error


def test_an_index_without_its_segment_is_printed_and_not_verified(
    codecs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (codecs / SEGMENT).unlink()
    index = codecs / "00000000000000000000.index"
    assert main(["dump-log", str(index)]) == 0
    captured = capsys.readouterr()
    assert "offset: 11 position: 476" in captured.out
    assert captured.err == (
        f"kstore: warning: {index} is not verified: there is no {SEGMENT} beside it\n"
    )


def test_a_file_that_can_not_be_dumped_does_not_hide_the_others(
    codecs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = codecs / "00000000000000000009.log"
    unknown = [codecs / name for name in ("notes.txt", "server.log", "server.index")]
    for path in unknown:
        path.touch()
    good = codecs / "partition.metadata"
    assert main(["dump-log", *map(str, [absent, *unknown, codecs, good])]) == 1
    captured = capsys.readouterr()
    assert [line.startswith("kstore: ") for line in captured.err.splitlines()] == [True] * 5
    assert captured.out.splitlines()[-1].startswith("topic_id: ")


def test_no_file_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump-log"]) == 2
    assert capsys.readouterr().err == "kstore: want files to dump\n"
