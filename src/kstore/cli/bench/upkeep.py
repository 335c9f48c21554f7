"""`kstore bench compaction | retention`: what a log's old age costs, without a broker.

The work is done as a broker does it: long steps in one worker, short ones in the thread of the log,
which appends to another log of the same store and reads from it meanwhile, and did so before.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from kstore.cli.bench.beside import Beside
from kstore.cli.bench.options import CompactionOptions, RetentionOptions, StoreOptions
from kstore.cli.bench.result import Outcome
from kstore.cli.bench.upkeep_result import Moment, Sizes, UpkeepResult
from kstore.cli.bench.workloads import Load, choose
from kstore.cli.errors import CallError, CommandError
from kstore.cli.progress import Working
from kstore.configs import LogConfig
from kstore.log.compaction.run import Compaction, fail_step
from kstore.log.log import Log
from kstore.log.retention import remove_files, set_aside
from kstore.log.store import Store

__all__ = ["bench_compaction", "bench_retention", "fill_keyed"]

_CHUNK_BYTES = 4 << 20
_MOMENT_S = 0.05
_MAX_SEGMENT_SIZE = (1 << 31) - 1
_MAP_SLOT_SIZE = 27
_DAY_MS = 86_400_000
_AT_ONCE = 32  # segments that retention takes out in one turn, as the broker's


class _Bench:
    """A store with the log that is worked on and one beside it, and the worker."""

    def __init__(self, store: Store, load: Load, seed: int, config: LogConfig) -> None:
        self.log = store.create("bench", config=config)
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="kstore-bench")
        self._beside = Beside(store.create("beside"), load, seed)
        self._load = load
        self._result: UpkeepResult
        self._began = self._noted = 0.0
        self._amounts: Callable[[], dict[str, int]]

    def alone(self, result: UpkeepResult) -> None:
        """Appends and reads while there is nothing else to do."""
        self._result = result
        if self._load.beside_rate:
            end = time.perf_counter() + self._load.duration_s
            self._beside.run(lambda: time.perf_counter() >= end, result.alone)

    def begin(self, amounts: Callable[[], dict[str, int]]) -> None:
        """The work begins; `amounts` says how far it is."""
        self._amounts = amounts
        self._began = time.perf_counter()
        self._noted = self._began - _MOMENT_S

    def until(self, done: Future[None]) -> BaseException | None:
        """Appends and reads until the worker has done something; its error if there was one."""
        self._beside.run(done.done, self._result.beside, self._note)
        return done.exception()

    def end(self) -> None:
        self._noted -= _MOMENT_S
        self._note()
        self._result.elapsed_s = time.perf_counter() - self._began

    def _note(self) -> None:
        now = time.perf_counter()
        if now - self._noted >= _MOMENT_S:
            self._noted = now
            self._result.moments.append(Moment(now - self._began, self._amounts()))


@contextmanager
def _prepared(options: StoreOptions, load: Load, config: LogConfig) -> Iterator[_Bench]:
    """Raises `CommandError`."""
    if options.data_dir is not None and not options.data_dir.is_dir():
        raise CommandError(f"--data-dir {options.data_dir}: no such directory")
    try:
        import_module("kstore.log.columns")
    except ImportError:
        raise CommandError("this needs numpy: pip install 'kstore[columns]'") from None
    with (
        tempfile.TemporaryDirectory(prefix="kstore-bench-", dir=options.data_dir) as directory,
        Store.open(Path(directory) / "data") as store,
    ):
        bench = _Bench(store, load, options.seed, config)
        with bench.worker:
            yield bench


# Compaction


def bench_compaction(options: CompactionOptions) -> list[Outcome]:
    """Compacts a log of records with keys, once."""
    workload, load = choose("compaction", options.workload, options)
    if load.distribution not in ("uniform", "zipf"):
        raise CallError(f"--distribution {load.distribution}: want uniform or zipf")
    result = UpkeepResult("compaction", workload.name, load, options.seed)
    config = LogConfig(cleanup_policy=frozenset({"compact"}), segment_bytes=_segment_bytes(load))
    with _prepared(options, load, config) as bench:
        log = bench.log
        with Working("filling the log", total=_count(load)) as working:
            fill_keyed(log, load, options.seed, working.done)
        before = [segment.size for segment in log.segments.all()[:-1]]
        bench.alone(result)
        map_size = options.map_size or load.keys * _MAP_SLOT_SIZE + 1024
        compaction = Compaction(
            log,
            stable_offset=log.log_end_offset,
            now_ms=time.time_ns() // 1_000_000,
            map_size=map_size,
        )

        def amounts() -> dict[str, int]:
            now = compaction.result()
            return {
                "mapped_bytes": now.bytes_mapped,
                "read_bytes": now.bytes_read,
                "written_bytes": now.bytes_written,
            }

        bench.begin(amounts)
        with Working("compacting", total=2 * sum(before)) as working:
            steps = compaction.steps()
            work = next(steps, None)
            while work is not None:
                error = bench.until(bench.worker.submit(work))
                working.done(compaction.result().bytes_mapped + compaction.result().bytes_read)
                work = next(steps, None) if error is None else fail_step(steps, error)
        bench.end()
        result.sizes = Sizes(before, [segment.size for segment in log.segments.all()[:-1]])
    done = compaction.result()
    kept = max(1, done.bytes_written)
    result.figures = {
        "log_bytes": sum(before),
        "kept_bytes": sum(result.sizes.after),
        "records": done.records_read,
        "kept_records": done.records_kept,
        "passes": done.passes,
        "keys": done.keys,
        "map_bytes": done.map_size,
        "map_bytes_per_key": done.map_size / max(1, done.keys),
        "read_bytes": done.bytes_mapped + done.bytes_read,
        "written_bytes": done.bytes_written,
        "read_bytes_per_kept_byte": (done.bytes_mapped + done.bytes_read) / kept,
        "written_bytes_per_kept_byte": done.bytes_written / max(1, sum(result.sizes.after)),
        "bytes_per_s": sum(before) / result.elapsed_s,
        "records_per_s": done.records_read / done.passes / result.elapsed_s,
    }
    figures = result.figures
    result.text_of_work = (
        f"{done.records_read // max(1, done.passes):,} records "
        f"({sum(before) / 1e6:,.1f} MB) compacted to {done.records_kept:,} "
        f"({figures['kept_bytes'] / 1e6:,.1f} MB) in {result.elapsed_s:.2f} s: "
        f"{figures['bytes_per_s'] / 1e6:,.0f} MB/sec, {figures['records_per_s']:,.0f} "
        f"records/sec, {done.passes} passes; {figures['read_bytes_per_kept_byte']:.1f} bytes read "
        f"and {figures['written_bytes_per_kept_byte']:.1f} written for each that is kept; "
        f"{done.keys:,} keys in {done.map_size / 1e6:,.1f} MB of map, "
        f"{figures['map_bytes_per_key']:.1f} bytes each."
    )
    return [result]


def _count(load: Load) -> int:
    return max(1, round(load.keys / (1 - load.overwrite_ratio)))


def _segment_bytes(load: Load) -> int:
    """What a segment may hold, so that as many as the load wants are made by `fill_keyed`."""
    per_record = load.record_size + 64
    return min(_MAX_SEGMENT_SIZE, max(1 << 20, 2 * _count(load) * per_record // load.segments))


def fill_keyed(log: Log, load: Load, seed: int, on_records: Callable[[int], None]) -> None:
    """Fills a log with the load's records, in as many segments; the last one is sealed too."""
    from kstore.cli.bench.keyed import KeyedRecords

    records = KeyedRecords(load, seed)
    largest = max(1, min(_CHUNK_BYTES // load.record_size, records.count // load.segments))
    written, segment = 0, 1
    for keys, values in records.chunks(largest):
        log.append_columns(
            values, keys=keys, compression=load.compression_type, batch_size=max(1, load.batch_size)
        )
        written += len(values)
        on_records(written)
        if written * load.segments >= records.count * segment:
            log.roll()
            segment += 1


# Retention


def bench_retention(options: RetentionOptions) -> list[Outcome]:
    """Lets all sealed segments of a log go, as a pass of the broker's retention does."""
    workload, load = choose("retention", options.workload, options)
    result = UpkeepResult("retention", workload.name, load, options.seed)
    with _prepared(options, load, LogConfig(retention_ms=_DAY_MS)) as bench:
        log = bench.log
        with Working("filling the log", total=load.segments) as working:
            _fill_old(log, load, options.seed, working.done)
        before = [segment.size for segment in log.segments.all()[:-1]]
        bench.alone(result)
        counts = {"taken": 0, "set_aside": 0, "removed": 0}
        bench.begin(lambda: dict(counts))
        longest_ns = 0
        pending = []
        now_ms = time.time_ns() // 1_000_000
        with Working("letting go", total=2 * load.segments) as working:
            while True:
                began_ns = time.perf_counter_ns()
                taken = log.take_expired(log.log_end_offset, now_ms, _AT_ONCE)
                longest_ns = max(longest_ns, time.perf_counter_ns() - began_ns)
                if not taken:
                    break
                counts["taken"] += len(taken)
                _raise(bench.until(bench.worker.submit(set_aside, log, taken)))
                counts["set_aside"] += len(taken)
                pending.append(taken)
                working.done(counts["set_aside"])
            for taken in pending:
                _raise(bench.until(bench.worker.submit(remove_files, log, taken)))
                counts["removed"] += len(taken)
                working.done(counts["set_aside"] + counts["removed"])
        bench.end()
        result.sizes = Sizes(before, [segment.size for segment in log.segments.all()])
    result.figures = {
        "segments": len(before),
        "freed_bytes": sum(before),
        "segments_per_s": len(before) / result.elapsed_s,
        "bytes_per_s": sum(before) / result.elapsed_s,
        "longest_turn_ms": longest_ns / 1e6,
    }
    result.text_of_work = (
        f"{len(before):,} segments ({sum(before) / 1e6:,.1f} MB) removed in "
        f"{result.elapsed_s:.2f} s: {result.figures['segments_per_s']:,.0f} segments/sec, "
        f"{result.figures['bytes_per_s'] / 1e6:,.0f} MB/sec; the thread of the log was busy for "
        f"{longest_ns / 1e6:.2f} ms at most."
    )
    return [result]


def _raise(error: BaseException | None) -> None:
    if error is not None:
        raise error


def _fill_old(log: Log, load: Load, seed: int, on_segments: Callable[[int], None]) -> None:
    """Segments of records that are two days old, and an active one of today."""
    from kstore.cli.bench.batches import Values

    now_ms = time.time_ns() // 1_000_000
    count = max(1, load.fill_size // load.segments // load.record_size)
    values = Values(load, seed, load.fill_size)
    for number in range(load.segments):
        log.append_columns(
            values.take(count),
            timestamps_ms=[now_ms - 2 * _DAY_MS] * count,
            compression=load.compression_type,
            batch_size=max(1, load.batch_size),
        )
        log.roll()
        on_segments(number + 1)
    log.append_columns(values.take(1))
