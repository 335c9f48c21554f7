"""Offsets committed with a transaction: from TxnOffsetCommit to the marker, on a real log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from kstore.broker.coordination import OFFSETS_TOPIC, CoordinatorTopic
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.configs import GroupConfig, LogConfig
from kstore.coordinator.runtime import InTransaction
from kstore.errors import ErrorCode
from kstore.groups.coordinator import GroupCoordinator
from kstore.groups.values import (
    CommitRequest,
    DeleteOffsetsRequest,
    FetchRequest,
    FetchTopic,
    JoinRequest,
    OffsetToCommit,
    SyncRequest,
)
from kstore.log.records import ControlType, EndTransactionMarker
from kstore.metadata.image import PartitionImage
from tests.support.logs import PromptRuntime, open_store

ONE, OTHER = 1, 2
NONE = ErrorCode.NONE
UNSTABLE = ErrorCode.UNSTABLE_OFFSET_COMMIT
CONFIG = LogConfig(
    cleanup_policy=frozenset({"compact"}), transaction_partition_verification_enable=False
)


class World:
    """A group coordinator with one partition, on disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runtime = PromptRuntime()
        self.start()

    def start(self) -> None:
        self.store = open_store(self.directory, runtime=self.runtime, config=CONFIG)
        log = self.store.logs.get((OFFSETS_TOPIC, 0))
        if log is None:
            log = self.store.create(OFFSETS_TOPIC, 0, topic_id=UUID(int=1), config=CONFIG)
        self.partition = Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))
        partitions = Partitions()
        partitions.add(self.partition)
        topic = CoordinatorTopic(self.runtime, partitions, OFFSETS_TOPIC)
        config = GroupConfig(offsets_topic_num_partitions=1, group_initial_rebalance_delay_ms=0)
        self.groups = GroupCoordinator(self.runtime, topic, config)
        stored = topic.read_newest(self.partition).result()
        self.groups.load(0, stored.newest, stored.undecided)

    def stop(self) -> None:
        self.groups.close()
        self.store.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def commit(
        self,
        producer_id: int | None,
        offset: int,
        topic: str = "t",
        group_id: str = "g",
        **options: Any,
    ) -> ErrorCode:
        transaction = None if producer_id is None else InTransaction(producer_id, 0)
        request = CommitRequest(
            group_id, (OffsetToCommit(topic, 0, offset),), transaction=transaction, **options
        )
        (error,) = self.groups.commit_offsets(request).result().errors
        return error

    def end(self, producer_id: int, *, commit: bool = True, epoch: int = 0) -> ErrorCode:
        marker = EndTransactionMarker(ControlType.COMMIT if commit else ControlType.ABORT, 0)
        return self.groups.complete_transaction(0, marker, producer_id, epoch, 1).result()

    def fetch(self, topic: str = "t", *, stable: bool = True, group_id: str = "g") -> Any:
        """The offset, or the error."""
        request = FetchRequest(group_id, (FetchTopic(topic, (0,)),), stable)
        found = self.groups.fetch_offsets(request).result().topics[0].offsets[0]
        return found.offset if found.error is NONE else found.error

    def fetch_all(self) -> dict[str, Any]:
        topics = self.groups.fetch_offsets(FetchRequest("g", None, True)).result().topics
        return {topic.topic: topic.offsets[0].error or topic.offsets[0].offset for topic in topics}

    def member(self) -> tuple[str, int]:
        """A group of one member that waits for its assignment: its id, and the generation."""
        join = JoinRequest("g", 10_000, 10_000, "judge", (("p", b""),), instance_id="static")
        joining = self.groups.join(join)
        self.runtime.advance(10)
        result = joining.result()
        assert result.error is NONE
        return result.member_id, result.generation


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "data")
    yield world
    world.stop()


@pytest.mark.parametrize("restarts", range(4))
@pytest.mark.parametrize("commit", [True, False])
def test_an_offset_is_pending_until_the_marker(world: World, restarts: int, commit: bool) -> None:
    """With a restart after none, or one, of the steps."""

    def step(number: int) -> None:
        if restarts == number:
            world.restart()

    assert world.commit(None, 5) is NONE
    assert world.commit(ONE, 10) is NONE
    assert world.commit(ONE, 11) is NONE
    step(1)
    assert (world.fetch(), world.fetch(stable=False)) == (UNSTABLE, 5)
    assert world.fetch_all() == {"t": UNSTABLE}
    assert world.end(ONE, commit=commit) is NONE
    step(2)
    assert world.fetch() == world.fetch(stable=False) == (11 if commit else 5)
    step(3)
    assert world.fetch() == (11 if commit else 5)
    assert world.end(ONE, commit=True) is NONE, "once more, with nothing to end"
    assert world.fetch() == (11 if commit else 5)


