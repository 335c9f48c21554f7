"""Metadata that a broker holds is read from a copy, and nothing of its files changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from kstore.cli.main import main
from kstore.errors import StoreError
from kstore.metadata.peek import peek
from kstore.metadata.sqlite_tree import METADATA_FILE
from kstore.testing import BrokerThread


def test_beside_its_broker(tmp_path: Path) -> None:
    assert peek(tmp_path) is None
    with BrokerThread(tmp_path) as broker:
        words = ["--bootstrap-server", broker.bootstrap_servers, "--create", "--topic", "here"]
        assert main(["topics", *words, "--config", "retention.ms=77"]) == 0
        found = peek(tmp_path)
        assert found is not None
        assert found.topics["here"].configs["retention.ms"] == "77"
        assert main(["topics", *words[:-1], "there"]) == 0
    again = peek(tmp_path)
    assert again is not None
    assert {"here", "there"} <= again.topics.keys()
    names = {path.name for path in tmp_path.iterdir() if path.name.startswith(METADATA_FILE)}
    assert names == {METADATA_FILE, f"{METADATA_FILE}-reserve"}


def test_what_is_no_metadata(tmp_path: Path) -> None:
    (tmp_path / METADATA_FILE).write_bytes(b"not a database, but text" * 100)
    with pytest.raises(StoreError, match=f"{METADATA_FILE} can't be read: "):
        peek(tmp_path)
