"""What a benchmark sends or reads, and the named workloads that `--list` shows.

A workload is a whole `Load`; each option given on the command line replaces one value of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from kstore.cli.errors import CallError

__all__ = ["WORKLOADS", "Load", "Workload", "choose", "list_workloads"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to send or read; a benchmark looks at those values only that it has options for."""

    record_size: int = 1000
    # Bytes of records in a batch before compression, as Kafka's batch.size; below one record: one.
    batch_size: int = 16_384
    partitions: int = 1
    acks: int = 1
    compression_type: str = "none"
    rate: float = 0.0  # records per second; 0: as fast as replies come
    num_records: int = 0  # 0: as many as fit into `duration_s`
    duration_s: float = 10.0
    warmup_s: float = 1.0  # before anything is counted
    connections: int = 1
    in_flight: int = 5  # requests without a reply, per connection
    fill_size: int = 256_000_000  # bytes of values to fill a topic with before it is read
    segments: int = 1  # of the log that is filled
    # Bytes of a partition in a reply, as Kafka's max.partition.fetch.bytes.
    fetch_size: int = 1 << 20
    keys: int = 1_000_000  # different ones, of a log that is compacted
    overwrite_ratio: float = 0.75  # share of records whose key came before
    distribution: str = "uniform"  # which key that is; or zipf
    tombstone_share: float = 0.0  # of these
    beside_rate: float = 1000.0  # appends and reads of another log, per second each


@dataclass(frozen=True, slots=True)
class Workload:
    """A load with a name, and one line on what it is like."""

    name: str
    summary: str
    load: Load


_LARGE = Load(batch_size=1_000_000, in_flight=4)
_SMALL = Load(record_size=100, batch_size=0)
_CROWD = replace(
    _SMALL, rate=1_000.0, in_flight=64, duration_s=5.0, fill_size=16_000_000, fetch_size=65_536
)
_ENGINE = Load(duration_s=3.0, warmup_s=0.5)
_ENGINE_SMALL = replace(_ENGINE, record_size=100)
_ENGINE_LARGE = replace(_ENGINE, batch_size=1_000_000)
_COMPACTION = Load(record_size=1000, segments=10, duration_s=2.0)
_RETENTION = Load(segments=1_000, fill_size=100_000_000, duration_s=2.0)
_STEADY = Load(record_size=100, rate=20_000.0, in_flight=64)

