"""`kstore bench append | read | lookup | columns`: the embedded engine, without a broker.

Each works on a store of its own in a temporary directory. What is compared is done in turns in the
same run, so that a machine that is slow for a while is slow for both. One thread.
"""

from __future__ import annotations

import mmap
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path

from kstore._native.batch import crc32c
from kstore._native.scan import check_run
from kstore.cli.bench.batches import make_batches
from kstore.cli.bench.embedded_result import EmbeddedResult
from kstore.cli.bench.options import EmbeddedOptions
from kstore.cli.bench.result import Outcome
from kstore.cli.bench.workloads import Load, choose
from kstore.cli.errors import CommandError
from kstore.cli.progress import Working
from kstore.log.log import Log
from kstore.log.store import Store

__all__ = ["bench_append", "bench_columns", "bench_lookup", "bench_read"]

_TURN_COUNT = 64  # batches before it is the other one's turn
_SPARE_SIZE = 64 << 20  # where the limit copies to; larger than the caches
_SLICE_SIZE = 1 << 20
_RECORD_COUNT = 1000  # records that are iterated as one operation
_LOOKUP_COUNT = 64  # lookups that are timed together: the clock takes as long as one


@contextmanager
def _new_log(options: EmbeddedOptions) -> Iterator[Log]:
    if options.data_dir is not None and not options.data_dir.is_dir():
        raise CommandError(f"--data-dir {options.data_dir}: no such directory")
    with (
        tempfile.TemporaryDirectory(prefix="kstore-bench-", dir=options.data_dir) as directory,
        Store.open(Path(directory) / "data") as store,
    ):
        yield store.create("bench")


def bench_append(options: EmbeddedOptions) -> list[Outcome]:
    """Appends batches up to the load's size, and copies and checks the same bytes in turn."""
    workload, load = choose("append", options.workload, options)
    appended = EmbeddedResult("append", workload.name, "append", "appends", load, options.seed)
    limit = replace_part(appended, "copy + CRC", "batches copied and checked")
    batches = make_batches(load, options.seed)
    turns = cycle(batches)
    spare = mmap.mmap(-1, _SPARE_SIZE + max(len(batch.data) for batch in batches))
    spare.write(bytes(len(spare)))
    position = 0
    now_ms = time.time_ns() // 1_000_000
    clock = time.perf_counter_ns
    with _new_log(options) as log, Working("appending") as working:
        while log.size < load.fill_size:
            turn = list(islice(turns, _TURN_COUNT))
            size = sum(len(batch.data) for batch in turn)
            count = sum(batch.record_count for batch in turn)
            stamps = [clock()]
            for batch in turn:
                log.append(batch.data, now_ms=now_ms)
                stamps.append(clock())
            appended.add(stamps, count, size)
            stamps = [clock()]
            for batch in turn:
                data = batch.data
                spare[position : position + len(data)] = data
                crc32c(data)
                stamps.append(clock())
                position = (position + len(data)) % _SPARE_SIZE
            limit.add(stamps, count, size)
            working.done(log.size)
    spare.close()
    appended.limit = limit
    return [appended, limit]


def replace_part(result: EmbeddedResult, part: str, operations: str) -> EmbeddedResult:
    """An empty result of another part of the same benchmark."""
    return EmbeddedResult(
        result.benchmark, result.workload, part, operations, result.load, result.seed
    )


def bench_read(options: EmbeddedOptions) -> list[Outcome]:
    """Reads a log as slices, copied out and checked, and as records."""
    workload, load = choose("read", options.workload, options)
    slices = EmbeddedResult("read", workload.name, "slices", "slices", load, options.seed)
    records = replace_part(slices, "records", f"runs of {_RECORD_COUNT} records")
    with _new_log(options) as log, Working("reading"):
        _fill(log, load, options.seed)
        _take_turns(load, (slices, _slices(log)), (records, _records(log)))
    return [slices, records]


