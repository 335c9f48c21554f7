"""Who a producer is: ids, epochs, fencing, timeouts that are asked for."""

from __future__ import annotations

import pytest

from kstore.coordinator.transaction_records import Transaction, TransactionState
from kstore.errors import ErrorCode
from kstore.transactions.values import ProducerIdAndEpoch
from tests.unit.transactions.support import TIMEOUT_MS, A, Producer, World, started

LAST_EPOCH = 32766  # of a client; 32767 is for fencing it
NONE = ErrorCode.NONE


def stored(epoch: int, **fields: object) -> Transaction:
    return Transaction(
        **{  # type: ignore[arg-type]
            "producer_id": 7,
            "producer_epoch": epoch,
            "timeout_ms": TIMEOUT_MS,
            "state": TransactionState.EMPTY,
            "update_ms": 1,
            "previous_producer_id": 7,
        }
        | fields
    )


def test_a_new_transactional_id_gets_an_id_and_epoch_0() -> None:
    world = World()
    producer = started(world)
    assert (producer.producer_id, producer.epoch) == (1000, 0)
    assert world.last() == Transaction(
        producer_id=1000,
        producer_epoch=0,
        timeout_ms=TIMEOUT_MS,
        state=TransactionState.EMPTY,
        update_ms=world.time.time_ms(),
        previous_producer_id=1000,
    )


def test_another_producer_gets_the_same_id_and_the_next_epoch_and_fences_the_first() -> None:
    world = World()
    first, second = started(world), started(world)
    assert (second.producer_id, second.epoch) == (first.producer_id, 1)
    assert first.add(A) is ErrorCode.PRODUCER_FENCED
    assert first.commit() is ErrorCode.PRODUCER_FENCED
    assert second.add(A) is NONE


def test_other_transactional_ids_get_other_ids() -> None:
    world = World()
    assert started(world, "one").producer_id != started(world, "two").producer_id


@pytest.mark.parametrize("timeout_ms", [-1, 0, 900_001])
def test_a_timeout_out_of_range_is_refused(timeout_ms: int) -> None:
    world = World()
    producer = Producer(world)
    assert producer.init(timeout_ms) is ErrorCode.INVALID_TRANSACTION_TIMEOUT
    assert world.log.records == {}


def test_the_largest_timeout_is_a_config() -> None:
    world = World(transaction_max_timeout_ms=5)
    assert Producer(world).init(6) is ErrorCode.INVALID_TRANSACTION_TIMEOUT
    assert Producer(world).init(5) is NONE


def test_an_empty_transactional_id_is_refused() -> None:
    world = World()
    assert Producer(world, "").init() is ErrorCode.INVALID_REQUEST
    assert Producer(world, "").add(A) is ErrorCode.INVALID_REQUEST
    assert Producer(world, "").commit() is ErrorCode.INVALID_REQUEST


def test_a_producer_that_goes_on_after_an_error_raises_its_epoch_once() -> None:
    world = World()
    producer = started(world)
    before = producer.current
    assert producer.init(expected=before) is NONE
    assert producer.epoch == 1
    assert producer.init(expected=before) is NONE  # the answer got lost
    assert producer.epoch == 1
    assert producer.init(expected=ProducerIdAndEpoch(before.producer_id, 5)) is (
        ErrorCode.PRODUCER_FENCED
    )
    assert producer.init(expected=ProducerIdAndEpoch(5, 1)) is ErrorCode.PRODUCER_FENCED


def test_a_new_producer_in_between_fences_the_one_that_goes_on() -> None:
    world = World()
    first = started(world)
    before = first.current
    assert first.init(expected=before) is NONE
    started(world)
    assert first.init(expected=first.current) is ErrorCode.PRODUCER_FENCED
    assert first.init(expected=before) is ErrorCode.PRODUCER_FENCED


