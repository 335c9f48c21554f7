"""The second opinion: Kafka's own performance tools against each broker."""

from __future__ import annotations

import re
import subprocess

from bench.compare.results import Round
from bench.compare.stage import MEGABYTE, Running
from tests.conformance.judges.kafka import java_command

# The judges' tools are told to start fast; here they are to run fast.
JVM = ("-XX:TieredStopAtLevel=4",)
DEADLINE_S = 180
RECORDS = 1_000_000
RECORD_SIZE = 1024
LATENCIES = 5000

PRODUCED = re.compile(
    r"records sent, ([\d.]+) records/sec \(([\d.]+) MB/sec\), ([\d.]+) ms avg latency, "
    r"[\d.]+ ms max latency, (\d+) ms 50th, \d+ ms 95th, (\d+) ms 99th"
)
AVERAGE = re.compile(r"Avg latency: ([\d.]+) ms")
PERCENTILES = re.compile(r"50th = (\d+), 99th = (\d+), 99.9th = (\d+)")


def second_opinion(running: Running, number: int) -> Round:
    """Throughputs in MiB/s, as the tools say them, and latencies in ms."""
    topic, latency_topic = f"tools-{number}", f"latency-{number}"
    records, latencies = running.size.count(RECORDS), running.size.count(LATENCIES)
    running.create(topic)
    running.create(latency_topic)
    before = running.processor_s()
    produced = parse_produced(_tool(running, "producer-perf", *_producer_options(topic, records)))
    between = running.processor_s()
    consumed = parse_consumed(
        _tool(running, "consumer-perf", "--topic", topic, "--num-records", str(records))
    )
    after = running.processor_s()
    latency = parse_latency(
        _tool(
            running,
            "e2e-latency",
            *("--topic", latency_topic, "--num-records", str(latencies)),
            *("--producer-acks", "1", "--record-size", "100"),
        )
    )
    running.delete(topic)
    running.delete(latency_topic)
    size = records * RECORD_SIZE / MEGABYTE / 1000
    return Round(
        {
            **produced,
            **consumed,
            **latency,
            "producer_processor_s_per_gb": (between - before) / size,
            "consumer_processor_s_per_gb": (after - between) / size,
        }
    )


def _producer_options(topic: str, records: int) -> list[str]:
    options = ["--topic", topic, "--num-records", str(records), "--throughput", "-1"]
    options += ["--record-size", str(RECORD_SIZE), "--command-property", "acks=1"]
    return [*options, "batch.size=1000000", "linger.ms=5", "buffer.memory=67108864"]


def _tool(running: Running, tool: str, *arguments: str) -> str:
    """What the tool printed; it must have ended well."""
    done = subprocess.run(
        [*java_command(tool, *JVM), "--bootstrap-server", running.address, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{tool}: status {done.returncode}: {done.stderr[-800:]}")
    return done.stdout


def parse_produced(text: str) -> dict[str, float]:
    found = PRODUCED.findall(text)
    if not found:
        raise RuntimeError(f"producer-perf said: {text[-500:]}")
    _, rate, average, _, worst = found[-1]  # the last line is the summary
    return {
        "producer_mb_per_s": float(rate),
        "producer_average_ms": float(average),
        "producer_p99_ms": float(worst),
    }


def parse_consumed(text: str) -> dict[str, float]:
    """Of the line below the header; the time to join the group is left out."""
    lines = [line.split(", ") for line in text.splitlines() if line.count(", ") >= 8]
    if len(lines) < 2:
        raise RuntimeError(f"consumer-perf said: {text[-500:]}")
    found = dict(zip(lines[-2], lines[-1], strict=True))
    return {"consumer_mb_per_s": float(found["fetch.MB.sec"])}


def parse_latency(text: str) -> dict[str, float]:
    average, percentiles = AVERAGE.search(text), PERCENTILES.search(text)
    if average is None or percentiles is None:
        raise RuntimeError(f"e2e-latency said: {text[-500:]}")
    return {"e2e_average_ms": float(average[1]), "e2e_p99_ms": float(percentiles[2])}
