"""The benchmarks of a broker, each from its options to its results."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from kstore.cli.bench.broker_process import BrokerProcess
from kstore.cli.bench.connections import crowd_of, enough_descriptors
from kstore.cli.bench.end_to_end import MIN_RECORD_SIZE, end_to_end
from kstore.cli.bench.fetch import fetch
from kstore.cli.bench.live import LiveLine
from kstore.cli.bench.memory import keep_freed_memory
from kstore.cli.bench.options import (
    ConnectionsOptions,
    EndToEndOptions,
    FetchOptions,
    LoadOptions,
    ProduceOptions,
)
from kstore.cli.bench.produce import produce
from kstore.cli.bench.recorder import Recorder
from kstore.cli.bench.result import Outcome, Result
from kstore.cli.bench.target import Target, open_target
from kstore.cli.bench.workloads import Load, choose
from kstore.cli.errors import CallError
from kstore.cli.progress import Working

__all__ = ["bench_connections", "bench_end_to_end", "bench_fetch", "bench_produce"]


def _process(options: LoadOptions) -> BrokerProcess | None:
    return None if options.broker_pid is None else BrokerProcess(options.broker_pid)


@contextmanager
def _recording(options: LoadOptions, title: str, load: Load) -> Iterator[Recorder]:
    """A recorder whose intervals are shown as they end."""
    process = _process(options)
    keep_freed_memory()
    with LiveLine(title, None if load.num_records else load.duration_s) as line:
        yield Recorder(process=process, on_interval=line.show)


def bench_produce(options: ProduceOptions) -> list[Result]:
    """`kstore bench produce`."""
    workload, load = choose("produce", options.workload, options)
    with (
        open_target(options, load.partitions) as target,
        _recording(options, f"produce {workload.name}", load) as recorder,
    ):
        produce(target, load, options.seed, recorder)
    return [Result("produce", workload.name, load, options.seed, recorder, "sent")]


def bench_fetch(options: FetchOptions) -> list[Result]:
    """`kstore bench fetch`."""
    workload, load = choose("fetch", options.workload, options)
    if options.from_beginning:
        load = replace(load, warmup_s=0.0)
    with open_target(options, load.partitions) as target:
        if options.topic is None:
            _fill(target, load, options.seed)
        with _recording(options, f"fetch {workload.name}", load) as recorder:
            fetch(target, load, recorder, once=options.from_beginning)
    return [Result("fetch", workload.name, load, options.seed, recorder, "read")]


def bench_end_to_end(options: EndToEndOptions) -> list[Result]:
    """`kstore bench end-to-end`."""
    workload, load = choose("end-to-end", options.workload, options)
    if load.record_size < MIN_RECORD_SIZE:
        raise CallError(f"--record-size {load.record_size}: want at least {MIN_RECORD_SIZE} here")
    with (
        open_target(options, load.partitions) as target,
        _recording(options, f"end-to-end {workload.name}", load) as recorder,
    ):
        end_to_end(target, load, options.seed, recorder)
    return [Result("end-to-end", workload.name, load, options.seed, recorder, "sent and received")]


def bench_connections(options: ConnectionsOptions) -> list[Outcome]:
    """`kstore bench connections`: produce and fetch alone, the crowd, both again beside it."""
    workload, load = choose("connections", options.workload, options)
    alone = replace(load, connections=1)
    process = _process(options)

    def measured(where: str) -> list[Result]:
        results = []
        for what, verb in (("produce", "sent"), ("fetch", "read")):
            part = f"{what} {where}"
            with _recording(options, part, alone) as recorder:
                if what == "produce":
                    produce(target, alone, options.seed, recorder)
                else:
                    fetch(target, alone, recorder)
            results.append(
                Result("connections", workload.name, alone, options.seed, recorder, verb, part)
            )
        return results

    with (
        enough_descriptors(load.connections),
        open_target(options, load.partitions) as target,
    ):
        if options.topic is None:
            _fill(target, load, options.seed)
        before = measured("alone")
        with crowd_of(target) as crowd:
            opened = crowd.open(load.connections, workload.name, process)
            beside = measured("beside the crowd")
            crowd.ask_again()
    return [*before, opened, *beside]


def _fill(target: Target, load: Load, seed: int) -> None:
    filling = replace(
        load,
        num_records=max(target.partition_count, load.fill_size // load.record_size),
        warmup_s=0.0,
        connections=1,
        in_flight=32,
        rate=0.0,
        acks=1,
    )
    with Working("filling the topic"):
        produce(target, filling, seed, Recorder())
