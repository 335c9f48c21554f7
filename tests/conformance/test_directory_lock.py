"""A data directory is served by one broker at a time, be it kstore or Kafka."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conformance.judges.kafka import KafkaProcess, KafkaTools
from tests.conformance.support.broker import BrokerProcess, kstore_command, run_kstore

pytestmark = pytest.mark.jdk

DEADLINE_S = 60


def refusal(command: list[str]) -> str:
    """What a broker says that does not start."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout


def test_kstore_and_kafka_exclude_each_other(tmp_path: Path, kafka_tools: KafkaTools) -> None:
    with KafkaProcess(tmp_path) as kafka:
        importing = [*kstore_command(), "import", str(kafka.data_dir)]
        assert "is in use" in refusal(importing)
    serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir", str(kafka.data_dir)]
    assert "`kstore import` takes over" in refusal([*kstore_command(), *serve])
    run_kstore("import", str(kafka.data_dir))
    with BrokerProcess(tmp_path):
        assert "Failed to acquire lock on file .lock" in refusal(kafka._command())
