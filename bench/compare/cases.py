"""The cases of the comparison: who takes part, what a round is, how long it takes at full length.

A case keeps its brokers running and measures them in turn; each round has a new topic, which is
deleted after it, so that neither the disk nor a broker's memory fills. `fresh` cases start a broker
anew in each round instead.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.compare import limits, load
from bench.compare.bare import floor
from bench.compare.kafka_tools import second_opinion
from bench.compare.results import Round
from bench.compare.stage import GIGABYTE, Running
from bench.compare.transactions import committed, store_transactions, transactions

EVERYBODY = ("kstore", "kafka", "tansu", "crabka")
ON_DISK = ("kstore", "kafka", "crabka")

BATCHES: dict[str, Any] = {"record_size": 1024, "batch_bytes": 1_000_000, "in_flight": 5}
STORED_BYTES = 2.2 * GIGABYTE  # more than one segment: most of it is sealed
SYNC_DELAY_MS = 5.0
IDLE_S = 3.0


@dataclass(frozen=True)
class Case:
    """`measure(broker, number of the round)`; `extra` are other contestants, beside kstore."""

    name: str
    title: str
    measure: Callable[[Running, int], Round]
    brokers: tuple[str, ...] = EVERYBODY
    prepare: Callable[[Running], None] = lambda running: None
    extra: Mapping[str, Callable[[Running], Round]] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    sync_delay_ms: float = 0
    fresh: bool = False


def on_new_topic(
    subcommand: str,
    partitions: int = 1,
    configs: Mapping[str, str] = {},
    **options: object,
) -> Callable[[Running, int], Round]:
    """A round that runs a load on a topic of its own. `seconds` and `bytes` are the full length."""

    def measure(running: Running, number: int) -> Round:
        topic = f"round-{number}"
        running.create(topic, partitions, configs)
        if "pairs" not in options:
            options.setdefault("partitions", partitions)
        try:
            return running.measure(subcommand, topic=topic, **scaled(running, options))
        finally:
            running.delete(topic)

    return measure


def scaled(running: Running, options: Mapping[str, object]) -> dict[str, object]:
    """The options with their lengths at the size of this run."""
    found = dict(options)
    for name, at_size in (("seconds", running.size.seconds), ("bytes", running.size.bytes)):
        if name in found:
            found[name] = at_size(float(str(found[name])))
    return found


def codecs(running: Running, number: int) -> Round:
    """The same records uncompressed, as lz4 and as zstd, in batches of one size on the wire."""
    metrics: dict[str, float] = {"errors": 0}
    for codec in ("none", "lz4", "zstd"):
        found = on_new_topic("produce", bytes=0.5 * GIGABYTE, seconds=20, codec=codec, **BATCHES)(
            running, number
        ).metrics
        metrics["errors"] += found["errors"]
        for name in ("processor_s_per_gb", "gb_per_s"):
            metrics[f"{codec}_{name}"] = found[name]
    return Round(metrics)


def store(partitions: int) -> Callable[[Running], None]:
    """Fills the topic that the rounds of a fetch case read."""

    def prepare(running: Running) -> None:
        running.create("stored", partitions)
        running.measure(
            "produce",
            topic="stored",
            partitions=partitions,
            bytes=running.size.bytes(STORED_BYTES),
            seconds=120,
            **BATCHES,
        )

    return prepare


def fetch(partitions: int) -> Callable[[Running, int], Round]:
    def measure(running: Running, number: int) -> Round:
        options = scaled(running, {"seconds": 4})
        return running.measure("fetch", topic="stored", partitions=partitions, **options)

    return measure


def bare_sendfile(running: Running) -> Round:
    """The loop over the very files that kstore serves: the first segment of each partition."""
    data_dir = running.broker.data_dir
    paths = [min(directory.glob("*.log")) for directory in data_dir.glob("stored-*")]
    stored = running.size.bytes(STORED_BYTES) // len(paths)
    shortest = min(path.stat().st_size for path in paths)
    return limits.sendfile(paths, min(stored, shortest), running.size.seconds(3))


def bare_broker(subcommand: str, **options: object) -> Callable[[Running], Round]:
    """What a broker would measure that does nothing: sockets, wake-ups and the load itself."""
    return lambda running: floor(subcommand, **scaled(running, options))


def start(running: Running, number: int) -> Round:
    """From the start of the process until it answers, and until it has taken a first record."""
    running.prepare()
    waiting = subprocess.Popen(
        load.command("first", running.address, topic="first"), stdout=subprocess.PIPE
    )
    try:
        started = time.time()
        running.start()
        answer, _ = waiting.communicate(timeout=90)
    finally:
        waiting.kill()
        waiting.wait()
    moments: dict[str, float] = json.loads(answer)["moments"]
    time.sleep(running.size.seconds(IDLE_S))  # what is idle after so long stays so
    return Round(
        {
            "ready_s": moments["ready"] - started,
            "first_acknowledged_s": moments["acknowledged"] - started,
            **running.memory_mb(),
        }
    )


def memory_after_load(running: Running, number: int) -> Round:
    """5 GB in, the same out, to a broker that was just started; then what its memory is."""
    running.start()
    running.create("load", 4)
    size = running.size.bytes(5 * GIGABYTE)
    first = running.measure(
        "produce", topic="load", partitions=4, bytes=size, seconds=200, **BATCHES
    )
    second = running.measure("fetch", topic="load", partitions=4, bytes=size, seconds=200)
    errors = first.metrics["errors"] + second.metrics["errors"]
    return Round({"errors": errors, **running.memory_mb()})


def machine(running: Running) -> Round:
    """What memory and the loopback allow, beside idle brokers."""
    seconds = running.size.seconds(2)
    sent = limits.loopback(seconds).metrics
    return Round(
        {
            "copy_gb_per_s": limits.memory_copy(seconds),
            "crc_gb_per_s": limits.checksum(seconds),
            "loopback_gb_per_s": sent["gb_per_s"],
            "loopback_processor_s_per_gb": sent["processor_s_per_gb"],
        }
    )


def group_commit(partitions: int) -> Callable[[Running, int], Round]:
    def measure(running: Running, number: int) -> Round:
        configs = {"flush.messages": "1"} if running.kind.jvm else {"kstore.acks.all.flush": "true"}
        produce = on_new_topic("produce", partitions, configs, seconds=4, connections=64, acks=-1)
        return produce(running, number)

    return measure


CASES = (
    Case(
        "pipelined",
        "100-byte records, one per request, 64 in flight on one connection, acks=1",
        on_new_topic("produce", seconds=4, in_flight=64),
    ),
    Case(
        "pipelined-8",
        "100-byte records, one per request, 8 in flight on each of 8 connections, acks=1",
        on_new_topic("produce", seconds=4, in_flight=8, connections=8),
    ),
    Case(
        "produce-1",
        "1 KB records in batches of 1 MB, one partition, acks=1",
        on_new_topic("produce", bytes=GIGABYTE, seconds=30, **BATCHES),
    ),
    Case(
        "produce-50",
        "1 KB records in batches of 1 MB, 50 partitions, acks=1",
        on_new_topic("produce", 50, bytes=GIGABYTE, seconds=30, **BATCHES),
    ),
    Case(
        "fetch-1",
        "fetch of batches of 1 MB from the page cache, one partition",
        fetch(1),
        prepare=store(1),
        extra={"sendfile": bare_sendfile, "machine": machine},
    ),
    Case(
        "fetch-50",
        "fetch of batches of 1 MB from the page cache, 50 partitions",
        fetch(50),
        prepare=store(50),
        extra={"sendfile": bare_sendfile},
    ),
    Case("codecs", "uncompressed, lz4 and zstd batches of 1 MB on the wire", codecs),
    Case(
        "sync-1",
        "synchronous produce, acks=1",
        on_new_topic("produce", seconds=4),
        extra={"bare": bare_broker("produce", seconds=3)},
    ),
    Case("sync-all", "synchronous produce, acks=all", on_new_topic("produce", seconds=4, acks=-1)),
    Case(
        "end-to-end-1000",
        "end to end, 1,000 records per second",
        on_new_topic("end-to-end", seconds=7, rate=1000, pairs=1),
        extra={"bare": bare_broker("end-to-end", seconds=5, rate=1000, pairs=1)},
    ),
    Case(
        "end-to-end-20000",
        "end to end, 20,000 records per second",
        on_new_topic("end-to-end", seconds=7, rate=20_000, pairs=1),
        extra={"bare": bare_broker("end-to-end", seconds=5, rate=20_000, pairs=1)},
    ),
    Case(
        "crowd",
        "200 producers and 200 consumers, 10 records per second each, 5,000 idle connections",
        on_new_topic("end-to-end", 200, seconds=7, rate=10, pairs=200, idle=5000),
    ),
    Case(
        "group-commit-1",
        "group commit: acks=all, 64 producers, a sync takes 5 ms longer, one partition",
        group_commit(1),
        brokers=ON_DISK,
        sync_delay_ms=SYNC_DELAY_MS,
    ),
    Case(
        "group-commit-16",
        "group commit: acks=all, 64 producers, a sync takes 5 ms longer, 16 partitions",
        group_commit(16),
        brokers=ON_DISK,
        sync_delay_ms=SYNC_DELAY_MS,
    ),
    Case(
        "transactions",
        "transactions of 100 records over three partitions, one after the other",
        transactions,
        brokers=("kstore", "kafka"),
    ),
    Case(
        "committed",
        "fetch of transactions of 1 MB, one of five aborted, at both isolation levels",
        committed,
        brokers=("kstore", "kafka"),
        prepare=store_transactions,
    ),
    Case("start", "start, and memory while idle", start, fresh=True),
    Case("memory", "memory after 5 GB in and out", memory_after_load, brokers=ON_DISK, fresh=True),
    Case(
        "kafka-tools",
        "Kafka's own tools: producer-perf, consumer-perf, e2e-latency",
        second_opinion,
        brokers=("kstore", "kafka"),
    ),
)
