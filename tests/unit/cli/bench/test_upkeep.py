"""`kstore bench compaction` and `retention` at a tiny size: they count what they did."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kstore.cli.bench.keyed import KeyedRecords
from kstore.cli.bench.workloads import WORKLOADS, Load
from kstore.cli.main import main

FEW = {
    "compaction": ["--keys", "400", "--record-size", "100", "--segments", "3"],
    "retention": ["--segments", "5", "--fill-size", "20000", "--record-size", "100"],
}
COMMON = ("--duration", "0.02", "--beside-rate", "500")


def row_of(capsys: pytest.CaptureFixture[str], what: str, *words: str) -> dict[str, Any]:
    assert main(["bench", what, *FEW[what], *COMMON, *words, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert isinstance(row, dict)
    return row


@pytest.mark.parametrize("workload", [one.name for one in WORKLOADS["compaction"]])
def test_every_compaction_runs(
    workload: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = row_of(capsys, "compaction", "--workload", workload, "--data-dir", str(tmp_path))
    assert (row["workload"], row["passes"], row["keys"]) == (workload, 1, 400)
    assert (row["records"], row["kept_records"]) == (1600, 400)
    assert sum(row["segment_bytes"]["before"]) == row["log_bytes"]
    assert sum(row["segment_bytes"]["after"]) == row["kept_bytes"] < row["log_bytes"]
    assert row["read_bytes"] == 2 * row["log_bytes"]
    assert row["map_bytes_per_key"] < 30
    assert row["moments"][-1]["written_bytes"] == row["written_bytes"] > 0
    assert row["latency_ms"]["append_alone"]["p99"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_small_map_takes_passes(capsys: pytest.CaptureFixture[str]) -> None:
    row = row_of(capsys, "compaction", "--map-size", "3000")
    assert row["passes"] > 1
    assert row["written_bytes_per_kept_byte"] > 1


@pytest.mark.parametrize("workload", [one.name for one in WORKLOADS["retention"]])
def test_every_retention_runs(workload: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = row_of(capsys, "retention", "--workload", workload)
    assert row["segments"] == 5
    assert row["moments"][-1] == {
        "at_s": pytest.approx(row["elapsed_s"], rel=0.5), "taken": 5, "set_aside": 5, "removed": 5
    }  # fmt: skip
    assert len(row["segment_bytes"]["after"]) == 1


@pytest.mark.parametrize("what", ["compaction", "retention"])
def test_people_get_lines_and_a_picture(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "run.svg"
    assert main(["bench", what, *FEW[what], *COMMON, "--plot", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "MB/sec" in said
    assert f"kstore bench {what}" in picture.read_text()


def test_a_wrong_distribution_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "compaction", "--distribution", "normal"]) == 2
    said = capsys.readouterr().err
    assert said == "kstore: --distribution normal: want uniform or zipf\n"


@pytest.mark.parametrize("distribution", ["uniform", "zipf"])
def test_keys_come_as_often_as_they_should(distribution: str) -> None:
    load = Load(
        keys=1000,
        overwrite_ratio=0.9,
        distribution=distribution,
        tombstone_share=0.5,
        record_size=10,
    )
    records = KeyedRecords(load, seed=3)
    assert records.count == 10_000
    chunks = list(records.chunks(700))
    keys = [key for column, _ in chunks for key in (column[i] for i in range(len(column)))]
    values = [value for _, column in chunks for value in (column[i] for i in range(len(column)))]
    times = Counter(keys)
    assert len(keys) == 10_000
    assert len(times) == 1000
    assert {len(value) for value in values if value is not None} == {10}
    # The first record of a key has a value; of the others half have none.
    assert 4000 < values.count(None) < 5000
    ((_, most),) = times.most_common(1)
    assert (most > 500) == (distribution == "zipf")
    again = [column[0] for column, _ in KeyedRecords(load, seed=3).chunks(700)]
    assert again == [column[0] for column, _ in chunks]
