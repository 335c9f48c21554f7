"""The life of a log, from its making to a clean stop, with a crash after every call on the way.

A seed draws the details, so a life can be lived again: appends (plain, idempotent, transactional),
rolls, flushes, deleted records, a topic deleted, new leader epochs, a compaction, a clean stop and
a second start. `Crashes` stops the world after calls of the file system, takes what a kill and what
a power cut would leave there, opens it and has it judged.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

from kstore.configs import LogConfig
from kstore.errors import KafkaError, StoreError
from kstore.log.files import TEMPORARY_ERRNOS
from kstore.log.log import Log
from kstore.log.records import build_batch
from kstore.log.retention import remove_files, set_aside
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.faults.log_model import Batch, Model, judge, judge_copy
from tests.support.logs import NOW_MS, open_store

CONFIG = LogConfig(
    cleanup_policy=frozenset({"compact", "delete"}),
    segment_bytes=2500,
    index_interval_bytes=200,
    retention_ms=-1,
    retention_bytes=-1,
)
GONE = "gone"
EVERY_APPEND = 1
WHEN_ASKED = 1 << 62


class Life:
    """`model` is what the log must hold at any moment; `run` lives it."""

    def __init__(
        self, directory: Path, files: FaultyFiles, seed: int, *, flush_messages: int = 1 << 62
    ) -> None:
        self.directory = directory
        self.files = files
        self.choose = Random(seed)
        self.config = replace(CONFIG, flush_messages=flush_messages)
        self.model = Model()
        self.gone = ""
        self.exists = False
        self.runtime = ManualRuntime()
        self.step_done: Callable[[], None] = lambda: None
        self.store: Store
        self.log: Log
        self._sequences = {1: 0, 2: 0, 3: 0}
        self._epoch = 0

    def run(self) -> None:
        self._open()
        for part in (self._fill, self._delete, self._fill, self._compact, self._fill):
            part()
        self._stop()
        self._open()
        self._fill()
        self._delete()
        self._stop()

    def _open(self) -> None:
        self.store = open_store(
            self.directory, files=self.files, config=self.config, runtime=self.runtime
        )
        if ("topic", 0) in self.store.logs:
            self.log = self.store.logs["topic", 0]
        else:
            self.store.create(GONE).append(build_batch([(b"key", b"gone")]), now_ms=NOW_MS)
            self.log = self.store.create("topic")
            self.exists = True
        self.step_done()

    def _stop(self) -> None:
        self.runtime.run_workers()
        self.store.close()
        self.model.durable = self.model.end
        self.model.kept_start = self.model.start
        self.step_done()

    # Steps

    def _fill(self) -> None:
        for number in range(10):
            self._append_something(number)
            self.runtime.run_soon()
            self.runtime.run_workers(self.choose.randrange(3))
            if number == 4:
                self._epoch += 1
                self.log.assign_leader_epoch(self._epoch)
            elif number == 6:
                self.log.flush()
                self.model.durable = self.model.end
            elif number in (2, 8):
                self.log.roll()
            self.step_done()

    def _append_something(self, number: int) -> None:
        kind = self.choose.randrange(4)
        codec = self.choose.choice(["none", "none", "lz4"])
        count = self.choose.randrange(1, 4)
        if kind == 0:
            producer = self.choose.choice([1, 2])
            self._append(count=count, codec=codec, producer_id=producer)
        elif kind == 1 or number == 5:
            for _ in range(self.choose.randrange(1, 3)):
                self._append(count=count, producer_id=3, transactional=True)
            self._send(
                Batch(
                    self.model.end,
                    self.model.end,
                    self._epoch,
                    producer_id=3,
                    commits=self.choose.random() < 0.5,
                )
            )
        else:
            self._append(count=count, codec=codec)

    def _append(self, *, count: int, producer_id: int = -1, **options: object) -> None:
        sequence = self._sequences.get(producer_id, -1)
        self._send(
            self.model.make_batch(
                self.choose,
                self._epoch,
                count=count,
                producer_id=producer_id,
                sequence=sequence,
                **options,
            )
        )
        if producer_id in self._sequences:
            self._sequences[producer_id] += count

    def _send(self, batch: Batch) -> None:
        self.model.append(self.log, batch)
        if self.config.flush_messages == 1:
            self.model.durable = self.model.end
        self.step_done()

    def _delete(self) -> None:
        """As the broker's pass of retention, and the deletion of a topic."""
        self.log.flush()
        self.model.durable = self.model.end
        offset = self.choose.randrange(self.model.start, self.model.end)
        self.model.start = offset
        self.log.advance_log_start(offset)
        taken = self.log.take_below_start()
        set_aside(self.log, taken)
        self.step_done()
        self.store.checkpoint()
        self.model.kept_start = offset
        self.step_done()
        remove_files(self.log, taken)
        if (GONE, 0) in self.store.logs:
            self.store.delete(GONE)
            self.gone = GONE
            self.step_done()
            self.store.remove_deleted()
        self.step_done()

    def _compact(self) -> None:
        self.log.roll()
        self.model.compacted = True
        before = self.log.size
        self.log.compact(NOW_MS)
        assert self.log.size < before
        self.store.checkpoint()
        self.step_done()


