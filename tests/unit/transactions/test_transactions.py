"""What a transaction goes through on behalf of its producer: partitions, and the end."""

from __future__ import annotations

import pytest

from kstore.coordinator.transaction_records import Transaction, TransactionState
from kstore.errors import ErrorCode
from kstore.transactions.values import ProducerIdAndEpoch
from tests.unit.transactions.support import TIMEOUT_MS, A, B, Producer, World, started

NONE = ErrorCode.NONE
BOTH = pytest.mark.parametrize("version", [0, 2])


@BOTH
def test_a_transaction_begins_with_its_first_partition(version: int) -> None:
    world = World()
    producer = started(world, version=version)
    assert world.state() == "Empty"
    world.time.advance(5)
    begun_ms = world.time.time_ms()
    assert producer.add(A) is NONE
    world.time.advance(5)
    assert producer.add(A, B) is NONE
    described = world.transactions.describe("t")
    assert (described.state, described.partitions) == ("Ongoing", {A, B})
    assert described.start_ms == begun_ms
    assert world.last().client_version == version


def test_partitions_that_take_part_are_not_stored_again() -> None:
    world = World()
    producer = started(world)
    producer.add(A, B)
    count = len(world.records())
    assert producer.add(B) is NONE
    assert len(world.records()) == count


@BOTH
@pytest.mark.parametrize("commit", [True, False])
def test_an_end_writes_a_marker_to_each_partition(version: int, commit: bool) -> None:
    world = World()
    producer = started(world, version=version)
    producer.add(A, B)
    assert producer.take(producer.end_later(commit).result()) is NONE
    marker_epoch = 1 if version == 2 else 0
    assert world.markers.written == [(1000, marker_epoch, 1, commit, version, {A, B})]
    assert producer.epoch == marker_epoch
    assert world.state() == ("CompleteCommit" if commit else "CompleteAbort")
    assert [one.state.label for one in world.records() if one is not None][2:] == [
        "PrepareCommit" if commit else "PrepareAbort",
        "CompleteCommit" if commit else "CompleteAbort",
    ]
    assert world.transactions.describe("t").partitions == frozenset()


@BOTH
def test_one_transaction_follows_the_other(version: int) -> None:
    world = World()
    producer = started(world, version=version)
    for number in range(1, 4):
        assert producer.add(A) is NONE
        assert producer.commit() is NONE
        assert producer.epoch == (number if version == 2 else 0)
    assert len(world.markers.written) == 3


def test_a_request_comes_after_those_before_it() -> None:
    world = World()
    producer = started(world)
    world.log.hold = True
    adding = producer.add_later(A)
    ending = producer.end_later(True)
    again = producer.add_later(A)
    assert not adding.done
    world.log.commit_next()
    assert adding.result() == {A: NONE}
    world.log.commit_next()
    world.log.commit_next()
    assert ending.result().producer_epoch == 1
    assert again.result() == {
        A: ErrorCode.PRODUCER_FENCED
    }  # its epoch is of the transaction before


def test_the_end_is_answered_with_the_transaction_complete_if_nothing_has_to_wait() -> None:
    world = World()
    producer = started(world)
    producer.add(A)
    ending = producer.end_later(True)
    seen: list[str] = []
    ending.then(lambda _: seen.append(world.state()))
    assert seen == ["CompleteCommit"]


# Version 1: the epoch does not tell transactions apart


@pytest.mark.parametrize("commit", [True, False])
def test_version_1_takes_the_same_end_again_and_no_other(commit: bool) -> None:
    world = World()
    producer = started(world, version=0)
    producer.add(A)
    for _ in range(2):
        assert producer.end_later(commit).result().error is NONE
    assert producer.end_later(not commit).result().error is ErrorCode.INVALID_TXN_STATE
    assert len(world.markers.written) == 1


def test_version_1_can_not_end_what_has_not_begun() -> None:
    world = World()
    producer = started(world, version=0)
    assert producer.commit() is ErrorCode.INVALID_TXN_STATE
    assert producer.abort() is ErrorCode.INVALID_TXN_STATE


# Version 2: Kafka's table at TransactionCoordinator.endTransaction


@pytest.mark.parametrize(
    ("ended", "again", "is_retry", "expected"),
    [
        (None, False, False, "bump"),
        (None, True, False, ErrorCode.INVALID_TXN_STATE),
        (None, False, True, ErrorCode.PRODUCER_FENCED),
        (None, True, True, ErrorCode.PRODUCER_FENCED),
        (False, False, True, NONE),
        (False, False, False, "bump"),
        (False, True, True, ErrorCode.INVALID_TXN_STATE),
        (False, True, False, ErrorCode.INVALID_TXN_STATE),
        (True, False, True, ErrorCode.INVALID_TXN_STATE),
        (True, False, False, "bump"),
        (True, True, True, NONE),
        (True, True, False, ErrorCode.INVALID_TXN_STATE),
    ],
)
def test_version_2_tells_a_retry_from_an_end_without_a_transaction(
    ended: bool | None, again: bool, is_retry: bool, expected: object
) -> None:
    """`ended` is how the last transaction did, `again` the wish: commit or not."""
    world = World()
    producer = started(world)
    producer.init()
    if ended is not None:
        producer.add(A)
        assert producer.take(producer.end_later(ended).result()) is NONE
    before = producer.current
    if is_retry:
        producer.epoch -= 1
    error = producer.take(producer.end_later(again).result())
    if expected == "bump":
        assert error is NONE
        assert producer.epoch == before.producer_epoch + 1
        assert world.state() == "CompleteAbort"
    else:
        assert error is expected
        assert (
            world.state() == {None: "Empty", True: "CompleteCommit", False: "CompleteAbort"}[ended]
        )
        if error is NONE:
            assert producer.current == before


