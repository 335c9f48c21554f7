"""Every benchmark still runs, at a tiny size; its figures mean nothing here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import kafka_cleaner
from bench.compare import load
from bench.compare.results import read_all

ROOT = Path(__file__).parent.parent.parent
TINY = {
    "bench/engine.py": ["--scale", "0.01"],
    "bench/single_node.py": ["--rounds", "1", "--scale", "0.01"],
    "bench/lookups.py": ["--count", "200"],
    "bench/group_commit.py": ["--delays", "0", "--producers", "2", "--seconds", "0.2"],
    "bench/recovery.py": ["--gb", "0.01", "--partitions", "3", "--pairs", "1", "--without-kafka"],
    "bench/start_scale.py": ["--partitions", "20", "--rounds", "1"],
    "bench/segments.py": ["--rounds", "1", "--megabytes", "40"],
    "bench/steps.py": ["--count", "20"],
    "bench/compaction.py": [
        *("--gb", "0.003", "--keys", "5000", "--pairs", "1", "--cases", "none-100,zstd-1000"),
        "--without-kafka",
    ],
}


def run(*arguments: str) -> str:
    """What Python prints when it runs a benchmark, which must end well."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("script", sorted(TINY))
def test_a_benchmark_runs(script: str, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    run(script, *TINY[script], "--output", str(output))
    assert json.loads(output.read_text())["results"]


@pytest.mark.slow
@pytest.mark.parametrize("work", ["retention", "compaction"])
def test_the_load_beside_upkeep_runs(work: str, tmp_path: Path) -> None:
    if reason := load.why_unavailable():
        pytest.skip(reason)
    output = tmp_path / "result.json"
    run(
        *("bench/beside.py", "--quick", "--works", work, "--segments", "20"),
        *("--gb", "0.01", "--seconds", "0.2", "--directory", str(tmp_path / "data")),
        *("--output", str(output)),
    )
    found = json.loads(output.read_text())["results"][work]
    assert found["p99_ratio"] > 0
    assert found["busy_s"] > 0
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.jdk
def test_kafkas_cleaner_cleans_the_same(tmp_path: Path) -> None:
    """The script itself compares how many keys and bytes each side has kept."""
    if reason := kafka_cleaner.why_unavailable():
        pytest.skip(reason)
    output = tmp_path / "result.json"
    run(
        *("bench/compaction.py", "--gb", "0.01", "--keys", "20000"),
        *("--pairs", "1", "--cases", "none-100", "--directory", str(tmp_path / "data")),
        *("--output", str(output)),
    )
    found = json.loads(output.read_text())["results"]["none-100"]
    assert found["mb_per_s"]["kafka"][0] > 0
    assert found["map_bytes_per_key"] <= 27.5


def test_the_comparison_runs(tmp_path: Path) -> None:
    """kstore alone; the others need a JDK, and the load needs Go."""
    if reason := load.why_unavailable():
        pytest.skip(reason)
    cases = ["pipelined", "fetch-1", "end-to-end-1000", "start"]
    told = run(
        *("-m", "bench.compare", "--quick", "--brokers", "kstore,crabka"),
        *("--cases", ",".join(cases), "--scale", "0.01", "--warm-up", "0.01"),
        *("--output", str(tmp_path), "--directory", str(tmp_path / "data")),
    )
    results = read_all(tmp_path)
    assert set(results) == set(cases), told
    for case, result in results.items():
        assert result.rounds.get("kstore"), (case, result.left_out)
        assert "yanked" in result.left_out["crabka"]
    assert results["pipelined"].median("kstore", "processor_us_per_request") is not None
    assert results["fetch-1"].ratio("kstore", "gb_per_s", "sendfile") is not None
    assert results["end-to-end-1000"].median("kstore", "errors") == 0
    assert list((tmp_path / "data").iterdir()) == []


def test_the_load_counts_right() -> None:
    """Go's own tests of its histogram and batches."""
    if shutil.which("go") is None:
        pytest.skip("needs Go: no go on the PATH")
    done = subprocess.run(
        ["go", "test", "."], cwd=load.SOURCES, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