# The first of each benchmark is what runs without --workload.
WORKLOADS: Mapping[str, tuple[Workload, ...]] = {
    "produce": (
        Workload("batches", "1 KB records in batches of 16 KB, 5 requests in flight", Load()),
        Workload(
            "small-pipelined",
            "100-byte records, one per request, 64 requests in flight",
            replace(_SMALL, in_flight=64),
        ),
        Workload("large-batches", "1 KB records in batches of 1 MB, 4 in flight", _LARGE),
        Workload(
            "many-partitions", "large-batches over 50 partitions", replace(_LARGE, partitions=50)
        ),
        Workload("lz4", "large-batches, compressed", replace(_LARGE, compression_type="lz4")),
        Workload("zstd", "large-batches, compressed", replace(_LARGE, compression_type="zstd")),
        Workload(
            "sync",
            "100-byte records, each waits for the reply to the one before",
            replace(_SMALL, in_flight=1),
        ),
        Workload("sync-all", "sync with acks=all", replace(_SMALL, in_flight=1, acks=-1)),
        Workload(
            "steady",
            "100-byte records, one per request, 2,000 per second whatever the broker does",
            replace(_SMALL, rate=2_000.0, in_flight=64),
        ),
        Workload(
            "crowd",
            "sync on 200 connections, 10 partitions",
            replace(_SMALL, in_flight=1, connections=200, partitions=10),
        ),
    ),
    "fetch": (
        Workload("batches", "1 KB records in batches of 16 KB", Load()),
        Workload(
            "small",
            "100-byte records, each a batch of its own",
            replace(_SMALL, fill_size=8_000_000),
        ),
        Workload("large-batches", "1 KB records in batches of 1 MB", _LARGE),
        Workload(
            "many-partitions", "large-batches over 50 partitions", replace(_LARGE, partitions=50)
        ),
        Workload("lz4", "large-batches, compressed", replace(_LARGE, compression_type="lz4")),
        Workload("zstd", "large-batches, compressed", replace(_LARGE, compression_type="zstd")),
        Workload(
            "crowd",
            "200 consumers of 10 partitions, 64 KB at a time",
            replace(Load(), connections=200, partitions=10, fetch_size=65_536),
        ),
    ),
    "end-to-end": (
        Workload("steady", "100-byte records, 1,000 per second", replace(_STEADY, rate=1_000.0)),
        Workload("steady-20k", "100-byte records, 20,000 per second", _STEADY),
        Workload("steady-all", "steady with acks=all", replace(_STEADY, rate=1_000.0, acks=-1)),
        Workload(
            "many-partitions",
            "20,000 records per second over 50 partitions, 10 producers",
            replace(_STEADY, partitions=50, connections=10),
        ),
        Workload(
            "one-at-a-time",
            "100-byte records, each sent when the one before has arrived",
            replace(_STEADY, rate=0.0, in_flight=1),
        ),
    ),
    "connections": (
        Workload("idle-1000", "1,000 idle connections", replace(_CROWD, connections=1_000)),
        Workload("idle-5000", "5,000 idle connections", replace(_CROWD, connections=5_000)),
    ),
    "append": (
        Workload("batches", "1 KB records in batches of 16 KB", _ENGINE),
        Workload(
            "small",
            "100-byte records, one per batch",
            replace(_ENGINE, record_size=100, batch_size=0, fill_size=32_000_000),
        ),
        Workload("large-batches", "1 KB records in batches of 1 MB", _ENGINE_LARGE),
    ),
    "read": (
        Workload("batches", "1 KB records in batches of 16 KB", _ENGINE),
        Workload("small-records", "100-byte records in batches of 16 KB", _ENGINE_SMALL),
        Workload(
            "zstd", "small-records, compressed", replace(_ENGINE_SMALL, compression_type="zstd")
        ),
    ),
    "lookup": (
        Workload("one-segment", "a log of 1 GB in one segment", replace(_ENGINE, fill_size=10**9)),
        Workload(
            "segments-1000", "a log of 256 MB in 1,000 segments", replace(_ENGINE, segments=1_000)
        ),
    ),
    "columns": (
        Workload("small-records", "100-byte records in batches of 16 KB", _ENGINE_SMALL),
        Workload(
            "zstd", "small-records, compressed", replace(_ENGINE_SMALL, compression_type="zstd")
        ),
    ),
    "compaction": (
        Workload("uniform", "1 million keys of 1 KB, three of four records overwrite", _COMPACTION),
        Workload(
            "zipf",
            "uniform, but a few keys are written again most of the time",
            replace(_COMPACTION, distribution="zipf"),
        ),
        Workload(
            "small-records",
            "5 million keys of 100 bytes, of 20 million records",
            replace(_COMPACTION, record_size=100, keys=5_000_000),
        ),
        Workload(
            "tombstones",
            "uniform; a third of what overwrites deletes",
            replace(_COMPACTION, tombstone_share=1 / 3),
        ),
        Workload("zstd", "uniform, compressed", replace(_COMPACTION, compression_type="zstd")),
    ),
    "retention": (
        Workload("segments-1000", "1,000 segments of 100 KB", _RETENTION),
        Workload(
            "segments-10000", "10,000 segments of 10 KB", replace(_RETENTION, segments=10_000)
        ),
        Workload(
            "large-segments",
            "20 segments of 100 MB",
            replace(_RETENTION, segments=20, fill_size=2_000_000_000, batch_size=1_000_000),
        ),
    ),
}


def choose(benchmark: str, name: str | None, options: object) -> tuple[Workload, Load]:
    """The workload of that name, or the first, and its load with the options that were given.

    An option is an attribute of `options` with the name of a value of `Load`; None: not given.
    Raises `CallError`.
    """
    there_are = WORKLOADS[benchmark]
    found = [one for one in there_are if name in (None, one.name)]
    if not found:
        names = ", ".join(one.name for one in there_are)
        raise CallError(f"--workload {name}: bench {benchmark} has {names}")
    given: dict[str, Any] = {
        field.name: value
        for field in fields(Load)
        if (value := getattr(options, field.name, None)) is not None
    }
    if "num_records" in given:
        # So many records and no more, as Kafka's tool sends them.
        given.setdefault("warmup_s", 0.0)
    return found[0], replace(found[0].load, **given)


def list_workloads(benchmark: str) -> None:
    """Prints the workloads of a benchmark, the one that is the default first."""
    for one in WORKLOADS[benchmark]:
        print(f"{one.name:17}{one.summary}")