def test_version_2_goes_on_with_another_id_when_the_epochs_are_used_up() -> None:
    world = World()
    world.store(Transaction(7, 32765, TIMEOUT_MS, TransactionState.EMPTY, update_ms=1))
    producer = started(world)
    last = producer.current
    assert last == ProducerIdAndEpoch(7, 32766)
    producer.add(A)
    assert producer.commit() is NONE
    assert producer.current == ProducerIdAndEpoch(1000, 0)
    assert world.markers.written == [(7, 32767, world.coordinator_epoch, True, 2, {A})]
    producer.producer_id, producer.epoch = last.producer_id, last.producer_epoch
    assert producer.commit() is NONE  # the answer got lost
    assert producer.current == ProducerIdAndEpoch(1000, 0)
    assert producer.add(A) is NONE


def test_the_end_waits_for_a_new_id_and_fails_without_one() -> None:
    world = World()
    world.store(Transaction(7, 32765, TIMEOUT_MS, TransactionState.EMPTY, update_ms=1))
    producer = started(world)
    producer.add(A)
    world.no_ids = True
    assert producer.commit() is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert world.state() == "Ongoing"
    world.no_ids = False
    assert producer.commit() is NONE


# Who is not who it should be, and when it is too early


@BOTH
def test_requests_of_others_are_refused(version: int) -> None:
    world = World()
    producer = started(world, version=version)
    producer.add(A)
    other = Producer(world, version=version)
    other.producer_id, other.epoch = producer.producer_id + 1, producer.epoch
    assert other.add(B) is other.commit() is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    for epoch in (producer.epoch - 1, producer.epoch + 1):
        other.producer_id, other.epoch = producer.producer_id, epoch
        assert other.add(B) is other.commit() is ErrorCode.PRODUCER_FENCED
    unknown = Producer(world, "unknown", version=version)
    assert unknown.add(B) is unknown.abort() is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert world.transactions.describe("t").partitions == {A}


@BOTH
def test_nothing_else_happens_while_a_transaction_ends(version: int) -> None:
    world = World()
    world.markers.hold = True
    producer = started(world, version=version)
    producer.add(A)
    ending = producer.end_later(True)
    assert ending.result().error is NONE
    assert world.state() == "PrepareCommit"
    assert producer.commit() is ErrorCode.CONCURRENT_TRANSACTIONS
    assert producer.abort() is ErrorCode.INVALID_TXN_STATE
    producer.take(ending.result())
    assert producer.add(A) is ErrorCode.CONCURRENT_TRANSACTIONS
    assert producer.verify(A) == {A: ErrorCode.CONCURRENT_TRANSACTIONS}
    world.markers.write_next()
    assert producer.add(A) is NONE


def test_verification_says_which_partitions_take_part() -> None:
    world = World()
    producer = started(world)
    producer.add(A)
    assert producer.verify(A, B) == {A: NONE, B: ErrorCode.TRANSACTION_ABORTABLE}
    producer.epoch = 5
    assert producer.verify(A) == {A: ErrorCode.PRODUCER_FENCED}
    producer.producer_id = 5
    assert producer.verify(A) == {A: ErrorCode.INVALID_PRODUCER_ID_MAPPING}
    assert Producer(world, "").verify(A) == {A: ErrorCode.INVALID_REQUEST}


def test_what_can_not_be_stored_has_not_happened() -> None:
    world = World()
    producer = started(world)
    world.log.fail_with = ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert producer.add(A) is ErrorCode.NOT_COORDINATOR
    assert world.state() == "Empty"
    world.log.fail_with = None
    producer.add(A)
    world.log.fail_with = ErrorCode.NOT_ENOUGH_REPLICAS
    assert producer.commit() is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert (world.state(), world.markers.written) == ("Ongoing", [])
    world.log.fail_with = None
    assert producer.abort() is NONE


def test_a_transactional_id_that_is_too_long_to_be_stored_is_refused() -> None:
    world = World()
    assert Producer(world, "x" * 40_000).init() is ErrorCode.UNKNOWN_SERVER_ERROR
    assert started(world).add(A) is NONE


def test_the_records_are_of_the_oldest_form_before_the_cluster_has_the_feature() -> None:
    world = World(version=0)
    producer = started(world, version=0)
    producer.add(A)
    producer.commit()
    versions = {value[:2] for _, value in world.log.records[0] if value is not None}
    assert versions == {b"\0\0"}
    world.version = 1
    producer.add(A)
    value = world.log.records[0][-1][1]
    assert value is not None
    assert value[:2] == b"\0\1"
