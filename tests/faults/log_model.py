"""What a log must hold, may hold and must not hold, as a plain list of batches.

`Model` is told of each batch before it is appended (`sending`) and after, of what was promised to
be on the disk, and of what was let go. `judge` compares a log that was opened after a crash with
it: everything promised is there, nothing was invented, nothing is there twice; indexes, leader
epochs, producers and transaction indexes tell the same story.
"""

from __future__ import annotations

import shutil
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from kstore.configs import LogConfig
from kstore.log.check import check
from kstore.log.log import Log
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    Record,
    build_batch,
    build_end_transaction_marker,
)
from kstore.log.transaction_index import read_aborted
from tests.support.logs import NOW_MS, open_store


@dataclass(frozen=True)
class Batch:
    """One batch as it was sent. A marker has no records; `commits` says what it ends."""

    base_offset: int
    last_offset: int
    epoch: int
    records: tuple[Record, ...] = ()
    producer_id: int = -1
    sequence: int = -1
    transactional: bool = False
    commits: bool | None = None
    codec: str = "none"

    def encoded(self) -> bytes:
        if self.commits is not None:
            kind = ControlType.COMMIT if self.commits else ControlType.ABORT
            return build_end_transaction_marker(
                EndTransactionMarker(kind, 0),
                producer_id=self.producer_id,
                producer_epoch=0,
                timestamp_ms=0,
                base_offset=self.base_offset,
                leader_epoch=self.epoch,
            )
        return build_batch(
            [(record.key, record.value, record.timestamp_ms) for record in self.records],
            compression=self.codec,
            producer_id=self.producer_id,
            producer_epoch=0 if self.producer_id >= 0 else -1,
            base_sequence=self.sequence,
            transactional=self.transactional,
            base_offset=self.base_offset if self.transactional else 0,
            leader_epoch=self.epoch if self.transactional else -1,
        )


@dataclass(frozen=True)
class Transaction:
    producer_id: int
    first_offset: int
    last_offset: int
    is_aborted: bool


