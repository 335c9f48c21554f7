"""A log against a plain list: whatever is done to it, it holds what the list holds."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kstore._native.batch import walk
from kstore.configs import LogConfig
from kstore.log.log import Log
from kstore.log.records import build_batch
from kstore.log.store import Store
from tests.support.logs import NOW_MS, open_store

MAX_DELAY_MS = 50


@dataclass(frozen=True)
class Batch:
    """What the model knows of a batch: its offsets, its bytes but for these, its times."""

    base_offset: int
    last_offset: int
    records: tuple[tuple[bytes, int], ...]
    epoch: int


class LogMachine(RuleBasedStateMachine):
    @initialize(
        segment_bytes=st.integers(600, 4000),
        interval=st.integers(0, 1500),
        index_bytes=st.integers(24, 400),
    )
    def start(self, segment_bytes: int, interval: int, index_bytes: int) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="kstore-log-"))
        self.count = 0
        self.config = LogConfig(
            segment_bytes=segment_bytes,
            index_interval_bytes=interval,
            segment_index_bytes=index_bytes,
        )
        self.directory = self.root / "0"
        self.store: Store = open_store(self.directory, config=self.config)
        self.log: Log = self.store.create("topic")
        self.model: list[Batch] = []
        self.end = 0
        self.epoch = 0
        self.sequences = {1: 0, 2: 0}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.root)

    # Appending

    def _append(self, sizes: list[tuple[int, int]], compression: str, producer: int) -> None:
        records = [
            (b"%d:" % (self.end + number) + b"x" * size, NOW_MS + delay)
            for number, (size, delay) in enumerate(sizes)
        ]
        idempotent = producer in self.sequences
        data = build_batch(
            [(None, value, time) for value, time in records],
            compression=compression,
            producer_id=producer if idempotent else -1,
            producer_epoch=0 if idempotent else -1,
            base_sequence=self.sequences[producer] if idempotent else -1,
        )
        appended = self.log.append(data, now_ms=NOW_MS)
        last = self.end + len(records) - 1
        assert (appended.base_offset, appended.last_offset) == (self.end, last)
        assert not appended.duplicate
        if idempotent:
            self.sequences[producer] += len(records)
            again = self.log.append(data, now_ms=NOW_MS)
            assert (again.duplicate, again.base_offset, again.last_offset) == (True, self.end, last)
        self.model.append(Batch(self.end, last, tuple(records), self.epoch))
        self.end = last + 1

    @rule(
        sizes=st.lists(
            st.tuples(st.integers(0, 60), st.integers(0, MAX_DELAY_MS)), min_size=1, max_size=4
        ),
        compression=st.sampled_from(["none", "none", "lz4"]),
        producer=st.integers(0, 2),
    )
    def append(self, sizes: list[tuple[int, int]], compression: str, producer: int) -> None:
        self._append(sizes, compression, producer)

    @rule(count=st.integers(5, 25), delay=st.integers(0, MAX_DELAY_MS))
    def append_many(self, count: int, delay: int) -> None:
        for number in range(count):
            self._append([(20, (delay + number) % MAX_DELAY_MS)], "none", 0)

    @rule(size=st.integers(100, 500))
    def append_large(self, size: int) -> None:
        self._append([(size, 0)], "none", 0)

    @rule(gap=st.integers(1, 50))
    def append_verbatim(self, gap: int) -> None:
        base = self.end + gap
        value = b"%d:verbatim" % base
        self.log.append_verbatim(
            build_batch([(None, value, NOW_MS)], base_offset=base, leader_epoch=self.epoch)
        )
        self.model.append(Batch(base, base, ((value, NOW_MS),), self.epoch))
        self.end = base + 1

    @rule()
    def new_epoch(self) -> None:
        self.epoch += 1
        self.log.assign_leader_epoch(self.epoch)

    # What happens to a log

    @rule()
    def roll(self) -> None:
        self.log.roll()

    @rule()
    def flush(self) -> None:
        self.log.flush()
        assert self.log.recovery_point == self.end

    @rule()
    def checkpoint(self) -> None:
        self.store.checkpoint()

    @precondition(lambda self: self.model)
    @rule(back=st.integers(0, 80))
    def truncate(self, back: int) -> None:
        offset = max(0, self.end - back)
        self.log.truncate_to(offset)
        self.model = [batch for batch in self.model if batch.last_offset < offset]
        self.end = offset
        # Sequences go back too; what a producer knows is of no use then.
        self.sequences = {}

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(self.directory, config=self.config)
        self.log = self.store.logs["topic", 0]
        assert self.store.clean_start
        assert self.log.faults == []
        self._go_on()

    def _go_on(self) -> None:
        """After opening; what a truncation left free at the end of the log is written nowhere."""
        least = self.model[-1].last_offset + 1 if self.model else 0
        assert least <= self.log.log_end_offset <= self.end
        self.end = self.log.log_end_offset
        self.log.assign_leader_epoch(self.epoch)

    @rule(junk=st.binary(max_size=40))
    def crash(self, junk: bytes) -> None:
        """Goes on with a copy of the directory as it is now, perhaps with a torn tail."""
        self.count += 1
        copy = self.root / str(self.count)
        shutil.copytree(self.directory, copy)
        active, size = self.log.segments.active.path.name, self.log.segments.active.size
        self.store.close()
        self.directory = copy
        torn = junk.rstrip(b"\0")
        if torn:
            with (copy / "topic-0" / active).open("r+b") as file:
                file.seek(size)
                file.write(torn)
        self.store = open_store(copy, config=self.config)
        self.log = self.store.logs["topic", 0]
        assert not self.store.clean_start
        assert [fault.position for fault in self.log.faults] == ([size] if torn else [])
        self._go_on()

    # What must hold

    @invariant()
    def ends(self) -> None:
        if hasattr(self, "log"):
            assert self.log.log_end_offset == self.end
            assert self.log.recovery_point <= self.end
            assert self.log.size == sum(segment.size for segment in self.log.segments.all())

    @rule()
    def read_all(self) -> None:
        expected = [
            (batch.base_offset + number, value, time)
            for batch in self.model
            for number, (value, time) in enumerate(batch.records)
        ]
        found = [
            (record.offset, record.value, record.timestamp_ms) for record in self.log.records()
        ]
        assert found == expected
        assert [header.leader_epoch for header in self.log.batches()] == [
            batch.epoch for batch in self.model
        ]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), max_size=st.integers(1, 3000))
    def read(self, data: st.DataObject, max_size: int) -> None:
        offset = data.draw(st.integers(0, self.end))
        upto = data.draw(st.integers(offset, self.end))
        found = self.log.read(offset, max_size, upto_offset=upto)
        wanted = [
            batch.base_offset
            for batch in self.model
            if batch.last_offset >= offset and batch.last_offset < upto
        ]
        if not wanted:
            assert found is None
            return
        assert found is not None
        bytes_found = found.read()
        assert len(bytes_found) == found.size
        headers = []
        position = 0
        while len(bytes_found) - position >= 61:
            (length,) = (int.from_bytes(bytes_found[position + 8 : position + 12], "big"),)
            if position + 12 + length > len(bytes_found):
                break
            headers += walk(bytes_found[position : position + 12 + length])
            position += 12 + length
        bases = [header.base_offset for header in headers]
        assert bases
        assert bases == wanted[: len(bases)]
        assert found.size <= max(max_size, headers[0].size)

    @rule(delay=st.integers(-1, MAX_DELAY_MS + 1))
    def by_time(self, delay: int) -> None:
        expected = next(
            (
                (time, batch.base_offset + number, batch.epoch)
                for batch in self.model
                for number, (_, time) in enumerate(batch.records)
                if time >= NOW_MS + delay
            ),
            None,
        )
        assert self.log.offset_for_timestamp(NOW_MS + delay) == expected


LogMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestLog = LogMachine.TestCase