class Crashes:
    """Judges what a kill and power cuts leave, after some of the calls that a life makes.

    `share` of the calls are judged whose path ends in `suffix`, with so many `cuts` each.
    """

    def __init__(
        self, life: Life, copies: Path, *, share: float, cuts: int, suffix: str = ""
    ) -> None:
        self.count = 0
        self.found: FoundError | None = None
        self._life = life
        self._copies = copies
        self._share = share
        self._cuts = cuts
        self._choose = Random(life.choose.random())
        copies.mkdir()
        self._suffix = suffix
        life.files.after_call = lambda method, path: self._maybe(f"{method} {path}")
        life.step_done = lambda: self._maybe("a step")

    def _maybe(self, after: str) -> None:
        if not after.endswith(self._suffix):
            return
        if self.found is None and self._choose.random() < self._share:
            self.crash(after)

    def crash(self, after: str) -> None:
        life = self._life
        self.count += 1
        copy = self._copies / f"kill-{self.count}"
        shutil.copytree(life.directory, copy)
        self._judge(copy, f"killed after {after}", life.model.end)
        for number in range(self._cuts):
            copy = self._copies / f"cut-{self.count}-{number}"
            # The first is the worst that a disk may do.
            choose = self._choose if number or self._cuts == 1 else None
            life.files.after_power_cut(life.directory, copy, choose)
            self._judge(copy, f"power cut after {after}", life.model.durable)

    def _judge(self, copy: Path, what: str, promised: int) -> None:
        life = self._life
        if not life.exists:
            return
        try:
            judge_copy(copy, life.model, life.config, promised, gone=life.gone)
        except Exception as error:
            # Not raised here, within the engine, which may take it for an error of a worker.
            self.found = FoundError(f"{what}, see {copy}: {error}")
            self.found.__cause__ = error


class FoundError(AssertionError):
    """A crash has lost something, or invented something."""


class SmallPages(FaultyFiles):
    """Torn where a disk's sectors end, so that small files are torn too. Remembers what failed."""

    page_size = 512
    failed = ""

    def _step(self, method: str, path: Path | None) -> None:
        try:
            super()._step(method, path)
        except OSError:
            self.failed = f"{method} {path}"
            raise


def live(
    root: Path, seed: int, flush_messages: int, *, share: float, cuts: int, suffix: str = ""
) -> int:
    """Lives a life in `root`, a new directory; returns how many crashes were judged."""
    root.mkdir()
    life = Life(root / "data", SmallPages(), seed, flush_messages=flush_messages)
    crashes = Crashes(life, root / "copies", share=share, cuts=cuts, suffix=suffix)
    try:
        life.run()
    finally:
        life.files.after_call = None
        life.store.abandon()
        if crashes.found is not None:
            raise crashes.found
    return crashes.count


def count_calls(root: Path, seed: int) -> int:
    """How many calls a life makes in which nothing fails."""
    life = Life(root, SmallPages(), seed)
    life.run()
    return life.files.calls.total()


def fail_one_call(root: Path, seed: int, number: int, code: int) -> None:
    """Lives until the call of that number fails; then the process is killed. `root` is new."""
    root.mkdir()
    files = SmallPages()
    life = Life(root / "data", files, seed)
    files.fail_call(number, code)
    with suppress(KafkaError, StoreError, OSError):
        life.run()
    if not files.failed or not life.exists:
        return
    print(f"call {number}: {files.failed} failed with {errno.errorcode[code]}")
    log = life.log
    if log.failed is None and not log.closed:
        judge(log, life.model, life.model.end)
    elif code in TEMPORARY_ERRNOS and not log.closed:
        # Of a sync that failed nobody knows what it left; names half changed are as bad.
        assert files.failed.startswith(("sync", "rename")), files.failed
    life.store.abandon()
    copy = root / "copy"
    shutil.copytree(root / "data", copy)
    judge_copy(copy, life.model, life.config, life.model.end, gone=life.gone)
