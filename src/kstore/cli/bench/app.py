"""`kstore bench WHAT`: which benchmarks there are, and what is done with their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from kstore.cli import output
from kstore.cli.app import call_with_words
from kstore.cli.bench.options import (
    AppendOptions,
    ColumnsOptions,
    CommonOptions,
    CompactionOptions,
    ConnectionsOptions,
    EndToEndOptions,
    FetchOptions,
    LookupOptions,
    ProduceOptions,
    ReadOptions,
    RetentionOptions,
)
from kstore.cli.bench.plot import draw
from kstore.cli.bench.result import Outcome
from kstore.cli.bench.workloads import list_workloads
from kstore.cli.errors import CallError
from kstore.cli.plots import check_plot

__all__ = ["BENCHMARKS", "Benchmark", "run_bench"]


class Benchmark(NamedTuple):
    """A benchmark: its options, and the function that runs it with them."""

    name: str
    options: type[CommonOptions]
    function: str


BENCHMARKS = (
    Benchmark("produce", ProduceOptions, "broker_runs:bench_produce"),
    Benchmark("fetch", FetchOptions, "broker_runs:bench_fetch"),
    Benchmark("end-to-end", EndToEndOptions, "broker_runs:bench_end_to_end"),
    Benchmark("connections", ConnectionsOptions, "broker_runs:bench_connections"),
    Benchmark("append", AppendOptions, "embedded:bench_append"),
    Benchmark("read", ReadOptions, "embedded:bench_read"),
    Benchmark("lookup", LookupOptions, "embedded:bench_lookup"),
    Benchmark("columns", ColumnsOptions, "embedded:bench_columns"),
    Benchmark("compaction", CompactionOptions, "upkeep:bench_compaction"),
    Benchmark("retention", RetentionOptions, "upkeep:bench_retention"),
)

_HELP_WORDS = ("--help", "-h", "help")


def run_bench(words: Sequence[str]) -> int:
    """Runs the benchmark that `words` name; gives its status. Raises `CommandError`."""
    if not words or words[0] in _HELP_WORDS:
        _print_benchmarks()
        return 0 if words else CallError.status
    for benchmark in BENCHMARKS:
        if benchmark.name == words[0]:
            options = call_with_words(benchmark.options, f"bench {benchmark.name}", words[1:])
            return options if isinstance(options, int) else _run(benchmark, options)
    names = ", ".join(benchmark.name for benchmark in BENCHMARKS)
    raise CallError(f"no benchmark '{words[0]}'; there are: {names}")


def _run(benchmark: Benchmark, options: CommonOptions) -> int:
    if options.list_them:
        list_workloads(benchmark.name)
        return 0
    if options.plot is not None:
        check_plot(options.plot)
    module, _, name = benchmark.function.partition(":")
    function: Callable[[CommonOptions], Sequence[Outcome]]
    function = getattr(import_module(f"kstore.cli.bench.{module}"), name)
    results = function(options)
    if options.plot is not None:
        draw(results, options.plot)
    if options.json:
        output.print_json(result.row() for result in results)
    else:
        print("\n".join(result.text() for result in results))
    return 0


def _print_benchmarks() -> None:
    print("Usage: kstore bench WHAT [OPTIONS]\n")
    print("Measure a broker over the wire, or the embedded engine without one.\n\nWhat:")
    for benchmark in BENCHMARKS:
        print(f"  {benchmark.name:13}{(benchmark.options.__doc__ or '').splitlines()[0]}")
    print(
        "\n`kstore bench WHAT --help` lists its options, `kstore bench WHAT --list` its workloads."
    )
