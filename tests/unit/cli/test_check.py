"""`kstore check`: its status and its lines."""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path

import pytest

from kstore.cli.main import main

DATA = Path(__file__).parents[2] / "golden" / "kafka-4.3.1"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the data that Kafka wrote."""
    return Path(shutil.copytree(DATA, tmp_path / "data"))


def test_what_kafka_wrote_is_sound(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(directory)]) == 0
    assert capsys.readouterr().out == f"{directory}: no fault found\n"
    assert main(["check", "--json", str(directory)]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_fault_is_named_with_file_and_position(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = directory / "codecs-0" / "00000000000000000000.log"
    data = bytearray(segment.read_bytes())
    data[600] ^= 1
    segment.write_bytes(data)
    assert main(["check", str(directory)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{segment} at position 476: ")
    assert main(["check", "--json", str(directory)]) == 1
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["file"], first["position"]) == (str(segment), 476)
    assert first["reason"]


def test_a_directory_in_use_is_refused(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["check", str(directory)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"kstore: {directory} is in use")
    assert captured.err.count("\n") == 1


def test_what_is_no_directory_is_a_wrong_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path / "absent")]) == 2
    assert capsys.readouterr().err == f"kstore: {tmp_path / 'absent'} is no directory\n"


def test_a_directory_without_data_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"kstore: {tmp_path} holds no data")
