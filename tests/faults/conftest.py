"""What the tests of faults share: a disk that fails as they say."""

from __future__ import annotations

import pytest

from kstore.testing.faulty_files import FaultyFiles


@pytest.fixture
def files() -> FaultyFiles:
    return FaultyFiles()
