"""From a decided outcome to its completion, whatever happens in between."""

from __future__ import annotations

from collections import deque

import pytest

from kstore.coordinator.fields import MalformedRecordError
from kstore.coordinator.transaction_records import TransactionRecord
from kstore.errors import ErrorCode
from kstore.transactions.shard import RETRY_MS
from tests.unit.transactions.support import A, B, Producer, World, started

NONE = ErrorCode.NONE


@pytest.mark.parametrize("commit", [True, False])
def test_a_crash_before_the_markers_ends_in_the_decided_outcome(commit: bool) -> None:
    world = World()
    world.markers.hold = True
    producer = started(world)
    producer.add(A, B)
    assert producer.take(producer.end_later(commit).result()) is NONE
    first = world.markers.written[-1]
    world.markers.hold = False
    world.restart()
    assert world.state() == ("CompleteCommit" if commit else "CompleteAbort")
    again = world.markers.written[-1]
    assert again == (*first[:2], 2, *first[3:])  # from the coordinator of the next epoch
    assert producer.add(A) is NONE


def test_a_crash_before_the_decision_leaves_the_transaction_open() -> None:
    world = World()
    producer = started(world)
    producer.add(A)
    world.restart()
    assert (world.state(), world.markers.written) == ("Ongoing", [])
    assert producer.commit() is NONE


def test_a_crash_before_the_completion_is_stored_writes_the_markers_again() -> None:
    world = World()
    producer = started(world)
    producer.add(A)
    world.log.hold = True
    producer.end_later(True)
    world.log.commit_next()
    assert world.log.held_count == 1  # the completion
    world.log.hold = False
    world.restart()
    assert len(world.markers.written) == 2
    assert world.state() == "CompleteCommit"


def test_the_answer_to_a_marker_of_before_the_crash_is_not_for_the_next_coordinator() -> None:
    world = World()
    world.markers.hold = True
    producer = started(world)
    producer.add(A)
    producer.commit()
    world.restart()
    world.markers.write_next()
    assert world.state() == "PrepareCommit"
    world.markers.write_next()
    assert world.state() == "CompleteCommit"


def test_a_marker_that_can_not_be_written_is_tried_again() -> None:
    world = World()
    world.markers.errors[A] = deque([ErrorCode.NOT_LEADER_OR_FOLLOWER] * 2)
    producer = started(world)
    producer.add(A, B)
    assert producer.commit() is NONE
    assert world.transactions.describe("t").partitions == {A}
    world.time.advance(RETRY_MS - 1)
    assert len(world.markers.written) == 1
    world.time.advance(1)
    assert world.state() == "PrepareCommit"
    world.time.advance(RETRY_MS)
    assert world.state() == "CompleteCommit"
    assert [one[-1] for one in world.markers.written] == [{A, B}, {A}, {A}]


@pytest.mark.parametrize(
    "error",
    [
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.INVALID_PRODUCER_EPOCH,
        ErrorCode.TRANSACTION_COORDINATOR_FENCED,
    ],
)
def test_a_partition_that_needs_no_marker_any_more_is_let_go(error: ErrorCode) -> None:
    world = World()
    world.markers.errors[A] = deque([error])
    producer = started(world)
    producer.add(A, B)
    assert producer.commit() is NONE
    assert world.state() == "CompleteCommit"
    assert world.time.timer_count == 2  # those of the coordinator itself


def test_a_completion_that_can_not_be_stored_is_tried_again() -> None:
    world = World()
    world.markers.hold = True
    producer = started(world)
    producer.add(A)
    producer.commit()
    world.log.fail_with = ErrorCode.NOT_ENOUGH_REPLICAS
    world.markers.write_next()
    world.time.advance(RETRY_MS)
    assert world.state() == "PrepareCommit"
    world.log.fail_with = None
    world.time.advance(RETRY_MS)
    assert world.state() == "CompleteCommit"
    assert len(world.markers.written) == 1


def test_an_end_without_partitions_needs_no_marker() -> None:
    world = World()
    producer = started(world)
    assert producer.abort() is NONE
    assert (world.state(), world.markers.written) == ("CompleteAbort", [])


def test_who_waits_is_told_when_the_partition_goes() -> None:
    world = World()
    producer = started(world)
    world.log.hold = True
    adding, waiting = producer.add_later(A), producer.end_later(True)
    world.transactions.unload(0)
    assert adding.result() == {A: ErrorCode.NOT_COORDINATOR}
    assert waiting.result().error is ErrorCode.NOT_COORDINATOR
    world.log.commit_next()
    assert producer.add(A) is ErrorCode.NOT_COORDINATOR
    world.transactions.begin_load(0)
    assert producer.add(A) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert Producer(world).init() is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    world.transactions.close()
    assert producer.commit() is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert world.time.timer_count == 0


def test_a_partition_that_goes_takes_its_retries_with_it() -> None:
    world = World()
    world.markers.errors[A] = deque([ErrorCode.KAFKA_STORAGE_ERROR])
    producer = started(world)
    producer.add(A)
    producer.commit()
    world.transactions.unload(0)
    world.time.advance(RETRY_MS)
    assert len(world.markers.written) == 1


def test_a_malformed_record_is_refused_and_its_partition_stays_away() -> None:
    world = World()
    producer = started(world)
    key = TransactionRecord("t", None).encode()[0]
    with pytest.raises(MalformedRecordError):
        world.transactions.load(0, [(key, b"\0\1\0")], 1)
    assert producer.add(A) is ErrorCode.NOT_COORDINATOR


def test_records_of_other_kinds_are_left_alone() -> None:
    world = World()
    producer = started(world)
    world.transactions.load(0, [*world.log.records[0], (b"\0\x07of another", b"kind")], 2)
    assert producer.add(A) is NONE
