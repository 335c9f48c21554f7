"""The benchmarks of the embedded engine run at a tiny size, and count what they did."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from kstore.cli.bench.workloads import WORKLOADS
from kstore.cli.main import main

EMBEDDED = ("append", "read", "lookup", "columns")
PARTS = {
    "append": ["append", "copy + CRC"],
    "read": ["slices", "records"],
    "lookup": ["find", "read"],
    "columns": ["columns", "records"],
}


def rows_of(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["bench", *words, "--json"]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


@pytest.mark.parametrize(
    ("what", "workload"), [(name, one.name) for name in EMBEDDED for one in WORKLOADS[name]]
)
def test_every_workload_runs(
    what: str, workload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--workload", workload, "--fill-size", "300000", "--data-dir", str(tmp_path)]
    if what != "append":
        few += ["--duration", "0.01", "--warmup", "0"]
    if what == "lookup":
        few += ["--segments", "3"]
    rows = rows_of(capsys, what, *few)
    assert [row["part"] for row in rows] == PARTS[what]
    for row in rows:
        assert (row["benchmark"], row["workload"]) == (what, workload)
        assert row["operations"] > 0
        assert row["busy_s"] > 0
        assert row["ns_per_operation"] * row["operations"] == pytest.approx(row["busy_s"] * 1e9)
        assert (row["records"] > 0) == (row["bytes"] > 0) == (what != "lookup")
    assert list(tmp_path.iterdir()) == []


def test_appends_are_those_that_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--fill-size", "100000", "--record-size", "1000", "--batch-size", "10000")
    appended, limit = rows_of(capsys, "append", *few)
    assert appended["records"] == appended["operations"] * 9
    assert appended["bytes"] >= 100_000
    assert limit["bytes"] == appended["bytes"]
    share = appended["bytes_per_s"] / limit["bytes_per_s"]
    assert appended["share_of_limit"] == pytest.approx(share)


def test_people_get_a_line_for_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "append", "--fill-size", "1000"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("append: 64 appends, ")
    assert first.endswith("% of copy + CRC.")
    assert second.startswith("copy + CRC: 64 batches copied and checked, ")


def test_what_cannot_be_done_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "nowhere"
    assert main(["bench", "append", "--data-dir", str(nowhere)]) == 1
    assert capsys.readouterr().err == f"kstore: --data-dir {nowhere}: no such directory\n"
    monkeypatch.setitem(sys.modules, "kstore.log.columns", None)
    assert main(["bench", "columns"]) == 1
    said = capsys.readouterr().err
    assert said == "kstore: columns need numpy: pip install 'kstore[columns]'\n"
