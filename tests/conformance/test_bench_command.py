"""`kstore bench` against a broker: every benchmark at a tiny size, and its counts are right.

Figures mean nothing here; that records, requests and bytes are those that were asked for does.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kstore.cli.bench.workloads import WORKLOADS
from kstore.cli.main import main
from tests.conformance.judges.kafka import KafkaProcess, KafkaTools
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic, end_offsets
from tests.conformance.support.commands import Command


class Bench:
    """`kstore bench` against one broker, in this process: it need not start for each call."""

    def __init__(self, bootstrap_servers: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._words = ("--bootstrap-server", bootstrap_servers)
        self._capsys = capsys

    def run(self, what: str, *options: str) -> str:
        assert main(["bench", what, *self._words, *options]) == 0, self._capsys.readouterr()
        return self._capsys.readouterr().out

    def rows(self, what: str, *options: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.run(what, *options, "--json"))
        return rows

    def fail(self, what: str, *options: str) -> str:
        """The one line on stderr."""
        assert main(["bench", what, *self._words, *options]) == 1
        said = self._capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        return said.err


@pytest.fixture
def bench(broker: BrokerProcess, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(broker.bootstrap_servers, capsys)


def check_latency(latency: dict[str, float]) -> None:
    names = ["p50", "p95", "p99", "p99.9", "max"]
    ordered = [latency[name] for name in names]
    assert ordered == sorted(ordered)
    assert latency["p50"] > 0
    assert 0 < latency["mean"] <= latency["max"]


def check_produce(row: dict[str, Any], record_count: int) -> None:
    assert row["benchmark"] == "produce"
    assert row["records"] == sum(one["records"] for one in row["intervals"]) == record_count
    assert row["requests"] == sum(one["requests"] for one in row["intervals"])
    assert row["bytes"] > record_count * row["load"]["record_size"] / 20
    check_latency(row["latency_ms"])


@pytest.mark.parametrize("workload", [one.name for one in WORKLOADS["produce"]])
def test_produce_sends_so_many_records_in_every_workload(bench: Bench, workload: str) -> None:
    few = ("--num-records", "205", "--connections", "3", "--partitions", "4", "--rate", "-1")
    (row,) = bench.rows("produce", "--workload", workload, *few)
    check_produce(row, 205)
    assert row["loop"] == "closed"


def test_the_topic_of_a_run_is_deleted_after_it(broker: BrokerProcess, bench: Bench) -> None:
    bench.run("produce", "--num-records", "1")
    topics = Command(broker.bootstrap_servers).run("topics", "--list").splitlines()
    assert [name for name in topics if name.startswith("kstore-bench")] == []


@pytest.mark.parametrize("workload", [one.name for one in WORKLOADS["fetch"]])
def test_fetch_reads_all_that_is_there_in_every_workload(bench: Bench, workload: str) -> None:
    few = ("--fill-size", "205000", "--connections", "3", "--partitions", "4", "--from-beginning")
    (row,) = bench.rows("fetch", "--workload", workload, *few)
    assert row["benchmark"] == "fetch"
    assert row["records"] == 205_000 // row["load"]["record_size"]
    check_latency(row["latency_ms"])


@pytest.mark.parametrize("workload", [one.name for one in WORKLOADS["end-to-end"]])
def test_every_record_is_received_in_every_workload(bench: Bench, workload: str) -> None:
    few = ("--num-records", "205", "--connections", "3", "--partitions", "4")
    (row,) = bench.rows("end-to-end", "--workload", workload, *few)
    assert row["benchmark"] == "end-to-end"
    assert row["records"] == row["requests"] == 205
    assert row["loop"] == ("closed" if workload == "one-at-a-time" else "open")
    check_latency(row["latency_ms"])


def test_end_to_end_sees_its_own_records_only(broker: BrokerProcess, bench: Bench) -> None:
    topic = "bench-mixed"
    create_topic(broker.bootstrap_servers, topic, 2)
    bench.run("produce", "--topic", topic, "--num-records", "100")
    shape = ("--compression-type", "lz4", "--acks", "0", "--rate", "2000")
    (row,) = bench.rows("end-to-end", "--topic", topic, *shape, "--num-records", "150")
    assert row["records"] == 150
    assert sum(end_offsets(broker.bootstrap_servers, topic, 2).values()) == 250


def test_a_crowd_is_opened_kept_and_asked_again(broker: BrokerProcess, bench: Bench) -> None:
    assert broker.process is not None
    rows = bench.rows(
        "connections", "--connections", "120", "--duration", "0.2", "--warmup", "0",
        "--fill-size", "20000", "--broker-pid", str(broker.process.pid),
    )  # fmt: skip
    parts = ["produce alone", "fetch alone", "crowd"]
    parts += ["produce beside the crowd", "fetch beside the crowd"]
    assert [row["part"] for row in rows] == parts
    crowd = rows.pop(2)
    assert (crowd["connections"], crowd["latency_ms"]["max"] > 0) == (120, True)
    assert isinstance(crowd["broker_bytes_per_connection"], float)
    check_latency(crowd["latency_ms"])
    for row in rows:
        check_latency(row["latency_ms"])
    assert rows[0]["records"] == rows[2]["records"] == 200
    refused = bench.fail("connections", "--connections", "100000")
    assert refused.startswith("kstore: 100000 connections: this process may have ")


def test_a_topic_is_read_again_and_again_for_a_duration(
    broker: BrokerProcess, bench: Bench
) -> None:
    topic = "bench-again"
    create_topic(broker.bootstrap_servers, topic, 2)
    bench.run("produce", "--topic", topic, "--num-records", "300")
    limits = ("--duration", "0.3", "--warmup", "0.1", "--fetch-size", "5000")
    (row,) = bench.rows("fetch", "--topic", topic, *limits)
    assert row["records"] > 300
    assert 0.2 < row["elapsed_s"] < 10
    assert row["loop"] == "closed"
    (row,) = bench.rows("fetch", "--topic", topic, "--from-beginning")
    assert row["records"] == 300
    assert row["bytes"] > 300_000


@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_a_topic_of_the_users_is_filled_and_stays(
    broker: BrokerProcess, bench: Bench, acks: str
) -> None:
    topic = f"bench-acks-{acks}"
    create_topic(broker.bootstrap_servers, topic, 3)
    shape = ("--batch-size", "1000", "--record-size", "100", "--acks", acks)
    (row,) = bench.rows("produce", "--topic", topic, *shape, "--num-records", "1234")
    check_produce(row, 1234)
    if acks != "0":
        ends = end_offsets(broker.bootstrap_servers, topic, 3)
        assert sum(ends.values()) == 1234
        assert all(ends.values())


def test_a_fixed_schedule_and_the_costs_of_the_broker(broker: BrokerProcess, bench: Bench) -> None:
    assert broker.process is not None
    (row,) = bench.rows(
        "produce", "--workload", "steady", "--rate", "500", "--duration", "0.5",
        "--warmup", "0.1", "--broker-pid", str(broker.process.pid),
    )  # fmt: skip
    assert row["loop"] == "open"
    check_produce(row, 250)
    assert row["broker"]["peak_resident_bytes"] > 10_000_000
    assert row["broker"]["processor_s"] >= 0
    assert row["intervals"][-1]["broker_resident_bytes"] > 10_000_000


def test_the_text_is_in_the_style_of_kafkas_tool(bench: Bench) -> None:
    first, second = bench.run("produce", "--num-records", "20").splitlines()
    number = r"\d+\.\d+"
    assert re.fullmatch(
        rf"20 records sent, {number} records/sec \({number} MB/sec\), {number} ms avg latency, "
        rf"{number} ms max, {number} ms 50th, {number} ms 95th, {number} ms 99th, "
        rf"{number} ms 99.9th.",
        first,
    )
    assert second.startswith("Closed loop: ")


@pytest.mark.parametrize("what", ["produce", "end-to-end"])
def test_a_schedule_that_nobody_can_keep_is_refused(bench: Bench, what: str) -> None:
    said = bench.fail(what, "--rate", "1e8", "--batch-size", "0", "--duration", "60")
    assert said.startswith("kstore: 1,000,001 requests are due and not answered; choose a lower")


def test_an_error_of_the_broker_is_one_line(broker: BrokerProcess, bench: Bench) -> None:
    topic = "bench-refuses"
    create_topic(broker.bootstrap_servers, topic, 1)
    large = ("--record-size", "2000000", "--num-records", "1")
    said = bench.fail("produce", "--topic", topic, *large)
    assert said.startswith(f"kstore: producing to '{topic}': ")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("--topic bench-nothing", "there is no topic 'bench-nothing'; `kstore topics --create"),
        ("--broker-pid 4194304", "--broker-pid 4194304: there is no such process"),
    ],
)
def test_what_cannot_be_done_is_one_line(bench: Bench, words: str, error: str) -> None:
    said = bench.fail("produce", *words.split())
    assert said.startswith(f"kstore: {error}")


@pytest.mark.jdk
def test_kafka_is_measured_too(
    kafka_tools: KafkaTools, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--num-records", "500", "--partitions", "3", "--connections", "2")
    with KafkaProcess(tmp_path) as kafka:
        bench = Bench(kafka.bootstrap_servers, capsys)
        (row,) = bench.rows("produce", *few)
        check_produce(row, 500)
        (row,) = bench.rows("fetch", "--fill-size", "200000", "--from-beginning")
        assert row["records"] == 200
        (row,) = bench.rows("end-to-end", "--num-records", "50")
        assert row["records"] == 50
        rows = bench.rows(
            "connections", "--connections", "20", "--duration", "0.2", "--fill-size", "2000"
        )
        assert [row["part"] for row in rows if row["part"] == "crowd"] == ["crowd"]
