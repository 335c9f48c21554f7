"""Compaction against a plain model: random keys, tombstones, transactions, codecs, small maps.

The model holds every record that was ever appended, and says which are left. Offsets, timestamps
and bytes of those don't change; a reader of committed records sees the same before and after; and
producers that are built anew from what is left are the same.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kstore._native.batch import parse_header
from kstore.configs import LogConfig
from kstore.log.check import check
from kstore.log.compaction.run import cleanable
from kstore.log.log import Log
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    Record,
    batch_records,
    build_batch,
    build_end_transaction_marker,
    parse_control_type,
)
from kstore.log.store import Store
from kstore.log.transaction_index import read_aborted
from tests.support.logs import open_store

DELETE_RETENTION_MS = 500
CODECS = ["none", "none", "gzip", "snappy", "lz4", "zstd"]


@dataclass
class Batch:
    """What the model knows of a batch; `records` are those that are left."""

    records: list[Record]
    aborted: bool = False
    horizon_ms: int | None = None


@dataclass
class Model:
    batches: list[Batch] = field(default_factory=list)
    now_ms: int = 1_000

    def compact(self, end_offset: int) -> None:
        latest = {
            record.key: record.offset
            for batch in self.batches
            if not batch.aborted
            for record in batch.records
            if record.offset < end_offset
        }
        for batch in self.batches:
            if batch.records and batch.records[0].offset < end_offset:
                batch.records = [
                    record
                    for record in batch.records
                    if not batch.aborted
                    and record.key is not None
                    and latest[record.key] == record.offset
                    and (record.value is not None or not self.is_over(batch))
                ]
                if batch.horizon_ms is None and any(r.value is None for r in batch.records):
                    batch.horizon_ms = self.now_ms + DELETE_RETENTION_MS

    def is_over(self, batch: Batch) -> bool:
        return batch.horizon_ms is not None and batch.horizon_ms <= self.now_ms

    def committed(self) -> list[Record]:
        return [r for batch in self.batches if not batch.aborted for r in batch.records]


class Player:
    """Appends what a seed says, to the log and to the model."""

    def __init__(self, log: Log, choose: random.Random) -> None:
        self.log = log
        self.choose = choose
        self.model = Model()
        self.open: dict[int, list[Batch]] = {}
        self.sequences: dict[int, int] = {}

    def step(self) -> None:
        self.model.now_ms += self.choose.randrange(40)
        kind = self.choose.randrange(12)
        if kind < 6:
            self.data(-1, transactional=False)
        elif kind < 8:
            self.data(self.choose.randrange(3), transactional=False)
        elif kind < 10:
            self.data(10 + self.choose.randrange(4), transactional=True)
        elif kind < 11 and self.open:
            self.end(self.choose.choice(sorted(self.open)))
        elif self.choose.randrange(4) == 0:
            self.log.roll()

    def data(self, producer_id: int, *, transactional: bool) -> None:
        choose, base = self.choose, self.log.log_end_offset
        records = [
            Record(
                base + delta,
                self.model.now_ms + choose.randrange(-20, 20),
                None if choose.randrange(20) == 0 else b"key %d" % choose.randrange(25),
                None if choose.randrange(5) == 0 else b"%d " % base * choose.randrange(30),
                [("h", b"x")] * choose.randrange(2),
            )
            for delta in range(choose.randrange(1, 6))
        ]
        sequence = self.sequences.get(producer_id, 0) if producer_id >= 0 else -1
        data = build_batch(
            records,
            base_offset=base,
            compression=choose.choice(CODECS),
            producer_id=producer_id,
            producer_epoch=0 if producer_id >= 0 else -1,
            base_sequence=sequence,
            transactional=transactional,
            leader_epoch=0,
        )
        self.log.append_verbatim(data)
        self.sequences[producer_id] = sequence + len(records)
        batch = Batch(records)
        self.model.batches.append(batch)
        if transactional:
            self.open.setdefault(producer_id, []).append(batch)

    def end(self, producer_id: int) -> None:
        aborted = self.choose.random() < 0.5
        marker = EndTransactionMarker(ControlType.ABORT if aborted else ControlType.COMMIT, 0)
        self.log.append_verbatim(
            build_end_transaction_marker(
                marker,
                producer_id=producer_id,
                producer_epoch=0,
                timestamp_ms=self.model.now_ms,
                base_offset=self.log.log_end_offset,
                leader_epoch=0,
            )
        )
        for batch in self.open.pop(producer_id):
            batch.aborted = aborted

    def compact(self) -> None:
        undecided = self.log.producers.first_undecided_offset()
        stable = self.log.log_end_offset if undecided is None else undecided
        part = cleanable(self.log, stable, self.model.now_ms)
        # A map of a few keys takes many passes.
        map_size = self.choose.choice([24 * 8, 1 << 20])
        done = self.log.compact(self.model.now_ms, map_size=map_size)
        assert done.cleaned_offset == part.end_offset or not done.passes
        if part.end_offset > part.first_dirty_offset:
            assert done.passes > 0
            assert done.map_size <= map_size
            self.model.compact(part.end_offset)


def read_committed(log: Log) -> list[Record]:
    """What a consumer makes of batches, markers and the transaction indexes."""
    waiting = sorted(
        (
            found
            for segment in log.segments.all()
            for found in read_aborted(log.files, segment.paths()[3])
        ),
        key=lambda found: found.first_offset,
    )
    aborted: set[int] = set()
    seen: list[Record] = []
    for segment in log.segments.all():
        for header in segment.headers():
            data = segment.read(header.position, header.size)
            while waiting and waiting[0].first_offset <= header.last_offset:
                aborted.add(waiting.pop(0).producer_id)
            records = batch_records(parse_header(data), data)
            if header.is_control:
                if records and parse_control_type(records[0]) is ControlType.ABORT:
                    aborted.discard(header.producer_id)
            elif not (header.is_transactional and header.producer_id in aborted):
                seen += records
    return seen


def producers(log: Log) -> dict[int, tuple[int, int, int]]:
    return {
        entry.producer_id: (entry.epoch, entry.last_sequence, entry.last_offset)
        for entry in log.producers.active()
    }


def config(choose: random.Random) -> LogConfig:
    return LogConfig(
        cleanup_policy=frozenset({"compact"}),
        segment_bytes=choose.choice([900, 1500, 4000]),
        index_interval_bytes=choose.choice([0, 300, 4096]),
        delete_retention_ms=DELETE_RETENTION_MS,
    )


def seeds() -> list[int]:
    given = os.environ.get("KSTORE_TEST_SEED")
    return [int(given)] if given else [random.randrange(1 << 32) for _ in range(12)]


@pytest.mark.parametrize("seed", seeds())
def test_what_is_left(tmp_path: Path, seed: int) -> None:
    print(f"KSTORE_TEST_SEED={seed}")
    choose = random.Random(seed)
    common = config(choose)
    store = open_store(tmp_path / "data", config=common)
    player = Player(store.create("topic"), choose)
    for number in range(1, 241):
        player.step()
        if number % 60 == 0:
            player.compact()
            assert player.log.faults == []
            compare(player.log, player.model)
    for producer_id in sorted(player.open):
        player.end(producer_id)
    compare(player.log, player.model)
    before = producers(player.log)
    store.close()
    for path in [*(tmp_path / "data").rglob("*.snapshot"), tmp_path / "data/.kafka_cleanshutdown"]:
        path.unlink()
    assert list(check(tmp_path / "data")) == []
    with Store.open(tmp_path / "data", config=common) as again:
        log = again.logs["topic", 0]
        assert log.faults == []
        compare(log, player.model)
        assert producers(log) == before


def compare(log: Log, model: Model) -> None:
    committed = model.committed()
    undecided = log.producers.first_undecided_offset()
    if undecided is None:
        assert read_committed(log) == committed
    end = log.log_end_offset if undecided is None else undecided
    assert [r for r in read_committed(log) if r.offset < end] == [
        r for r in committed if r.offset < end
    ]
    left = list(log.records())
    for at in (0, len(left) // 2, len(left) - 1):
        if left:
            assert next(log.records(left[at].offset)) == left[at]
            found = log.offset_for_timestamp(left[at].timestamp_ms)
            expected = next(r for r in left if r.timestamp_ms >= left[at].timestamp_ms)
            assert found is not None
            # A marker has a timestamp too.
            assert next(log.records(found.offset)).offset == expected.offset
