"""Bytes flipped, cut and repeated in every kind of file; see `damage`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.damage import KINDS, Records, damage_some, whole_records


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Records]:
    return whole_records(tmp_path_factory.mktemp("whole") / "data")


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(tmp_path: Path, kind: str, seed: int, whole: dict[str, Records]) -> None:
    damage_some(tmp_path, kind, seed, 2, whole)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(
    tmp_path: Path, kind: str, seed: int, whole: dict[str, Records]
) -> None:
    damage_some(tmp_path, kind, seed, 150, whole)