@dataclass
class Model:
    """`end` counts what was acknowledged, `durable` what was promised to be on the disk. `start` is
    where readers begin, `kept_start` the one that no crash takes back. `cut_to` is set while the
    log is being truncated."""

    batches: list[Batch] = field(default_factory=list)
    end: int = 0
    durable: int = 0
    start: int = 0
    kept_start: int = 0
    compacted: bool = False
    sending: Batch | None = None
    cut_to: int | None = None

    def append(self, log: Log, batch: Batch) -> None:
        """Appends a batch to the log, which must give it the offsets that it has here."""
        self.sending = batch
        if batch.transactional or batch.commits is not None:
            log.append_verbatim(batch.encoded())
        else:
            appended = log.append(batch.encoded(), now_ms=NOW_MS)
            assert not appended.duplicate
            assert appended.base_offset == batch.base_offset
        assert log.log_end_offset == batch.last_offset + 1
        self.batches.append(batch)
        self.end = batch.last_offset + 1
        self.sending = None

    def make_batch(
        self, choose: Random, epoch: int, *, count: int = 1, keys: int = 5, **options: Any
    ) -> Batch:
        """A batch at the end, with values that are in no other one."""
        records = tuple(
            Record(
                self.end + number,
                NOW_MS - 1000 + choose.randrange(2000),
                b"key %d" % choose.randrange(keys),
                b"%d " % (self.end + number) * choose.randrange(1, 60),
                (),
            )
            for number in range(count)
        )
        return Batch(self.end, self.end + count - 1, epoch, records, **options)

    def known(self) -> list[Batch]:
        """All that may be in the log."""
        return self.batches if self.sending is None else [*self.batches, self.sending]

    def transactions(self) -> list[Transaction]:
        """Those that have ended, in the order of their ends."""
        first: dict[int, int] = {}
        ended = []
        for batch in self.known():
            if batch.transactional:
                first.setdefault(batch.producer_id, batch.base_offset)
            elif batch.commits is not None and batch.producer_id in first:
                begun = first.pop(batch.producer_id)
                ended.append(
                    Transaction(batch.producer_id, begun, batch.base_offset, not batch.commits)
                )
        return ended

    def aborted(self, upto: int) -> set[int]:
        """The offsets of records in transactions that were aborted below an offset."""
        ended = [one for one in self.transactions() if one.is_aborted and one.last_offset < upto]
        return {
            offset
            for one in ended
            for batch in self.known()
            if batch.producer_id == one.producer_id and batch.transactional
            if one.first_offset <= batch.base_offset < one.last_offset
            for offset in range(batch.base_offset, batch.last_offset + 1)
        }

    def truncated(self, offset: int, log: Log) -> None:
        """The log was truncated. What a compaction took for what is gone now does not come back."""
        there = {record.offset for record in log.records()}
        self.batches = [
            replace(batch, records=tuple(one for one in batch.records if one.offset in there))
            for batch in self.batches
            if batch.last_offset < offset
        ]
        self.end = min(self.end, offset)
        self.durable = min(self.durable, offset)
        self.start = min(self.start, offset)
        self.kept_start = min(self.kept_start, offset)

    def go_on_from(self, log: Log, *, durable: bool) -> None:
        """After a crash: what the log holds is what there is."""
        if self.sending is not None and self.sending.last_offset < log.log_end_offset:
            self.batches.append(self.sending)
        self.sending = None
        self.cut_to = None
        self.end = log.log_end_offset
        there = {header.base_offset for header in log.batches()}
        self.batches = [
            batch
            for batch in self.batches
            if batch.base_offset in there or batch.last_offset < self.durable
        ]
        self.start = log.log_start_offset
        if durable:
            self.durable, self.kept_start = self.end, self.start
        else:
            self.durable = min(self.durable, self.end)


def judge(log: Log, model: Model, promised: int) -> list[Record]:
    """Compares an opened log with the model; all below `promised` must be there.

    What was not promised may be there or not, also with holes: of segments that nobody has synced
    a power cut may take one and leave the next. Returns the records that are there.
    """
    promised = promised if model.cut_to is None else min(promised, model.cut_to)
    # What a truncation has left free at the end is written nowhere.
    ends = [one.last_offset + 1 for one in model.batches if one.last_offset < promised]
    cuts_compacted = model.compacted and model.cut_to is not None
    least = 0 if cuts_compacted else max(ends, default=0)
    start, end = log.log_start_offset, log.log_end_offset
    sending_end = model.end if model.sending is None else model.sending.last_offset + 1
    assert log.failed is None, log.failed
    assert model.kept_start <= start <= model.start, (model.kept_start, start, model.start)
    assert least <= end <= max(sending_end, model.end), (least, end, model.end)
    written = {record.offset: record for batch in model.known() for record in batch.records}
    found = list(log.records())
    offsets = [record.offset for record in found]
    assert offsets == sorted(set(offsets)), "records are there twice, or out of order"
    for record in found:
        assert record == written.get(record.offset), f"invented: {record}"
    if not cuts_compacted:
        _judge_missing(model, written, offsets, max(start, model.start), promised)
    epochs = {record.offset: batch.epoch for batch in model.known() for record in batch.records}
    for offset in offsets[bisect_left(offsets, model.start) :]:
        assert log.leader_epoch_of(offset) == epochs[offset], f"leader epoch of {offset}"
    _judge_times(log, found)
    _judge_aborted(log, model, set(offsets), promised)
    return found


