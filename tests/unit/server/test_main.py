"""A broker that can't start says why, in one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore_server.main import ServeOptions, serve
from kstore_server.server import Server


@pytest.fixture(autouse=True)
def _root_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`serve` gives the root logger a handler and a level of its own."""
    root = logging.getLogger()
    level = root.level
    monkeypatch.setattr(root, "handlers", [])
    yield
    root.setLevel(level)


def refusal(
    config: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], **settings: str
) -> str:
    """What a broker with this server.properties says as it gives up."""
    config_file = tmp_path / "server.properties"
    config_file.write_bytes(config)
    options = ServeOptions(
        config_file, (str(tmp_path / "data"),), "127.0.0.1:0", None, settings, None
    )
    assert serve(options) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert not (tmp_path / "data").exists()
    return said.err


def test_a_value_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(b"num.partitions=many\n", tmp_path, capsys) == (
        "kstore: Invalid value many for configuration num.partitions: Not a number of type INT\n"
    )


def test_an_escape_that_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(b"num.partitions=\\u00", tmp_path, capsys) == (
        "kstore: Malformed \\uxxxx encoding in 'num.partitions=\\\\u00'\n"
    )


def test_a_file_that_is_not_utf_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Java reads it as ISO-8859-1."""
    assert refusal(b"# gr\xfc\xdfe\nnum.partitions=\xfc\n", tmp_path, capsys).startswith(
        "kstore: Invalid value ü for configuration num.partitions"
    )


def test_a_disk_that_fails_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where metadata meets a full disk."""

    async def start(_: Server) -> None:
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "The metadata can't be stored: disk full")

    monkeypatch.setattr(Server, "start", start)
    options = ServeOptions(None, (str(tmp_path / "data"),), "127.0.0.1:0", None, {}, None)
    assert serve(options) == 1
    assert capsys.readouterr().err == "kstore: The metadata can't be stored: disk full\n"
