"""The examples of the README and of the page about the embedded engine run, as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from kstore.testing import BrokerThread
from tests.quality.tree import ROOT

PAGE = ROOT / "docs" / "embedded.md"
README = ROOT / "README.md"
# From here on they need pyarrow, 170 MB that the tests do without: what is handed to it is proven
# with numpy, on the same page.
NOT_RUN = "## To Arrow, and back"


def examples(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_examples_run(tmp_path: Path) -> None:
    first, heading, rest = PAGE.read_text(encoding="utf-8").partition(NOT_RUN)
    assert heading
    for number, example in enumerate(examples(rest)):
        compile(example, f"{PAGE.name}, example {number} for Arrow", "exec")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([*examples(first), "store.close()"])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ["[('readings', 0)] 0 0", "OFFSET_OUT_OF_RANGE", "0 2"]
    assert lines[3] == "1 1700000000000 b'sensor-2' b'19.0' (('unit', b'C'),)"
    assert lines[5] == "10000"


def test_the_three_guarantees_of_the_readme() -> None:
    _, heading, rest = README.read_text(encoding="utf-8").partition("## Three guarantees")
    assert heading
    shared, *guarantees = examples(rest.partition("\n## ")[0])
    assert len(guarantees) == 3
    assert all(len(example.splitlines()) <= 10 for example in guarantees)
    handled = []

    def handle(message: Message | None) -> bytes:
        assert message is not None
        assert message.error() is None
        handled.append(message.value())
        return b"invoice " + message.value()

    with BrokerThread() as broker:
        names: dict[str, Any] = {"handle": handle}
        address = broker.bootstrap_servers
        for example in (shared.replace("localhost:9092", address), *guarantees):
            exec(example, names)
        names["consumer"].close()
        reader = Consumer({"bootstrap.servers": address, "group.id": "reader"})
        reader.assign([TopicPartition("invoices", 0, 0)])
        handle(reader.poll(30))
        reader.close()
    assert handled == [b"20.5", b"4711", b"4711", b"invoice 4711"]
