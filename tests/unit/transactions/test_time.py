"""What time leads to: transactions that take too long, and ids that nobody uses any more."""

from __future__ import annotations

from kstore.errors import ErrorCode
from tests.unit.transactions.support import (
    ABORT_INTERVAL_MS,
    TIMEOUT_MS,
    A,
    Producer,
    World,
    started,
)

NONE = ErrorCode.NONE
HOUR_MS = 3_600_000


def test_a_transaction_that_takes_too_long_is_aborted_and_its_producer_fenced() -> None:
    world = World()
    producer = started(world)
    producer.add(A)
    world.time.advance(TIMEOUT_MS)
    assert world.state() == "Ongoing"
    world.time.advance(ABORT_INTERVAL_MS)
    assert world.state() == "CompleteAbort"
    assert world.markers.written == [(1000, 1, 1, False, 2, {A})]
    assert producer.add(A) is ErrorCode.PRODUCER_FENCED
    assert started(world).epoch == 2


def test_the_timeout_counts_from_the_beginning_of_the_transaction() -> None:
    world = World()
    producer = started(world)
    world.time.advance(2 * TIMEOUT_MS)
    for _ in range(3):
        producer.add(A)
        world.time.advance(TIMEOUT_MS / 2)
        assert producer.commit() is NONE
        world.time.advance(ABORT_INTERVAL_MS)


def test_version_1_aborts_what_takes_too_long_with_a_raised_epoch() -> None:
    world = World(version=1)
    started(world, version=0).add(A)
    world.time.advance(TIMEOUT_MS + ABORT_INTERVAL_MS)
    assert world.markers.written == [(1000, 1, 1, False, 0, {A})]


def test_a_timeout_goes_on_counting_over_a_restart() -> None:
    world = World()
    started(world).add(A)
    world.time.advance(TIMEOUT_MS)
    world.restart()
    world.time.advance(ABORT_INTERVAL_MS)
    assert world.state() == "CompleteAbort"


def test_an_abort_that_can_not_be_stored_comes_later() -> None:
    world = World()
    started(world).add(A)
    world.log.fail_with = ErrorCode.NOT_ENOUGH_REPLICAS
    world.time.advance(TIMEOUT_MS + ABORT_INTERVAL_MS)
    assert world.state() == "Ongoing"
    world.log.fail_with = None
    world.time.advance(ABORT_INTERVAL_MS)
    assert world.state() == "CompleteAbort"


def test_a_commit_that_came_first_is_not_undone_by_the_timeout() -> None:
    world = World()
    producer = started(world)
    producer.add(A)
    world.time.advance(TIMEOUT_MS - 1)
    world.log.hold = True
    ending = producer.end_later(True)
    world.time.advance(ABORT_INTERVAL_MS + 1)
    world.log.commit_next()
    world.log.commit_next()
    assert ending.result().error is NONE
    assert (world.state(), world.log.held_count) == ("CompleteCommit", 0)


def test_an_id_that_rests_too_long_is_forgotten() -> None:
    world = World(transactional_id_expiration_ms=5 * HOUR_MS)
    for number in range(250):
        started(world, f"t{number}")
    busy, ended = started(world, "busy"), started(world, "ended")
    busy.add(A)
    ended.add(A)
    ended.commit()
    world.time.advance(4 * HOUR_MS)
    assert world.state("ended") == "CompleteCommit"
    world.time.advance(HOUR_MS)
    assert world.transactions.describe("ended").error is ErrorCode.TRANSACTIONAL_ID_NOT_FOUND
    assert [key for key, value in world.log.records[0] if value is None].count(
        b"\0\0\0\x05ended"
    ) == 1
    left = [one for one in ("busy", *(f"t{number}" for number in range(250))) if world.state(one)]
    assert left == ["busy"]  # it was aborted when it timed out, and rests since
    world.restart()
    assert ended.add(A) is ErrorCode.INVALID_PRODUCER_ID_MAPPING
    assert started(world, "ended").epoch == 0


def test_an_id_that_is_used_is_kept() -> None:
    world = World(transactional_id_expiration_ms=2 * HOUR_MS)
    producer = started(world)
    for _ in range(5):
        world.time.advance(HOUR_MS + 1)
        producer.add(A)
        assert producer.commit() is NONE
    world.time.advance(4 * HOUR_MS)
    assert Producer(world).add(A) is ErrorCode.INVALID_PRODUCER_ID_MAPPING


def test_a_tombstone_that_can_not_be_stored_comes_later() -> None:
    world = World(transactional_id_expiration_ms=1)
    started(world)
    world.log.fail_with = ErrorCode.NOT_ENOUGH_REPLICAS
    world.time.advance(HOUR_MS)
    assert world.state() == "Empty"
    world.log.fail_with = None
    world.time.advance(HOUR_MS)
    assert world.state() == ""
