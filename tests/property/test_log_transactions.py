"""Transactions in a log under any order of steps, and after each way to open it again.

A model that knows only records and outcomes says what may be read, and what was aborted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kstore.broker.partition import Partition
from kstore.configs import LogConfig
from kstore.log.records import ControlType, EndTransactionMarker, iterate_records
from kstore.log.store import Store
from kstore.metadata.image import PartitionImage
from tests.support.logs import NOW_MS, batch, open_store

PRODUCERS = (1, 2, 3)
CONFIG = LogConfig(
    segment_bytes=600, index_interval_bytes=1, transaction_partition_verification_enable=False
)
STEP = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(PRODUCERS)),
    st.tuples(st.just("send"), st.sampled_from(PRODUCERS)),
    st.tuples(st.just("commit"), st.sampled_from(PRODUCERS)),
    st.tuples(st.just("abort"), st.sampled_from(PRODUCERS)),
    st.tuples(st.just("plain"), st.just(0)),
    st.tuples(st.sampled_from(["stop", "crash"]), st.just(0)),
)


class Model:
    """Values in the log's order, and what became of their transactions."""

    def __init__(self) -> None:
        self.end = 0
        self.records: list[tuple[int, int]] = []  # offset, producer or 0
        self.open: dict[int, list[int]] = {}  # producer → offsets
        self.aborted: set[int] = set()

    def send(self, producer: int) -> None:
        self.records.append((self.end, producer))
        if producer:
            self.open.setdefault(producer, []).append(self.end)
        self.end += 1

    def finish(self, producer: int, *, commit: bool) -> None:
        offsets = self.open.pop(producer, [])
        if not commit:
            self.aborted.update(offsets)
        self.end += 1

    @property
    def stable(self) -> int:
        return min((offsets[0] for offsets in self.open.values()), default=self.end)

    def committed_from(self, start: int) -> list[int]:
        return [
            offset
            for offset, _ in self.records
            if start <= offset < self.stable and offset not in self.aborted
        ]


class System:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.epochs = dict.fromkeys(PRODUCERS, 0)
        self.sequences = dict.fromkeys(PRODUCERS, 0)
        self.store = open_store(directory, config=CONFIG)
        self.store.create("topic", config=CONFIG)
        self.lead()

    def lead(self) -> None:
        log = self.store.logs["topic", 0]
        self.partition = Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))

    def reopen(self, *, clean: bool) -> None:
        producers = sorted(map(repr, self.partition.log.producers.active()))
        self.store.close()
        if not clean:
            (self.directory / ".kafka_cleanshutdown").unlink()
        self.store: Store = open_store(self.directory, config=CONFIG)
        self.lead()
        if not clean:
            found = sorted(map(repr, self.partition.log.producers.active()))
            assert [one.split(", batches")[0] for one in found] == [
                one.split(", batches")[0] for one in producers
            ]

    def send(self, producer: int) -> None:
        options = {}
        if producer:
            options = {
                "producer_id": producer,
                "producer_epoch": self.epochs[producer],
                "base_sequence": self.sequences[producer],
                "transactional": True,
            }
            self.sequences[producer] += 1
        self.partition.append(batch(b"value", **options), NOW_MS)

    def finish(self, producer: int, *, commit: bool) -> None:
        self.epochs[producer] += 1
        self.sequences[producer] = 0
        kind = ControlType.COMMIT if commit else ControlType.ABORT
        marker = EndTransactionMarker(kind, 0)
        self.partition.append_marker(marker, producer, self.epochs[producer], 2, NOW_MS)

    def committed_from(self, start: int, max_size: int) -> list[int]:
        """What a consumer makes of what it is sent, as Kafka's clients do."""
        found: list[int] = []
        offset = start
        while True:
            records = self.partition.read(offset, max_size, committed_only=True, at_least_one=True)
            if records is None:
                return found
            aborted = sorted(
                self.partition.aborted_transactions(offset, records), key=lambda pair: pair[1]
            )
            offset = _take(records.read(), offset, aborted, found)


def _take(data: bytes, offset: int, aborted: list[tuple[int, int]], found: list[int]) -> int:
    from kstore._native.batch import BatchError, walk

    skipped: set[int] = set()
    batches = walk(data)
    while True:
        try:
            header = next(batches, None)
        except BatchError:  # cut by the limit on the size
            return offset
        if header is None:
            return offset
        while aborted and aborted[0][1] <= header.last_offset:
            skipped.add(aborted.pop(0)[0])
        whole = data[header.position : header.position + header.size]
        if header.is_control:
            skipped.discard(header.producer_id)
        elif not (header.is_transactional and header.producer_id in skipped):
            found += [one.offset for one in iterate_records(whole) if one.offset >= offset]
        offset = header.last_offset + 1


@given(st.lists(STEP, max_size=40), st.sampled_from([1, 200, 1 << 20]))
@settings(max_examples=40, deadline=None)
def test_what_is_committed_is_read_and_nothing_else(
    steps: list[tuple[str, int]], max_size: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        system, model = System(Path(name) / "data"), Model()
        try:
            for kind, producer in steps:
                if kind in ("stop", "crash"):
                    system.reopen(clean=kind == "stop")
                elif kind in ("send", "plain"):
                    system.send(producer)
                    model.send(producer)
                else:
                    system.finish(producer, commit=kind == "commit")
                    model.finish(producer, commit=kind == "commit")
                assert system.partition.high_watermark == model.end
                assert system.partition.last_stable_offset == model.stable
            for start in range(0, model.end + 1, 3):
                assert system.committed_from(start, max_size) == model.committed_from(start)
        finally:
            system.store.close()
