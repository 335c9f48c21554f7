"""A partition with transactions: how far who may read, and who is told of what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kstore.broker.partition import EVERYTHING, Partition
from kstore.configs import LogConfig
from kstore.log.records import ControlType, EndTransactionMarker
from kstore.log.store import Store
from kstore.metadata.image import PartitionImage
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, QuickFiles, batch

CONFIG = LogConfig(transaction_partition_verification_enable=False)
PRODUCER = 7


class Watcher:
    """Notes what it is told."""

    def __init__(self, partition: Partition) -> None:
        self.told: list[tuple[int, int]] = []
        self.disturbances = 0
        partition.watchers.add(self)

    def grown(self, size: int, stable_size: int) -> None:
        self.told.append((size, stable_size))

    def disturbed(self) -> None:
        self.disturbances += 1


@pytest.fixture
def runtime() -> ManualRuntime:
    return ManualRuntime()


@pytest.fixture
def store(tmp_path: Path, runtime: ManualRuntime) -> Iterator[Store]:
    with Store.open(tmp_path / "data", config=CONFIG, runtime=runtime, files=QuickFiles()) as store:
        yield store


@pytest.fixture
def partition(store: Store) -> Partition:
    return Partition(store.create("topic", 0, config=CONFIG), PartitionImage(0, 1, 0, (1,), (1,)))


def send(partition: Partition, sequence: int = 0, epoch: int = 0) -> int:
    data = batch(
        b"value",
        producer_id=PRODUCER,
        producer_epoch=epoch,
        base_sequence=sequence,
        transactional=True,
    )
    return partition.append(data, NOW_MS).size


def end(partition: Partition, *, commit: bool = True, epoch: int = 1) -> int:
    marker = EndTransactionMarker(ControlType.COMMIT if commit else ControlType.ABORT, 0)
    return partition.append_marker(marker, PRODUCER, epoch, 2, NOW_MS).size


def ends(partition: Partition) -> tuple[int, int]:
    return partition.high_watermark, partition.last_stable_offset


def test_the_last_stable_offset_waits_for_the_marker(partition: Partition) -> None:
    partition.append(batch(b"plain"), NOW_MS)
    send(partition)
    send(partition, 1)
    partition.append(batch(b"plain"), NOW_MS)
    assert ends(partition) == (4, 1)
    end(partition)
    assert ends(partition) == (5, 5)


def test_who_reads_what_is_committed_is_told_when_it_is(partition: Partition) -> None:
    watcher = Watcher(partition)
    plain = partition.append(batch(b"plain"), NOW_MS).size
    first = send(partition)
    beside = partition.append(batch(b"plain"), NOW_MS).size
    marker = end(partition, commit=False)
    assert watcher.told == [(plain, plain), (first, 0), (beside, 0), (marker, EVERYTHING)]


def test_deleted_records_hold_back_nobody(partition: Partition) -> None:
    partition.append(batch(b"plain"), NOW_MS)
    send(partition)
    send(partition, 1)
    assert ends(partition) == (3, 1)
    partition.delete_records(2)
    assert ends(partition) == (3, 2)
    partition.delete_records(-1)
    assert ends(partition) == (3, 3)
    send(partition, 2)
    assert ends(partition) == (4, 3)
    end(partition)
    assert ends(partition) == (5, 5)


def test_a_marker_counts_when_it_is_on_the_disk(
    partition: Partition, runtime: ManualRuntime
) -> None:
    partition.log.reconfigure(
        LogConfig(transaction_partition_verification_enable=False, kstore_acks_all_flush=True)
    )
    watcher = Watcher(partition)
    send(partition)
    end(partition)
    assert ends(partition) == (0, 0)
    runtime.run_soon()
    runtime.run_workers()
    assert ends(partition) == (2, 2)
    assert [stable for _, stable in watcher.told] == [0, EVERYTHING]


def test_a_partition_that_is_opened_again_is_as_stable_as_before(
    tmp_path: Path, store: Store, partition: Partition
) -> None:
    send(partition)
    end(partition)
    send(partition, epoch=1)
    before = ends(partition)
    assert before == (3, 2)
    store.close()
    with Store.open(tmp_path / "data", config=CONFIG, files=QuickFiles()) as again:
        log = again.logs["topic", 0]
        assert ends(Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))) == before
        partition.move_to(log)
        assert ends(partition) == before