def _judge_missing(
    model: Model, written: dict[int, Record], offsets: list[int], start: int, end: int
) -> None:
    """What is missing from `start` to `end` a compaction must have taken."""
    there = set(offsets)
    missing = [offset for offset in written if start <= offset < end and offset not in there]
    if not missing:
        return
    assert model.compacted, f"lost: {missing}"
    aborted = model.aborted(model.end)
    latest = {
        written[offset].key: offset
        for offset in sorted(written)
        if offset not in aborted
        if offset in there
    }
    for offset in missing:
        newer = latest.get(written[offset].key, -1)
        assert newer > offset or offset in aborted, f"lost {offset}: nothing newer than {newer}"


def _judge_times(log: Log, found: list[Record]) -> None:
    """The first record that is not older than a timestamp, for some."""
    times = sorted({record.timestamp_ms for record in found})
    for timestamp_ms in times[:: max(1, len(times) // 4)]:
        expected = next(record for record in found if record.timestamp_ms >= timestamp_ms)
        answer = log.offset_for_timestamp(timestamp_ms)
        assert answer is not None
        assert (answer.timestamp_ms, answer.offset) == (expected.timestamp_ms, expected.offset)


def _judge_aborted(log: Log, model: Model, there: set[int], promised: int) -> None:
    """The transaction indexes name aborted transactions only, and all of which records are left."""
    named = {
        (entry.producer_id, entry.last_offset): entry.first_offset
        for segment in log.segments.all()
        for entry in read_aborted(log.files, segment.paths()[3])
        if entry.last_offset < promised
    }
    aborted = [one for one in model.transactions() if one.is_aborted]
    known = {(one.producer_id, one.last_offset) for one in aborted}
    assert named.keys() <= known, f"invented transactions: {named.keys() - known}"
    for one in aborted:
        left = [
            record.offset
            for batch in model.known()
            if batch.transactional and batch.producer_id == one.producer_id
            if one.first_offset <= batch.base_offset < one.last_offset
            for record in batch.records
            if record.offset in there
        ]
        if left and one.last_offset < promised:
            # A compaction may have taken its first records.
            first_offset = named.get((one.producer_id, one.last_offset))
            assert first_offset is not None, f"not in the transaction index: {one}"
            assert one.first_offset <= first_offset <= left[0], one


def judge_retries(log: Log, model: Model) -> None:
    """The last batch of each producer, sent again, is known as what it is."""
    there = {header.base_offset for header in log.batches(log.log_start_offset)}
    last = {
        batch.producer_id: batch
        for batch in model.known()
        if batch.producer_id >= 0 and not batch.transactional and batch.commits is None
        if batch.base_offset in there
        and len(batch.records) == batch.last_offset - batch.base_offset + 1
    }
    for batch in last.values():
        again = log.append(batch.encoded(), now_ms=NOW_MS)
        assert again.duplicate, f"appended twice: {batch}"
        assert again.base_offset == batch.base_offset


def judge_copy(
    copy: Path, model: Model, config: LogConfig, promised: int, *, gone: str = ""
) -> None:
    """Opens what a crash has left of a store, compares it with the model, writes to it, closes it
    and has it checked. The topic `gone` was deleted for good."""
    with open_store(copy, config=config) as store:
        log = store.logs["topic", 0]
        found = judge(log, model, promised)
        names = [path.name for path in log.directory.iterdir()]
        assert not [n for n in names if n.endswith((".swap", ".cleaned", ".deleted"))], names
        assert (gone, 0) not in store.logs, f"{gone} is back"
        judge_retries(log, model)
        end = log.log_end_offset
        log.append(build_batch([(b"after", b"the crash", NOW_MS)]), now_ms=NOW_MS)
        assert log.log_end_offset == end + 1
    # Snapshots are a help: one that a power cut has spoilt is set aside when it is asked for.
    faults = [str(fault) for fault in check(copy) if not fault.file.endswith(".snapshot")]
    assert not faults, faults
    with open_store(copy, config=config) as store:
        again = list(store.logs["topic", 0].records())
        assert again[:-1] == found
        assert (again[-1].offset, again[-1].value) == (end, b"the crash")
    shutil.rmtree(copy)
