"""The benchmarks of bench/micro, and of record batches, each called once at a tiny size."""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def test_the_comparisons_run(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "bench/compare_records.py"),
            *("--benchmark-min-rounds=1", "--benchmark-max-time=0.001", "--benchmark-warmup=off"),
            f"--benchmark-json={output}",
        ],
        cwd=ROOT,
        env={**os.environ, "KSTORE_BENCH_COUNT": "300"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(output.read_text())["results"]
    assert {"make_batches[aiokafka_batches]", "read_log_as_columns"} <= results.keys()
    assert min(results.values()) > 0


def micro_benchmarks() -> Iterator[tuple[str, type, str]]:
    """What asv finds: (module, class, method) of each benchmark in bench/micro."""
    for path in sorted((ROOT / "bench" / "micro").glob("*.py")):
        module = importlib.import_module(f"bench.micro.{path.stem}")
        for name, found in inspect.getmembers(module, inspect.isclass):
            if found.__module__ == module.__name__:
                methods = [one for one in dir(found) if one.startswith("time_")]
                yield from ((f"{path.stem}.{name}", found, method) for method in methods)


def parameters_of(found: Any) -> list[tuple[Any, ...]]:
    """Each combination of a benchmark's parameters, as asv reads them."""
    lists = getattr(found, "params", [])
    if lists and not isinstance(lists[0], list):
        lists = [lists]
    return list(itertools.product(*lists))


@pytest.mark.parametrize(
    ("found", "method"),
    [
        pytest.param(found, method, id=f"{name}.{method}")
        for name, found, method in micro_benchmarks()
    ],
)
def test_a_micro_benchmark_runs(found: Any, method: str) -> None:
    for parameters in parameters_of(found):
        benchmark = found()
        benchmark.count = 20
        benchmark.setup(*parameters)
        try:
            getattr(benchmark, method)(*parameters)
        finally:
            getattr(benchmark, "teardown", lambda *_: None)(*parameters)


def test_the_micro_benchmarks_are_found() -> None:
    names = {f"{name}.{method}" for name, _, method in micro_benchmarks()}
    assert {"append.Append.time_append", "read.ReadAll.time_columns"} <= names