def test_a_producer_of_a_forgotten_transactional_id_goes_on_with_a_new_id() -> None:
    world = World()
    producer = Producer(world)
    assert producer.init(expected=ProducerIdAndEpoch(5, 9)) is NONE
    assert (producer.producer_id, producer.epoch) == (1000, 0)


def test_when_the_epochs_are_used_up_another_id_takes_over() -> None:
    world = World()
    world.store(stored(LAST_EPOCH - 1))
    producer = started(world)
    assert producer.current == ProducerIdAndEpoch(7, LAST_EPOCH)
    last = producer.current
    assert producer.init(expected=last) is NONE
    assert producer.current == ProducerIdAndEpoch(1000, 0)
    assert producer.init(expected=last) is NONE  # the answer got lost
    assert producer.current == ProducerIdAndEpoch(1000, 0)
    assert world.last().previous_producer_id == 1000
    assert Producer(world).init(expected=ProducerIdAndEpoch(7, 5)) is ErrorCode.PRODUCER_FENCED


def test_a_request_that_finds_no_producer_id_is_refused_and_the_next_one_is_not() -> None:
    world = World()
    world.no_ids = True
    producer = Producer(world)
    assert producer.init() is ErrorCode.COORDINATOR_NOT_AVAILABLE
    world.no_ids = False
    assert producer.init() is NONE


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_new_producer_aborts_what_the_one_before_left_open(version: int) -> None:
    world = World(version=version)
    first = started(world, version=version)
    assert first.add(A) is NONE
    second = Producer(world)
    assert second.init() is ErrorCode.CONCURRENT_TRANSACTIONS
    assert world.markers.written == [(1000, 1, 1, False, version if version == 2 else 0, {A})]
    assert world.state() == "CompleteAbort"
    assert second.init() is NONE
    assert second.current == ProducerIdAndEpoch(1000, 2)
    assert first.commit() is ErrorCode.PRODUCER_FENCED


@pytest.mark.parametrize("version", [0, 2])
def test_fencing_with_the_last_epoch(version: int) -> None:
    world = World(version=version)
    world.store(
        stored(LAST_EPOCH, state=TransactionState.ONGOING, partitions=frozenset({A}), start_ms=1)
    )
    producer = Producer(world)
    assert producer.init() is ErrorCode.CONCURRENT_TRANSACTIONS
    assert world.markers.written[-1][:2] == (7, LAST_EPOCH + 1)
    assert producer.init() is NONE
    assert producer.current == ProducerIdAndEpoch(1000, 0 if version == 0 else 1)


def test_no_producer_comes_in_while_a_transaction_ends() -> None:
    world = World()
    world.markers.hold = True
    first = started(world)
    first.add(A)
    first.commit()
    second = Producer(world)
    assert second.init() is ErrorCode.CONCURRENT_TRANSACTIONS
    assert second.init(expected=ProducerIdAndEpoch(5, 5)) is ErrorCode.PRODUCER_FENCED
    world.markers.write_next()
    assert second.init() is NONE


def test_a_fence_that_can_not_be_stored_raises_the_epoch_only_once() -> None:
    world = World(version=0)
    first = started(world, version=0)
    first.add(A)
    second = Producer(world)
    world.log.fail_with = ErrorCode.NOT_ENOUGH_REPLICAS
    for _ in range(3):
        assert second.init() is ErrorCode.COORDINATOR_NOT_AVAILABLE
    world.log.fail_with = None
    assert second.init() is ErrorCode.CONCURRENT_TRANSACTIONS
    assert world.markers.written[-1][1] == 1


def test_the_last_epoch_is_told_again_if_the_answer_got_lost() -> None:
    world = World()
    world.store(stored(LAST_EPOCH - 1))
    producer = Producer(world)
    for _ in range(2):
        assert producer.init(expected=ProducerIdAndEpoch(7, LAST_EPOCH - 1)) is NONE
        assert producer.current == ProducerIdAndEpoch(7, LAST_EPOCH)
