"""A store in a directory of the test's own, closed at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import open_store


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data_dir: Path) -> Iterator[Store]:
    store = open_store(data_dir)
    yield store
    store.close()


@pytest.fixture
def files() -> FaultyFiles:
    return FaultyFiles()


@pytest.fixture
def runtime() -> ManualRuntime:
    return ManualRuntime()


@pytest.fixture
def waiting(data_dir: Path, files: FaultyFiles, runtime: ManualRuntime) -> Iterator[Store]:
    """A store whose workers, timers and disk do what the test says."""
    store = open_store(data_dir, files=files, runtime=runtime)
    yield store
    files.heal()
    store.close()
