"""The options of each benchmark: a dataclass is a typer command, and what it parses is its object.

Flags that Kafka's performance tools have are called as there. An option with the name of a value of
`Load` replaces that of the workload if it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kstore.cli.errors import CallError
from kstore.cli.options import BootstrapServer, CommandConfig, Json

__all__ = [
    "AppendOptions",
    "ColumnsOptions",
    "CommonOptions",
    "CompactionOptions",
    "ConnectionsOptions",
    "EmbeddedOptions",
    "EndToEndOptions",
    "FetchOptions",
    "LoadOptions",
    "LookupOptions",
    "ProduceOptions",
    "ReadOptions",
    "RetentionOptions",
    "StoreOptions",
]

_COMPRESSION_TYPES = ("none", "gzip", "snappy", "lz4", "zstd")
_ACKS = {"0": 0, "1": 1, "all": -1, "-1": -1}


def _acks(text: str) -> int:
    if text not in _ACKS:
        raise CallError(f"--acks {text}: want 0, 1 or all")
    return _ACKS[text]


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = float("nan")
    if not (rate == -1 or 0 <= rate < 1e9):
        raise CallError(f"--rate {text}: want records per second, or -1 for no limit")
    return max(rate, 0.0)


def _compression_type(text: str) -> str:
    if text not in _COMPRESSION_TYPES:
        raise CallError(f"--compression-type {text}: want {', '.join(_COMPRESSION_TYPES)}")
    return text


Duration = Annotated[
    float | None,
    typer.Option("--duration", metavar="SECONDS", min=0.01, help="Measure for so long."),
]
Warmup = Annotated[
    float | None,
    typer.Option("--warmup", metavar="SECONDS", min=0, help="Run for so long before that."),
]
Acks = Annotated[
    int | None, typer.Option("--acks", metavar="0|1|all", parser=_acks, help="Who confirms.")
]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", "--throughput", metavar="RECORDS/S", parser=_rate,
        help="Send on a fixed schedule; -1: as fast as replies come.",
    ),
]  # fmt: skip
NumRecords = Annotated[
    int | None,
    typer.Option("--num-records", min=1, help="Send so many, instead of for --duration."),
]
InFlight = Annotated[
    int | None,
    typer.Option("--in-flight", min=1, max=100_000, help="Requests without a reply, each."),
]
FillSize = Annotated[
    int | None,
    typer.Option("--fill-size", min=1, help="Bytes of values to fill the run's topic with."),
]
FetchSize = Annotated[
    int | None,
    typer.Option("--fetch-size", min=1, max=1 << 28, help="Bytes of a partition in a reply."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonOptions:
    """What every benchmark takes."""

    workload: Annotated[
        str | None, typer.Option("--workload", metavar="NAME", help="One of those of --list.")
    ] = None
    list_them: Annotated[
        bool, typer.Option("--list", help="Show the workloads; the first is the default.")
    ] = False
    seed: Annotated[int, typer.Option("--seed", help="What the records are made from.")] = 1
    json: Json = False
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the run: a PNG, SVG or PDF file."),
    ] = None
    record_size: Annotated[
        int | None, typer.Option("--record-size", min=1, max=1 << 24, help="Bytes of each value.")
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            min=0,
            max=1 << 26,
            help="Bytes of records in a batch, before compression; 0: one record.",
        ),
    ] = None
    compression_type: Annotated[
        str | None,
        typer.Option(
            "--compression-type", "--compression-codec", metavar="CODEC", parser=_compression_type,
            help="none, gzip, snappy, lz4 or zstd.",
        ),
    ] = None  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions(CommonOptions):
    """What every benchmark of a broker takes."""

    bootstrap_server: BootstrapServer = "localhost:9092"
    command_config: CommandConfig = None
    topic: Annotated[
        str | None,
        typer.Option("--topic", help="A topic that is there; without it, one for this run only."),
    ] = None
    replication_factor: Annotated[
        int,
        typer.Option("--replication-factor", min=-1, help="Of that topic; -1: the broker's."),
    ] = -1
    broker_pid: Annotated[
        int | None,
        typer.Option(
            "--broker-pid",
            metavar="PID",
            min=1,
            help="The broker's process, on this machine: also measure its processor and memory.",
        ),
    ] = None
    partitions: Annotated[
        int | None,
        typer.Option("--partitions", min=1, max=10_000, help="Of the topic made for this run."),
    ] = None
    duration_s: Duration = None
    warmup_s: Warmup = None
    connections: Annotated[
        int | None, typer.Option("--connections", min=1, max=100_000, help="To the brokers.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProduceOptions(LoadOptions):
    """Measure produce requests: throughput, and latency from the intended send time."""

    acks: Acks = None
    rate: Rate = None
    num_records: NumRecords = None
    in_flight: InFlight = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions(LoadOptions):
    """Measure fetches: of a topic of the run's own, filled first, or of one that is there."""

    fill_size: FillSize = None
    fetch_size: FetchSize = None
    from_beginning: Annotated[
        bool,
        typer.Option(
            "--from-beginning",
            help="Read all there is once, instead of again and again for --duration.",
        ),
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EndToEndOptions(ProduceOptions):
    """Measure the way of records from their intended send time to their consumer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsOptions(LoadOptions):
    """Measure produce and fetch alone, then beside --connections that keep still."""

    acks: Acks = None
    rate: Rate = None
    in_flight: InFlight = None
    fill_size: FillSize = None
    fetch_size: FetchSize = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions(CommonOptions):
    """What every benchmark takes that makes a store of its own."""

    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            metavar="DIR",
            help="Where to make the log; it is deleted at the end.",
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedOptions(StoreOptions):
    """What every benchmark of appends and reads takes."""

    fill_size: Annotated[
        int | None, typer.Option("--fill-size", min=1, help="Bytes of the log.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendOptions(EmbeddedOptions):
    """Measure appends to the embedded engine, against copying and checking the same bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions(EmbeddedOptions):
    """Measure reading a log of the embedded engine: slices, and records."""

    duration_s: Duration = None
    warmup_s: Warmup = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupOptions(ReadOptions):
    """Measure looking for offsets in a log of the embedded engine."""

    segments: Annotated[
        int | None, typer.Option("--segments", min=1, max=1_000_000, help="Of the log.")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnsOptions(ReadOptions):
    """Measure reading a log of the embedded engine as numpy columns, and as records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepOptions(StoreOptions):
    """What the benchmarks of a log's old age take."""

    segments: Annotated[
        int | None, typer.Option("--segments", min=1, max=1_000_000, help="Of the log.")
    ] = None
    beside_rate: Annotated[
        float | None,
        typer.Option(
            "--beside-rate",
            metavar="PER-SECOND",
            min=0,
            max=100_000,
            help="Appends to another log, and reads of it, beside the work; 0: none.",
        ),
    ] = None
    duration_s: Annotated[
        float | None,
        typer.Option(
            "--duration", metavar="SECONDS", min=0.01, help="The same alone, before the work."
        ),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionOptions(UpkeepOptions):
    """Measure compacting a log: per second, per byte kept, and what it does to others."""

    keys: Annotated[
        int | None, typer.Option("--keys", min=1, max=100_000_000, help="Different keys.")
    ] = None
    overwrite_ratio: Annotated[
        float | None,
        typer.Option(
            "--overwrite-ratio", min=0, max=0.999, help="Share of records whose key came before."
        ),
    ] = None
    distribution: Annotated[
        str | None,
        typer.Option("--distribution", metavar="uniform|zipf", help="Which key that is."),
    ] = None
    tombstone_share: Annotated[
        float | None,
        typer.Option("--tombstone-share", min=0, max=1, help="Of those, share without a value."),
    ] = None
    map_size: Annotated[
        int | None,
        typer.Option("--map-size", min=1024, help="Bytes for keys; without it, room for all."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionOptions(UpkeepOptions):
    """Measure letting old segments go: per second, and what it does to others."""

    fill_size: Annotated[
        int | None, typer.Option("--fill-size", min=1, help="Bytes of values in the log.")
    ] = None
