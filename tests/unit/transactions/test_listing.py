"""Transactional ids for people."""

from __future__ import annotations

import pytest

from kstore.errors import ErrorCode
from kstore.transactions.values import TransactionDescription, TransactionFilter
from tests.unit.transactions.support import TIMEOUT_MS, A, B, World, started


@pytest.fixture
def world() -> World:
    """`empty`, `open-1` begun 500 ms ago, `open-2` just now, and `done`."""
    world = World(transaction_state_log_num_partitions=5)
    started(world, "empty")
    started(world, "open-1").add(A, B)
    done = started(world, "done")
    done.add(A)
    done.commit()
    world.time.advance(500)
    started(world, "open-2").add(A)
    return world


def listed(world: World, **wanted: object) -> set[str]:
    listings = world.transactions.list_transactions(TransactionFilter(**wanted))  # type: ignore[arg-type]
    assert listings.error is ErrorCode.NONE
    return {one.transactional_id for one in listings.transactions}


def test_a_list_without_filters_has_all(world: World) -> None:
    listings = world.transactions.list_transactions(TransactionFilter())
    assert {(one.transactional_id, one.state.label) for one in listings.transactions} == {
        ("empty", "Empty"),
        ("open-1", "Ongoing"),
        ("open-2", "Ongoing"),
        ("done", "CompleteCommit"),
    }
    assert {one.producer_id for one in listings.transactions} == {1000, 1001, 1002, 1003}


def test_filters(world: World) -> None:
    assert listed(world, states=["Ongoing"]) == {"open-1", "open-2"}
    assert listed(world, states=["Empty", "CompleteCommit"]) == {"empty", "done"}
    assert listed(world, states=["Dead", "PrepareEpochFence"]) == set()
    assert listed(world, producer_ids=[1000, 1001, 7]) == {"empty", "open-1"}
    assert listed(world, duration_ms=400, states=["Ongoing"]) == {"open-1"}
    assert listed(world, duration_ms=0, states=["Ongoing"]) == {"open-1"}
    assert listed(world, pattern="open-.*") == {"open-1", "open-2"}
    assert listed(world, pattern="open") == set()
    assert listed(world, pattern="open-.*", producer_ids=[1003]) == {"open-2"}


def test_a_state_that_does_not_exist_is_named_and_filters_all_the_same(world: World) -> None:
    wanted = TransactionFilter(states=["Nonsense", "Empty"])
    listings = world.transactions.list_transactions(wanted)
    assert listings.unknown_states == ("Nonsense",)
    assert listed(world, states=["Nonsense"]) == set()


def test_a_pattern_that_makes_no_sense_is_refused(world: World) -> None:
    listings = world.transactions.list_transactions(TransactionFilter(pattern="(open"))
    assert listings.error is ErrorCode.INVALID_REGULAR_EXPRESSION


def test_no_half_lists(world: World) -> None:
    world.transactions.begin_load(3)
    wanted = TransactionFilter()
    loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert world.transactions.list_transactions(wanted).error is loading
    world.transactions.close()
    closed = ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert world.transactions.list_transactions(wanted).error is closed


def test_descriptions(world: World) -> None:
    begun_ms = world.time.time_ms() - 500
    assert world.transactions.describe("open-1") == TransactionDescription(
        "open-1", ErrorCode.NONE, 1001, 0, "Ongoing", TIMEOUT_MS, begun_ms, frozenset({A, B})
    )
    unknown = world.transactions.describe("unknown")
    assert unknown == TransactionDescription("unknown", ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
    assert world.transactions.describe("").error is ErrorCode.INVALID_REQUEST