def bench_columns(options: EmbeddedOptions) -> list[Outcome]:
    """Reads a log as numpy columns, and as records."""
    try:
        import_module("kstore.log.columns")
    except ImportError:
        raise CommandError("columns need numpy: pip install 'kstore[columns]'") from None
    workload, load = choose("columns", options.workload, options)
    columns = EmbeddedResult("columns", workload.name, "columns", "reads", load, options.seed)
    records = replace_part(columns, "records", f"runs of {_RECORD_COUNT} records")
    with _new_log(options) as log, Working("reading"):
        _fill(log, load, options.seed)
        _take_turns(load, (columns, _columns(log)), (records, _records(log)))
    return [columns, records]


def bench_lookup(options: EmbeddedOptions) -> list[Outcome]:
    """Looks for offsets all over a log of several segments."""
    workload, load = choose("lookup", options.workload, options)
    found = EmbeddedResult("lookup", workload.name, "find", "lookups", load, options.seed)
    read = replace_part(found, "read", "lookups with their slice")
    with _new_log(options) as log, Working("looking up"):
        _fill(log, load, options.seed)
        chance = random.Random(options.seed)
        end = log.log_end_offset
        segments = log.segments

        def find(offset: int) -> object:
            return segments[segments.floor(offset)].find(offset)

        def read_one(offset: int) -> object:
            return log.read(offset, 1, upto_offset=end)

        def lookups(look: Callable[[int], object]) -> Iterator[tuple[list[int], int, int]]:
            while True:
                offsets = [chance.randrange(end) for _ in range(_LOOKUP_COUNT)]
                start = time.perf_counter_ns()
                for offset in offsets:
                    look(offset)
                yield [start, time.perf_counter_ns()], 0, 0

        found.operations_per_stamp = read.operations_per_stamp = _LOOKUP_COUNT
        _take_turns(load, (found, lookups(find)), (read, lookups(read_one)))
    return [found, read]


# What one turn of an operation took: its stamps, how many records and bytes.
_Turns = Iterator[tuple[list[int], int, int]]


def _take_turns(load: Load, *pairs: tuple[EmbeddedResult, _Turns]) -> None:
    """Runs each in turn, first to warm up, then for the load's time."""
    deadline_ns = time.perf_counter_ns() + int(load.warmup_s * 1e9)
    while time.perf_counter_ns() < deadline_ns:
        for _, turns in pairs:
            next(turns)
    deadline_ns = time.perf_counter_ns() + int(load.duration_s * 1e9)
    while True:
        for result, turns in pairs:
            result.add(*next(turns))
        if time.perf_counter_ns() >= deadline_ns:
            return


def _slices(log: Log) -> _Turns:
    end = log.log_end_offset
    offset = log.log_start_offset
    while True:
        start = time.perf_counter_ns()
        found = log.read(offset, _SLICE_SIZE, upto_offset=end)
        if found is None:
            raise CommandError(f"nothing at offset {offset}")
        size, next_offset, _ = check_run(found.read(), offset, 0)
        found.release()
        yield [start, time.perf_counter_ns()], next_offset - offset, size
        offset = next_offset if next_offset < end else log.log_start_offset


def _records(log: Log) -> _Turns:
    while True:
        records = log.records()
        while True:
            start = time.perf_counter_ns()
            run = list(islice(records, _RECORD_COUNT))
            end = time.perf_counter_ns()
            if not run:
                break
            yield [start, end], len(run), sum(len(record.value or b"") for record in run)


def _columns(log: Log) -> _Turns:
    offset = log.log_start_offset
    while True:
        start = time.perf_counter_ns()
        columns = log.read_columns(offset)
        end = time.perf_counter_ns()
        yield [start, end], len(columns), int(columns.values.sizes.sum())
        offset = columns.next_offset
        if offset >= log.log_end_offset:
            offset = log.log_start_offset


def _fill(log: Log, load: Load, seed: int) -> None:
    """Fills a log with as many segments as the load asks for."""
    turns = cycle(make_batches(load, seed))
    now_ms = time.time_ns() // 1_000_000
    for number in range(1, load.segments + 1):
        while log.size < load.fill_size * number // load.segments:
            log.append(next(turns).data, now_ms=now_ms)
        if number < load.segments:
            log.roll()
