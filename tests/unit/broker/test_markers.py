"""Markers written to the partitions of this broker: a code for each, also where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kstore.broker.coordination import OFFSETS_TOPIC
from kstore.broker.markers import PartitionMarkers
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.configs import LogConfig
from kstore.errors import ErrorCode
from kstore.log.records import EndTransactionMarker
from kstore.log.store import Store
from kstore.metadata.image import MetadataImage, PartitionImage, TopicImage
from kstore.runtime import Later
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, QuickFiles, batch

TOPIC_ID = UUID(int=7)
NONE = ErrorCode.NONE


class Groups:
    """A group coordinator that has yet to load its partitions."""

    def __init__(self) -> None:
        self.code = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        self.marked: list[tuple[int, EndTransactionMarker, int, int, int]] = []

    def complete_transaction(self, *marked: Any) -> Later[ErrorCode]:
        self.marked.append(marked)
        return Later.of(self.code)


class Case:
    def __init__(self, store: Store, runtime: ManualRuntime) -> None:
        self.runtime = runtime
        self.groups = Groups()
        images = tuple(PartitionImage(index, 1, 0, (1,), (1,)) for index in range(3))
        topic = TopicImage("t", TOPIC_ID, images, {}, False)
        self.image = MetadataImage("cluster", 1, topics={"t": topic}, topic_ids={}, brokers={})
        self.partitions = Partitions()
        self.partition = Partition(store.create("t", 0, topic_id=TOPIC_ID), images[0])
        self.partitions.add(self.partition)
        self.partitions.take_offline("t", TOPIC_ID, 1)
        self.markers = PartitionMarkers(
            runtime,
            self.partitions,
            lambda: self.image,
            self.groups,  # type: ignore[arg-type]
        )

    def write(
        self, *partitions: tuple[str, int], epoch: int = 1, coordinator_epoch: int = 4
    ) -> Later[dict[tuple[str, int], ErrorCode]]:
        return self.markers.write(9, epoch, coordinator_epoch, True, 2, partitions)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    runtime = ManualRuntime()
    with Store.open(tmp_path, runtime=runtime, files=QuickFiles()) as store:
        yield Case(store, runtime)


def test_each_partition_has_its_own_code(case: Case) -> None:
    asked = [("t", index) for index in range(4)] + [("u", 0)]
    assert case.write(*asked).result() == {
        ("t", 0): NONE,
        ("t", 1): ErrorCode.KAFKA_STORAGE_ERROR,
        ("t", 2): ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ("t", 3): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ("u", 0): ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    }
    assert case.partition.high_watermark == 1
    assert case.write().result() == {}


def test_what_comes_too_late(case: Case) -> None:
    key = ("t", 0)
    assert case.write(key, epoch=3).result() == {key: NONE}
    assert case.write(key, epoch=2).result() == {key: ErrorCode.INVALID_PRODUCER_EPOCH}
    fenced = ErrorCode.TRANSACTION_COORDINATOR_FENCED
    assert case.write(key, epoch=4, coordinator_epoch=3).result() == {key: fenced}


def test_groups_end_theirs_themselves(case: Case) -> None:
    key = (OFFSETS_TOPIC, 5)
    assert case.write(key).result() == {key: ErrorCode.NOT_LEADER_OR_FOLLOWER}
    case.groups.code = NONE
    assert case.write(key).result() == {key: NONE}
    index, marker, producer_id, epoch, version = case.groups.marked[-1]
    assert (index, marker.coordinator_epoch, producer_id, epoch, version) == (5, 4, 9, 1, 2)


def test_done_when_all_are_on_the_disk_where_that_is_asked_for(case: Case) -> None:
    case.partition.log.reconfigure(
        LogConfig(kstore_acks_all_flush=True, transaction_partition_verification_enable=False)
    )
    data = batch(b"v", producer_id=9, producer_epoch=0, base_sequence=0, transactional=True)
    case.partition.append(data, NOW_MS)
    written = case.write(("t", 0), ("u", 0))
    assert not written.done
    case.runtime.run_soon()
    case.runtime.run_workers()
    assert written.result()["t", 0] is NONE
    assert case.partition.last_stable_offset == 2
