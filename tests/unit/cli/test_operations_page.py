"""docs/operations.md: what it says that `kstore check` and `dump-log` print, they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import kstore
from kstore.cli.main import main

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


def test_the_corrupt_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with kstore.open("kstore-data") as store:
        log = store.create("orders")
        for _ in range(6):
            log.append_records([(b"key", b"value of an order", 1_760_000_000_000)] * 10)
    segment = tmp_path / "kstore-data" / "orders-0" / f"{0:020}.log"
    data = bytearray(segment.read_bytes())
    data[len(data) * 7 // 12] ^= 1  # in the fourth of six batches
    segment.write_bytes(data)

    (block,) = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (check, *faults), (dump, *lines) = (one.splitlines() for one in block.split("$ ")[1:])
    assert main(check.split()[1:]) == 1
    told = capsys.readouterr().out.replace(f"{tmp_path}/", "").splitlines()
    assert told == faults
    assert main(dump.split()[1:]) == 0
    bad = [line for line in capsys.readouterr().out.splitlines() if "isvalid: false" in line]
    (shown,) = lines
    first, _, last = shown.partition(" … ")
    assert [(line[: len(first)], line[-len(last) :]) for line in bad] == [(first, last)]