@pytest.mark.parametrize("restart", [True, False])
def test_the_place_in_the_log_decides_not_that_of_the_marker(world: World, restart: bool) -> None:
    world.commit(ONE, 10)
    world.commit(None, 20)
    world.commit(ONE, 10, "u")
    world.commit(OTHER, 30, "u")
    if restart:
        world.restart()
    assert world.fetch() is UNSTABLE
    world.end(OTHER)
    world.end(ONE)
    assert (world.fetch(), world.fetch("u")) == (20, 30)
    world.restart()
    assert (world.fetch(), world.fetch("u")) == (20, 30)


def test_a_transaction_reaches_into_several_groups(world: World) -> None:
    world.commit(ONE, 1)
    world.commit(ONE, 2, group_id="h")
    assert [world.groups.describe_group(name).state for name in "gh"] == ["Empty", "Empty"]
    world.end(ONE)
    assert (world.fetch(), world.fetch(group_id="h")) == (1, 2)


def test_who_may_commit(world: World) -> None:
    assert world.commit(ONE, 1, generation=3, member_id="m") is ErrorCode.ILLEGAL_GENERATION
    member_id, generation = world.member()
    good = {"member_id": member_id, "generation": generation, "instance_id": "static"}
    assert world.commit(ONE, 1, **good) is NONE, "also while the assignment is awaited"
    assert world.commit(None, 1, **good) is ErrorCode.REBALANCE_IN_PROGRESS
    assert world.commit(ONE, 2) is NONE, "an old producer does not say for whom"
    assert world.commit(None, 2) is ErrorCode.UNKNOWN_MEMBER_ID
    assert world.commit(ONE, 3, **good | {"generation": 9}) is ErrorCode.ILLEGAL_GENERATION
    assert world.commit(ONE, 3, **good | {"member_id": "m"}) is ErrorCode.FENCED_INSTANCE_ID
    stranger = good | {"member_id": "m", "instance_id": None}
    assert world.commit(ONE, 3, **stranger) is ErrorCode.UNKNOWN_MEMBER_ID
    assert world.commit(ONE, 3, **good | {"instance_id": "x"}) is ErrorCode.UNKNOWN_MEMBER_ID
    world.groups.sync(SyncRequest("g", member_id, generation, assignments=((member_id, b""),)))
    world.end(ONE)
    assert world.fetch() == 2


def test_a_rebalance_changes_nothing_of_what_is_pending(world: World) -> None:
    member_id, generation = world.member()
    world.commit(ONE, 7, member_id=member_id, generation=generation)
    world.member()
    assert world.fetch() is UNSTABLE
    world.end(ONE)
    assert world.fetch() == 7


@pytest.mark.parametrize("restart", [True, False])
def test_deleting_reaches_what_is_pending(world: World, restart: bool) -> None:
    for topic in ("t", "u", "v"):
        world.commit(ONE, 10, topic)
    world.commit(None, 1, "u")
    request = DeleteOffsetsRequest("g", (("t", 0),))
    assert world.groups.delete_offsets(request).result().errors == (NONE,)
    if restart:
        world.restart()
    assert world.fetch() == -1
    world.groups.forget_topic("v", UUID(int=7))
    assert world.fetch("v") == -1
    assert world.groups.delete_group("g").result() is NONE
    if restart:
        world.restart()
    world.end(ONE)
    assert [world.fetch(topic) for topic in ("t", "u", "v")] == [-1, -1, -1]
    assert world.groups.list_groups() == []


def test_a_marker_that_comes_too_late_ends_nothing(world: World) -> None:
    world.commit(ONE, 5)
    world.end(ONE, epoch=3)
    assert world.fetch() == 5
    assert world.end(ONE, epoch=2) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert world.commit(ONE, 6) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert world.fetch() == 5


def test_offsets_of_a_transaction_that_nobody_knows_of_are_refused(world: World) -> None:
    world.partition.log.reconfigure(LogConfig(cleanup_policy=frozenset({"compact"})))
    assert world.commit(ONE, 5) is ErrorCode.INVALID_TXN_STATE
    assert world.fetch() == -1
    producers = world.partition.log.producers
    verification = producers.begin_verification(ONE, 0, -1, adds=True, now_ms=0)
    request = CommitRequest(
        "g", (OffsetToCommit("t", 0, 5),), transaction=InTransaction(ONE, 0, verification)
    )
    assert world.groups.commit_offsets(request).result().errors == (NONE,)
    assert world.commit(ONE, 6) is NONE, "the transaction is open now"


def test_a_partition_that_is_not_here(world: World) -> None:
    world.groups.unload(0)
    assert world.end(ONE) is ErrorCode.NOT_COORDINATOR
    world.groups.begin_load(0)
    assert world.end(ONE) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert world.commit(ONE, 1) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
