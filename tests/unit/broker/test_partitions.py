"""Partitions found by name and by id, and what they tell those who name the wrong one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

import kstore as api
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.image import PartitionImage


@pytest.fixture
def store(tmp_path: Path) -> Iterator[api.Store]:
    with api.open(tmp_path) as opened:
        yield opened


def image(index: int = 0, leader_epoch: int = 0) -> PartitionImage:
    return PartitionImage(index, 1, leader_epoch, (1,), (1,))


class Watcher:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.disturbances = 0

    def grown(self, size: int, stable_size: int) -> None:
        raise AssertionError("nothing was appended")

    def disturbed(self) -> None:
        self.disturbances += 1


def code_of(partitions: Partitions, topic: str | bytes, index: int) -> ErrorCode:
    with pytest.raises(KafkaError) as caught:
        partitions.find(topic, index)
    return caught.value.code


def test_by_name_and_by_id(store: api.Store) -> None:
    partitions = Partitions()
    made = [Partition(store.create("t", index), image(index)) for index in range(2)]
    made[1].topic_id = made[0].topic_id
    for one in made:
        partitions.add(one)
    key = made[0].topic_id.bytes
    assert [partitions.find("t", 1), partitions.find(key, 1)] == [made[1], made[1]]
    assert list(partitions) == made
    assert code_of(partitions, "t", 2) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert code_of(partitions, key, 2) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert code_of(partitions, "u", 0) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert code_of(partitions, uuid4().bytes, 0) == ErrorCode.UNKNOWN_TOPIC_ID
    assert code_of(partitions, "t", -1) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def test_one_that_is_removed_disturbs_who_waits_for_it(store: api.Store) -> None:
    partitions = Partitions()
    partition = Partition(store.create("t"), image())
    partitions.add(partition)
    watcher = Watcher()
    partition.watchers.add(watcher)
    assert partitions.remove("t", 0) is partition
    assert watcher.disturbances == 1
    assert code_of(partitions, partition.topic_id.bytes, 0) == ErrorCode.UNKNOWN_TOPIC_ID
    assert partitions.remove("t", 0) is None
    assert len(partitions) == 0


def test_leader_epochs(store: api.Store) -> None:
    partition = Partition(store.create("t"), image(leader_epoch=5))
    for known in (-1, 5):
        partition.check_leader_epoch(known)
    for known, code in (
        (4, ErrorCode.FENCED_LEADER_EPOCH),
        (6, ErrorCode.UNKNOWN_LEADER_EPOCH),
    ):
        with pytest.raises(KafkaError) as caught:
            partition.check_leader_epoch(known)
        assert caught.value.code == code
