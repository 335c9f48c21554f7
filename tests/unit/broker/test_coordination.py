"""The coordinator's log on a partition: what a load reads of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from kstore.broker.coordination import OFFSETS_TOPIC, CoordinatorTopic, StoredRecords
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Origin
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    build_batch,
    build_end_transaction_marker,
)
from kstore.log.store import Store
from kstore.metadata.image import PartitionImage
from kstore.testing.manual import ManualRuntime


def test_a_load_holds_each_key_once_however_often_it_was_written(tmp_path: Path) -> None:
    runtime = ManualRuntime()
    with Store.open(tmp_path, runtime=runtime) as store:
        log = store.create(OFFSETS_TOPIC, 0, topic_id=UUID(int=1))
        partition = Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))
        partitions = Partitions()
        partitions.add(partition)
        group_log = CoordinatorTopic(runtime, partitions, OFFSETS_TOPIC)
        for number in range(100):
            assert group_log.append(0, [(b"often", b"%d" % number)]).result() == number + 1
        group_log.append(0, [(b"once", b"1"), (b"gone", b"1"), (b"often", b"last")])
        group_log.append(0, [(b"gone", None)])
        newest = group_log.read_newest(partition)
        runtime.run_workers()
        assert newest.result().newest == [(b"once", b"1"), (b"often", b"last"), (b"gone", None)]


def test_groups_of_a_log_that_has_failed_are_not_taken_for_none(tmp_path: Path) -> None:
    runtime = ManualRuntime()
    with Store.open(tmp_path, runtime=runtime) as store:
        log = store.create(OFFSETS_TOPIC, 0, topic_id=UUID(int=1))
        partition = Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))
        log.fail(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk"))
        newest = CoordinatorTopic(runtime, Partitions(), OFFSETS_TOPIC).read_newest(partition)
        runtime.run_workers()
        assert isinstance(newest.error, KafkaError)


class Offsets:
    """A partition of the offsets topic, written to by transactions too."""

    def __init__(self, runtime: ManualRuntime, store: Store) -> None:
        self.runtime = runtime
        log = store.create(OFFSETS_TOPIC, 0, topic_id=UUID(int=1))
        self.partition = Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))

    def write(self, key: bytes, value: bytes | None, producer_id: int = -1) -> None:
        batch = build_batch(
            [(key, value)],
            producer_id=producer_id,
            producer_epoch=0 if producer_id >= 0 else -1,
            base_sequence=-1,
            transactional=producer_id >= 0,
            timestamp_ms=1,
        )
        self.partition.log.append_verbatim(_at(batch, self.partition.log.log_end_offset))

    def end(self, producer_id: int, kind: ControlType) -> None:
        marker = build_end_transaction_marker(
            EndTransactionMarker(kind, 0),
            producer_id=producer_id,
            producer_epoch=0,
            timestamp_ms=1,
        )
        self.partition.append(marker, 1, Origin.COORDINATOR)

    def read(self) -> StoredRecords:
        reading = CoordinatorTopic(self.runtime, Partitions(), OFFSETS_TOPIC).read_newest(
            self.partition
        )
        self.runtime.run_workers()
        return reading.result()


def _at(batch: bytes, offset: int) -> bytes:
    return offset.to_bytes(8, "big") + batch[8:]


@contextmanager
def offsets(directory: Path) -> Iterator[Offsets]:
    runtime = ManualRuntime()
    with Store.open(directory, runtime=runtime) as store:
        yield Offsets(runtime, store)


def test_a_transactions_records_count_with_its_marker(tmp_path: Path) -> None:
    with offsets(tmp_path) as log:
        log.write(b"committed", b"1", 1)
        log.write(b"aborted", b"2", 2)
        log.write(b"open", b"3", 3)
        log.write(b"plain", b"4")
        assert log.read() == StoredRecords(
            [(b"plain", b"4")],
            {1: [(b"committed", b"1")], 2: [(b"aborted", b"2")], 3: [(b"open", b"3")]},
        )
        log.end(1, ControlType.COMMIT)
        log.end(2, ControlType.ABORT)
        assert log.read() == StoredRecords(
            [(b"plain", b"4"), (b"committed", b"1")], {3: [(b"open", b"3")]}
        )


def test_of_a_transactions_record_and_another_the_one_with_the_larger_offset_counts(
    tmp_path: Path,
) -> None:
    with offsets(tmp_path) as log:
        log.write(b"older", b"plain")
        log.write(b"older", b"transaction", 1)
        log.write(b"newer", b"transaction", 1)
        log.write(b"newer", b"plain")
        assert log.read() == StoredRecords(
            [(b"older", b"plain"), (b"newer", b"plain")],
            {1: [(b"older", b"transaction"), (b"newer", None)]},
        )
        log.end(1, ControlType.COMMIT)
        assert sorted(log.read().newest) == [(b"newer", b"plain"), (b"older", b"transaction")]


def test_a_tombstone_takes_what_is_pending_with_it(tmp_path: Path) -> None:
    with offsets(tmp_path) as log:
        log.write(b"gone", b"1", 1)
        log.write(b"gone", b"2", 2)
        log.write(b"stays", b"3", 2)
        log.write(b"gone", None)
        assert log.read() == StoredRecords([(b"gone", None)], {2: [(b"stays", b"3")]})


def test_the_producer_that_wrote_a_key_last_comes_last(tmp_path: Path) -> None:
    with offsets(tmp_path) as log:
        log.write(b"key", b"1", 1)
        log.write(b"key", b"2", 2)
        log.write(b"key", b"3", 1)
        assert list(log.read().undecided.items()) == [(2, [(b"key", b"2")]), (1, [(b"key", b"3")])]
