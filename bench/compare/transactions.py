"""The cases of transactions: what one costs, and what it costs to read only what is committed."""

from __future__ import annotations

from typing import Any

from bench.compare.results import Round
from bench.compare.stage import GIGABYTE, Running

SMALL: dict[str, Any] = {"record_size": 100, "batch_bytes": 3850, "partitions": 3}
"""A transaction of 100 records over three partitions, a third of them in each."""

STORED_BYTES = 1.0 * GIGABYTE
ISOLATION_LEVELS = {"uncommitted": 0, "committed": 1}


def transactions(running: Running, number: int) -> Round:
    """Small transactions of one producer, one after the other."""
    topic = f"transactions-{number}"
    running.create(topic, SMALL["partitions"])
    try:
        return running.measure("transact", topic=topic, seconds=running.size.seconds(4), **SMALL)
    finally:
        running.delete(topic)


def store_transactions(running: Running) -> None:
    """Fills the topic that `committed` reads: transactions of 1 MB, one of five aborted."""
    running.create("stored", 1)
    running.measure(
        "transact",
        topic="stored",
        partitions=1,
        bytes=running.size.bytes(STORED_BYTES),
        seconds=120,
        record_size=1024,
        batch_bytes=1_000_000,
        abort_every=5,
    )


def committed(running: Running, number: int) -> Round:
    """The same fetches at both isolation levels."""
    metrics: dict[str, float] = {"errors": 0}
    for level, isolation in ISOLATION_LEVELS.items():
        found = running.measure(
            "fetch",
            topic="stored",
            partitions=1,
            seconds=running.size.seconds(2),
            isolation=isolation,
        ).metrics
        metrics["errors"] += found["errors"]
        for name in ("processor_s_per_gb", "gb_per_s", "p99_us"):
            metrics[f"{level}_{name}"] = found[name]
    return Round(metrics)
