"""Which calls `kstore bench` refuses, what it lists, and how options meet workloads."""

from __future__ import annotations

import pytest

from kstore.cli.bench.app import BENCHMARKS
from kstore.cli.bench.options import ProduceOptions
from kstore.cli.bench.workloads import WORKLOADS, choose
from kstore.cli.main import main


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("nothing", "no benchmark 'nothing'; there are: produce"),
        ("produce --workload nothing", "--workload nothing: bench produce has batches, small-"),
        ("produce --acks 2", "--acks 2: want 0, 1 or all"),
        ("produce --rate fast", "--rate fast: want records per second, or -1 for no limit"),
        ("produce --throughput -2", "--rate -2: want records per second"),
        ("produce --compression-type rar", "--compression-type rar: want none, gzip, snappy"),
        ("produce --num-records 0", "Invalid value for '--num-records': Input should"),
        ("produce --bootstrap-server here", "--bootstrap-server here: want HOST:PORT"),
    ],
)
def test_wrong_calls_are_one_line(
    words: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words.split()]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"kstore: {error}")
    assert (said.err.count("\n"), said.out) == (1, "")


def test_no_broker_is_one_line_that_helps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "produce", "--bootstrap-server", "127.0.0.1:1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("kstore: no broker answers at 127.0.0.1:1: Connection refused; `kstore")
    assert said.count("\n") == 1


def test_every_benchmark_has_workloads_and_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert [one.name for one in BENCHMARKS] == [*WORKLOADS]
    assert main(["bench", "--help"]) == 0
    help_text = capsys.readouterr().out
    for name, workloads in WORKLOADS.items():
        assert f"  {name} " in help_text
        assert main(["bench", name, "--list"]) == 0
        listed = capsys.readouterr().out
        assert [line.split()[0] for line in listed.splitlines()] == [w.name for w in workloads]
        assert len({one.name for one in workloads}) == len(workloads)


def test_an_option_replaces_one_value_of_the_workload() -> None:
    workload, load = choose("produce", "sync", ProduceOptions(workload="sync", record_size=7))
    assert workload.name == "sync"
    assert (load.record_size, load.in_flight, load.warmup_s) == (7, 1, 1.0)
    _, some = choose("produce", None, ProduceOptions(num_records=10))
    assert (some.num_records, some.warmup_s) == (10, 0.0)
    _, warm = choose("produce", None, ProduceOptions(num_records=10, warmup_s=2.0))
    assert warm.warmup_s == 2.0
