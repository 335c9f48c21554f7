"""One compaction of one log, step by step.

`steps` is a walk that the thread of the log makes: what it yields is to be done by a worker, and
what stands between two yields is short. So produce and fetch go on meanwhile; all that the log's
thread does is to put a finished segment in the place of others.

    for each pass:  map the keys of the dirty part, as many as the map takes        worker
        for each group of segments:
            write what is kept, name it `.swap`                                     worker
            take it into the log                                                    log
            take the old ones' names away                                           worker
            give it their name                                                      log
            remove the old ones' files                                              worker

A lock is held by whoever changes files, so a compaction that is stopped has stopped: `stop` leaves
everything in order, `cancel` as a crash would. After an error of either kind the log is as sound as
before. Source: Kafka's Cleaner.doClean.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Generator
from typing import NamedTuple

from kstore._native.key_map import KeyMap
from kstore.errors import CorruptLogError, ErrorCode, KafkaError
from kstore.log.compaction.choice import Cleanable, choose, group
from kstore.log.compaction.rewrite import Rewriter, StoppedError
from kstore.log.compaction.rules import LastBatches, Transactions
from kstore.log.compaction.swap import Swap
from kstore.log.read import corrupt
from kstore.log.segment import Segment
from kstore.log.state import LogState
from kstore.log.transaction_index import AbortedTransaction, read_aborted

__all__ = ["Compacted", "Compaction", "cleanable", "compact", "fail_step"]

logger = logging.getLogger("kstore.log")


class Compacted(NamedTuple):
    """What a compaction did. `bytes_mapped` were read for the keys of the dirty part, `bytes_read`
    and `bytes_written` count what was rewritten; `keys` is the most that the map held in a pass,
    `map_size` its bytes. Everything below `cleaned_offset` is compacted now."""

    passes: int
    bytes_mapped: int
    bytes_read: int
    bytes_written: int
    records_read: int
    records_kept: int
    records_without_key: int
    keys: int
    map_size: int
    cleaned_offset: int


def cleanable(log: LogState, stable_offset: int, now_ms: int) -> Cleanable:
    """What of the log can be compacted now. Thread of the log. Raises OSError."""
    return choose(
        log.segments.all(),
        cleaned_offset=log.cleaned_offset,
        log_start_offset=log.log_start_offset,
        log_end_offset=log.log_end_offset,
        stable_offset=stable_offset,
        config=log.config,
        now_ms=now_ms,
    )


class Compaction:
    """One log's, from when it is made until its steps have ended. `result` is for afterwards."""

    def __init__(
        self,
        log: LogState,
        *,
        stable_offset: int,
        now_ms: int,
        map_size: int,
        throttle: Callable[[int], float] = lambda size: 0.0,
    ) -> None:
        """Records from `stable_offset` on are not decided; `map_size` is the bytes that the map of
        keys may have. Raises KafkaError."""
        log.check_usable()
        if "compact" not in log.config.cleanup_policy:
            raise KafkaError(
                ErrorCode.INVALID_CONFIG, f"the cleanup.policy of {log.name} is not compact"
            )
        if log.compaction is not None:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{log.name} is being compacted already")
        self._log = log
        self._stable_offset = stable_offset
        self._now_ms = now_ms
        self._map_size = map_size
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._rest: list[Callable[[], None]] = []
        self._is_swapping = False
        self._rewriter = Rewriter(log.handles, log.config, self._stopping, throttle)
        self._passes = 0
        self._keys = 0
        self._used_size = 0
        log.compaction = self

    # Being stopped

    def cancel(self) -> None:
        self._stopping.set()
        with self._lock:
            self._rest.clear()

    def stop(self) -> None:
        self._stopping.set()
        with self._lock:
            while self._rest:
                self._take_step()

    # The way

    def steps(self) -> Generator[Callable[[], None]]:
        """Yields what a worker is to do next; go on once it is done, or `throw` its error.

        Ends early if the compaction was stopped. Raises KafkaError; CORRUPT_MESSAGE if something in
        the log is damaged, and then it stays as it is.
        """
        log = self._log
        try:
            while True:
                part = cleanable(log, self._stable_offset, self._now_ms)
                if part.end_offset <= part.first_dirty_offset:
                    return
                yield from self._pass(part)
        except StoppedError:
            logger.info("stopped the compaction of %s", log.name)
        except CorruptLogError as error:
            raise corrupt(error) from error
        except OSError as error:
            failure = log.disk_error(error, "compacting")
            if self._is_swapping:
                # Names are half changed: not even a full disk leaves the log as it was.
                log.fail(failure)
            raise failure from error
        finally:
            log.compaction = None

    def _pass(self, part: Cleanable) -> Generator[Callable[[], None]]:
        log = self._log
        self._passes += 1
        count = part.end_offset - part.first_dirty_offset
        map = KeyMap(self._map_size, count, os.urandom(16))
        segments = [s for s in log.segments.all()[:-1] if s.base_offset < part.end_offset]
        dirty = segments[max(0, log.segments.floor(part.first_dirty_offset)) :]
        later = log.segments.all()[len(segments) :]
        last = LastBatches(log.producers.active(), part.end_offset)
        found: list[AbortedTransaction] = []
        groups: list[list[Segment]] = []

        def prepare() -> None:
            deciding = list(dirty)
            for segment in [*segments, *later]:
                aborted = read_aborted(log.files, segment.paths()[3])
                found.extend(aborted)
                if aborted and segment in later:
                    deciding.append(segment)
            # What these say takes older records away, so it must not be lost afterwards.
            for segment in deciding:
                for handle in segment.open_files():
                    log.files.sync(handle.descriptor)
            self._rewriter.map_keys(map, dirty, part.first_dirty_offset, part.end_offset, found)
            groups.extend(
                group(
                    [s for s in segments if s.base_offset <= map.latest_offset],
                    max_size=log.config.segment_bytes,
                    max_index_size=log.config.segment_index_bytes,
                    end_offset=part.end_offset,
                )
            )

        yield self._guarded(prepare)
        self._keys = max(self._keys, map.count)
        self._used_size = max(self._used_size, map.memory_size)
        transactions = Transactions(found)
        for old in groups:
            yield from self._replace(old, map, transactions, last)
        self._guarded(lambda: setattr(log, "cleaned_offset", map.latest_offset + 1))()

    def _replace(
        self, old: list[Segment], map: KeyMap, transactions: Transactions, last: LastBatches
    ) -> Generator[Callable[[], None]]:
        def rewrite() -> None:
            new = self._rewriter.rewrite(old, map, transactions, last, self._now_ms)
            swap = Swap(self._log, old, new)
            self._rest = [swap.name, swap.take_in, swap.retire, swap.finish, swap.remove]
            self._is_swapping = True
            self._take_step()

        yield self._guarded(rewrite)
        self._guarded(self._take_step)()
        yield self._guarded(self._take_step)
        self._guarded(self._take_step)()
        yield self._guarded(self._take_step)

    def _take_step(self) -> None:
        step = self._rest.pop(0)
        # All names are right before the last one, which only removes files.
        self._is_swapping = bool(self._rest)
        step()

    def _guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        """`work` under the lock, unless the compaction was stopped before."""

        def guarded() -> None:
            with self._lock:
                if self._stopping.is_set():
                    raise StoppedError
                work()

        return guarded

    def result(self) -> Compacted:
        counts = self._rewriter.counts
        return Compacted(
            self._passes,
            counts.bytes_mapped,
            counts.bytes_read,
            counts.bytes_written,
            counts.records_read,
            counts.records_kept,
            counts.records_without_key,
            self._keys,
            self._used_size,
            self._log.cleaned_offset,
        )


def compact(log: LogState, now_ms: int, map_size: int) -> Compacted:
    """Compacts all that can be, at once and in this thread. Raises KafkaError."""
    undecided = log.producers.first_undecided_offset()
    compaction = Compaction(
        log,
        stable_offset=log.log_end_offset if undecided is None else undecided,
        now_ms=now_ms,
        map_size=map_size,
    )
    steps = compaction.steps()
    work = next(steps, None)
    while work is not None:
        try:
            work()
        except (StoppedError, CorruptLogError, OSError) as error:
            work = fail_step(steps, error)
        else:
            work = next(steps, None)
    return compaction.result()


def fail_step(
    steps: Generator[Callable[[], None]], error: BaseException
) -> Callable[[], None] | None:
    """What is to be done after a step that failed: nothing. Raises KafkaError as the steps do."""
    try:
        return steps.throw(error)
    except StopIteration:
        return None
