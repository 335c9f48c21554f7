"""What pytest-benchmark writes down: the figures and what they were measured with, no more."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from bench.compare_records import COUNT


@pytest.hookimpl(tryfirst=True)
def pytest_benchmark_update_machine_info(config: Any, machine_info: dict[str, Any]) -> None:
    machine_info.clear()


@pytest.hookimpl(trylast=True)
def pytest_benchmark_update_json(
    config: Any, benchmarks: list[Any], output_json: dict[str, Any]
) -> None:
    results = {
        one["name"].removeprefix("test_"): round(one["stats"]["median"] / COUNT * 1e9, 2)
        for one in output_json["benchmarks"]
    }
    output_json.clear()
    output_json.update(
        command="python -m pytest bench/compare_records.py",
        machine=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        unit="ns of processor time for a record",
        results=results,
    )
