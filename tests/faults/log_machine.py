"""A state machine: whatever is done to a log, whenever it crashes, it holds what its model holds.

Its steps are those of an engine's life: appends of all kinds, reads, rolls, truncations, deleted
records, compactions, flushes, checkpoints, clean stops, kills and power cuts. Besides, the world is
stopped after some of the calls that a step makes, and what a power cut would leave there is judged.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kstore.configs import LogConfig
from kstore.log.log import Log
from kstore.log.retention import remove_files, set_aside
from kstore.log.store import Store
from kstore.testing.manual import ManualRuntime
from tests.faults.life import SmallPages
from tests.faults.log_model import Batch, Model, judge, judge_copy, judge_retries
from tests.support.logs import NOW_MS, open_store

STOPPED_SHARE = 0.01
"""Of the calls, after which a power cut is judged."""


class LogMachine(RuleBasedStateMachine):
    """Runs below a directory of its own."""

    @initialize(
        segment_bytes=st.integers(900, 4000),
        interval=st.integers(0, 1500),
        index_bytes=st.integers(24, 400),
        compacts=st.booleans(),
        flush_messages=st.sampled_from([1, 1 << 62, 1 << 62]),
        seed=st.integers(0, (1 << 32) - 1),
    )
    def start(
        self,
        segment_bytes: int,
        interval: int,
        index_bytes: int,
        compacts: bool,
        flush_messages: int,
        seed: int,
    ) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="kstore-machine-"))
        self.choose = Random(seed)
        self.count = 0
        self.config = LogConfig(
            segment_bytes=segment_bytes,
            index_interval_bytes=interval,
            segment_index_bytes=index_bytes,
            flush_messages=flush_messages,
            retention_ms=-1,
            cleanup_policy=frozenset({"compact", "delete"} if compacts else {"delete"}),
        )
        self.directory = self.root / "data"
        self.files = SmallPages()
        self.runtime = ManualRuntime()
        self.model = Model()
        self.epoch = 0
        self.found: Exception | None = None
        self.store: Store = self._opened()
        self.log: Log = self.store.create("topic")
        self._forget_producers(1)
        self.files.after_call = self._maybe_stopped

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.files.after_call = None
            self.store.abandon()
            shutil.rmtree(self.root)

    def _opened(self) -> Store:
        return open_store(
            self.directory, files=self.files, config=self.config, runtime=self.runtime
        )

    def _forget_producers(self, first_id: int) -> None:
        """What they know is of no use any more; others come in their place."""
        self.sequences = {first_id: 0, first_id + 1: 0}
        self.transactional = first_id + 2
        self.sequences[self.transactional] = 0
        self.in_transaction = False

    def _copy(self) -> Path:
        self.count += 1
        return self.root / str(self.count)

    def _maybe_stopped(self, method: str, path: Path | None) -> None:
        if self.found is None and self.choose.random() < STOPPED_SHARE:
            copy = self._copy()
            self.files.after_power_cut(self.directory, copy, self.choose)
            try:
                judge_copy(copy, self.model, self.config, self.model.durable)
            except Exception as error:
                # Not raised here, within the engine, which may take it for an error of a worker.
                self.found = error

    def _promise(self) -> None:
        """Everything is on the disk."""
        self.model.durable = self.model.end

    # Appending

    def _send(self, batch: Batch) -> None:
        self.model.append(self.log, batch)
        if self.config.flush_messages == 1:
            self._promise()

    def _append(
        self, count: int, codec: str, producer_id: int = -1, *, transactional: bool = False
    ) -> None:
        self._send(
            self.model.make_batch(
                self.choose,
                self.epoch,
                count=count,
                codec=codec,
                producer_id=producer_id,
                sequence=self.sequences.get(producer_id, -1),
                transactional=transactional,
            )
        )
        if producer_id in self.sequences:
            self.sequences[producer_id] += count

    @rule(count=st.integers(1, 4), codec=st.sampled_from(["none", "none", "lz4"]))
    def append(self, count: int, codec: str) -> None:
        self._append(count, codec)

    @rule(count=st.integers(5, 20))
    def append_many(self, count: int) -> None:
        for _ in range(count):
            self._append(1, "none")

    @rule(number=st.integers(0, 1), count=st.integers(1, 3))
    def append_idempotent(self, number: int, count: int) -> None:
        self._append(count, "none", sorted(self.sequences)[number])

    @rule(count=st.integers(1, 3), codec=st.sampled_from(["none", "lz4"]))
    def append_in_transaction(self, count: int, codec: str) -> None:
        self._append(count, codec, self.transactional, transactional=True)
        self.in_transaction = True

    @precondition(lambda self: self.in_transaction)
    @rule(commits=st.booleans())
    def end_transaction(self, commits: bool) -> None:
        end = self.model.end
        self._send(Batch(end, end, self.epoch, producer_id=self.transactional, commits=commits))
        self.in_transaction = False

    @rule()
    def new_epoch(self) -> None:
        self.epoch += 1
        self.log.assign_leader_epoch(self.epoch)

    # What happens to a log

    @rule(count=st.integers(1, 3))
    def work(self, count: int) -> None:
        self.runtime.run_soon()
        self.runtime.run_workers(count)

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule()
    def flush(self) -> None:
        self.log.flush()
        self._promise()

    @rule()
    def checkpoint(self) -> None:
        self.store.checkpoint()
        self.model.kept_start = self.model.start

    @precondition(lambda self: self.model.end > self.model.start)
    @rule(back=st.integers(0, 40))
    def truncate(self, back: int) -> None:
        offset = max(self.model.start, self.model.end - back)
        self.model.cut_to = offset
        self.log.truncate_to(offset)
        if offset < self.model.end:
            self.model.truncated(offset, self.log)
            self.model.durable = min(self.model.durable, offset)
            self._forget_producers(self.transactional + 1)
        self.model.cut_to = None

    @precondition(lambda self: self.model.end > self.model.start)
    @rule(data=st.data())
    def delete_records(self, data: st.DataObject) -> None:
        offset = data.draw(st.integers(self.model.start, self.model.end))
        self.model.start = offset
        self.log.advance_log_start(offset)
        taken = self.log.take_below_start()
        set_aside(self.log, taken)
        self.store.checkpoint()
        self.model.kept_start = offset
        remove_files(self.log, taken)

    @precondition(lambda self: "compact" in self.config.cleanup_policy)
    @rule()
    def compact(self) -> None:
        self.model.compacted = True
        self.log.compact(NOW_MS)

    @rule(interval=st.integers(0, 1500))
    def reconfigure(self, interval: int) -> None:
        self.config = replace(self.config, index_interval_bytes=interval)
        self.log.reconfigure(self.config)

    # Ends and starts

    def _go_on(self, *, durable: bool) -> None:
        self.log = self.store.logs["topic", 0]
        self.model.go_on_from(self.log, durable=durable)
        judge_retries(self.log, self.model)
        self.epoch += 1
        self.log.assign_leader_epoch(self.epoch)
        self._forget_producers(self.transactional + 1)

    @rule()
    def stop_and_start(self) -> None:
        self.runtime.run_workers()
        self.store.close()
        self._promise()
        self.model.kept_start = self.model.start
        self.store = self._opened()
        assert self.store.clean_start
        log = self.store.logs["topic", 0]
        assert log.faults == []
        judge(log, self.model, self.model.durable)
        self._go_on(durable=True)

    @rule()
    def kill(self) -> None:
        """What was written is in the memory of the system."""
        self.store.abandon()
        self.runtime = ManualRuntime()
        self.store = self._opened()
        log = self.store.logs["topic", 0]
        assert log.faults == []
        judge(log, self.model, self.model.end)
        self._go_on(durable=False)

    @rule()
    def power_cut(self) -> None:
        copy = self._copy()
        self.files.after_power_cut(self.directory, copy, self.choose)
        self.store.abandon()
        shutil.rmtree(self.directory)
        self.runtime = ManualRuntime()
        self.directory, self.files = copy, SmallPages()
        self.store = self._opened()
        judge(self.store.logs["topic", 0], self.model, self.model.durable)
        self._go_on(durable=True)
        self.files.after_call = self._maybe_stopped

    # What must hold

    @invariant()
    def nothing_was_found(self) -> None:
        if hasattr(self, "found") and self.found is not None:
            raise self.found

    @rule()
    def read_all(self) -> None:
        judge(self.log, self.model, self.model.end)

    @rule(data=st.data(), max_size=st.integers(1, 3000))
    def read(self, data: st.DataObject, max_size: int) -> None:
        offset = data.draw(st.integers(self.model.start, self.model.end))
        found = self.log.read(offset, max_size, upto_offset=self.model.end)
        written = [batch for batch in self.model.batches if batch.last_offset >= offset]
        if not self.model.compacted:
            assert (found is None) == (not written)
        if found is not None:
            assert len(found.read()) == found.size
