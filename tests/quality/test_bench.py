"""Every benchmark still runs, at a tiny size; its figures mean nothing here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TINY = {
    "bench/single_node.py": ["--rounds", "1", "--scale", "0.01"],
    "bench/lookups.py": ["--count", "200"],
    "bench/steps.py": ["--count", "20"],
}


@pytest.mark.parametrize("script", sorted(TINY))
def test_a_benchmark_runs(script: str, tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    done = subprocess.run(
        [sys.executable, script, *TINY[script], "--output", str(output)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text())["results"]
