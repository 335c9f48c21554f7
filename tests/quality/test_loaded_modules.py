"""What a process loads: the broker and `import kstore` pay for nothing that they do not use."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic, read_confluent, write_confluent
from tests.conformance.support.workload import by_partition, make_records
from tests.quality.tree import ROOT

HEAVY = {"numpy", "typer", "rich", "confluent_kafka", "kio", "pydantic", "matplotlib", "pytest"}
# `python -X importtime`, on stderr: "import time:   self us | cumulative | module".
IMPORTED = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+([\w.]+)$", re.MULTILINE)


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter loads for a statement."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return top_level(done.stderr)


def top_level(import_times: str) -> set[str]:
    return {name.partition(".")[0] for name in IMPORTED.findall(import_times)}


@pytest.mark.parametrize("module", ["kstore", "kstore.cli.main", "kstore.testing.plugin"])
def test_an_import_loads_nothing_heavy(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert "kstore" in loaded
    # The plugin is loaded by pytest, so pytest is no cost of the plugin's.
    assert loaded & HEAVY <= ({"pytest"} if module == "kstore.testing.plugin" else set())


def test_a_broker_at_work_loads_nothing_heavy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with BrokerProcess(tmp_path) as broker:
        create_topic(broker.bootstrap_servers, "loaded", 1)
        for codec in ("none", "zstd"):
            write_confluent(broker.bootstrap_servers, "loaded", make_records(1, 100, 1), codec)
        sent = by_partition(make_records(1, 100, 1) * 2)
        assert read_confluent(broker.bootstrap_servers, "loaded", {0: 200}) == sent
    loaded = top_level(broker.log_file.read_text(encoding="utf-8"))
    assert {"kstore", "kstore_server", "crc32c"} <= loaded
    assert loaded & HEAVY == set()


def test_a_heavy_module_would_be_seen() -> None:
    assert "numpy" in loaded_by("import numpy.linalg")
