"""The judge of histories, on histories so small that one sees what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.queue_history import Ending, History, Kind, find_anomalies

UNCOMMITTED = "read_uncommitted"


def kinds(history: History) -> set[Kind]:
    return {one.kind for one in find_anomalies(history)}


def written(*values: str, transaction: str = "") -> History:
    """One producer, one partition; each value acknowledged at the next offset."""
    history = History()
    for offset, value in enumerate(values):
        history.send("p", 0, value, transaction)
        history.acknowledge(value, offset)
    return history


def read(history: History, *places: tuple[int, str], by: str = "r") -> History:
    """`by` polls these offsets and values of the partition, one at a time."""
    for offset, value in places:
        history.poll(by, [(0, offset, value)])
    return history


def test_a_good_history_has_no_anomalies() -> None:
    history = written("a", "b", "c", transaction="t")
    history.ask_for_commit("t", at=2)
    history.end("t", Ending.COMMITTED)
    history.send("p", 0, "unknown", "u")
    history.ask_for_commit("u", at=2)
    history.send("p", 1, "aborted", "v")
    history.acknowledge("aborted", 0)
    history.end("v", Ending.ABORTED)
    history.begin_reading("early", UNCOMMITTED)
    history.poll("early", [(1, 0, "aborted"), (0, 0, "a")], at=1)
    history.poll("r", [(0, 0, "a"), (0, 1, "b")], at=3)
    history.poll("r", [(0, 2, "c"), (0, 4, "unknown")], at=4)
    assert find_anomalies(history) == []


def test_what_is_not_read_yet_is_not_lost() -> None:
    assert kinds(read(written("a", "b", "c"), (0, "a"), (1, "b"))) == set()
    assert kinds(written("a")) == set()


def test_a_lost_write() -> None:
    assert Kind.LOST_WRITE in kinds(read(written("a", "b", "c"), (0, "a"), (2, "c")))


@pytest.mark.parametrize("ending", [Ending.ABORTED, Ending.UNKNOWN])
def test_what_was_not_committed_may_be_missing(ending: Ending) -> None:
    history = written("a", transaction="t")
    history.end("t", ending)
    history.send("p", 0, "b")
    history.acknowledge("b", 2)
    assert kinds(read(history, (2, "b"))) == set()


def test_a_committed_write_that_nobody_reads_is_lost() -> None:
    history = written("a", transaction="t")
    history.end("t", Ending.COMMITTED)
    history.send("p", 0, "b")
    history.acknowledge("b", 2)
    assert kinds(read(history, (2, "b"))) == {Kind.LOST_WRITE}


def test_a_duplicate() -> None:
    assert kinds(read(written("a"), (0, "a"), (1, "a"))) == {Kind.DUPLICATE}


def test_a_duplicate_of_what_was_never_acknowledged() -> None:
    history = History()
    history.send("p", 0, "a")
    assert kinds(read(history, (5, "a"), (7, "a"))) == {Kind.DUPLICATE}


def test_an_aborted_read() -> None:
    history = written("a", transaction="t")
    history.end("t", Ending.ABORTED)
    assert kinds(read(history, (0, "a"))) == {Kind.ABORTED_READ}


def test_readers_of_what_is_uncommitted_see_what_was_aborted() -> None:
    history = written("a", transaction="t")
    history.end("t", Ending.ABORTED)
    history.begin_reading("r", UNCOMMITTED)
    assert kinds(read(history, (0, "a"))) == set()


@pytest.mark.parametrize(("at", "found"), [(1.0, {Kind.EARLY_READ}), (3.0, set())])
def test_a_read_before_the_commit_was_asked_for(at: float, found: set[Kind]) -> None:
    history = written("a", transaction="t")
    history.ask_for_commit("t", at=2)
    history.end("t", Ending.COMMITTED)
    history.poll("r", [(0, 0, "a")], at=at)
    assert kinds(history) == found


def test_a_read_of_a_transaction_that_nobody_asked_to_commit() -> None:
    history = written("a", transaction="t")
    history.poll("r", [(0, 0, "a")], at=1)
    assert kinds(history) == {Kind.EARLY_READ}


def test_a_skipped_poll() -> None:
    history = read(written("a", "b", "c"), (0, "a"), (1, "b"), (2, "c"), by="whole")
    assert kinds(read(history, (0, "a"), (2, "c"))) == {Kind.SKIPPED_POLL}


def test_control_records_and_aborted_ones_may_be_passed() -> None:
    history = written("a", "b", transaction="t")
    history.end("t", Ending.ABORTED)
    history.send("p", 0, "c")
    history.acknowledge("c", 3)
    history.begin_reading("all", UNCOMMITTED)
    read(history, (0, "a"), (1, "b"), (3, "c"), by="all")
    assert kinds(read(history, (3, "c"))) == set()
    history.begin_reading("other", UNCOMMITTED)
    assert kinds(read(history, (0, "a"), (3, "c"), by="other")) == {Kind.SKIPPED_POLL}


def test_a_skip_inside_one_poll() -> None:
    history = read(written("a", "b", "c"), (0, "a"), (1, "b"), (2, "c"), by="whole")
    history.poll("r", [(0, 0, "a"), (0, 2, "c")])
    assert kinds(history) == {Kind.SKIPPED_POLL}


def test_a_poll_that_goes_back() -> None:
    assert kinds(read(written("a", "b"), (0, "a"), (1, "b"), (0, "a"))) == {Kind.NON_MONOTONIC_POLL}


def begin_again(history: History) -> None:
    history.begin_reading("r")


def go_on(history: History) -> None:
    """No new partitions."""


@pytest.mark.parametrize(
    ("between", "found"), [(begin_again, set()), (go_on, {Kind.NON_MONOTONIC_POLL})]
)
def test_a_reader_with_new_partitions_may_go_back(
    between: Callable[[History], None], found: set[Kind]
) -> None:
    history = read(written("a", "b"), (0, "a"), (1, "b"))
    between(history)
    assert kinds(read(history, (0, "a"), (1, "b"))) == found


def test_a_later_record_at_an_earlier_offset() -> None:
    history = History()
    for value, offset in (("a", 4), ("b", 2)):
        history.send("p", 0, value)
        history.acknowledge(value, offset)
    assert kinds(history) == {Kind.NON_MONOTONIC_SEND}


def test_other_producers_and_partitions_have_an_order_of_their_own() -> None:
    history = History()
    for producer, partition, offset in (("p", 0, 4), ("q", 0, 2), ("p", 1, 1)):
        value = f"{producer}{partition}"
        history.send(producer, partition, value)
        history.acknowledge(value, offset)
    assert kinds(history) == set()


def test_two_values_at_one_offset() -> None:
    history = written("a")
    history.send("q", 0, "b")
    assert Kind.INCONSISTENT_OFFSET in kinds(read(history, (0, "b")))


def test_one_offset_told_to_two_producers() -> None:
    history = written("a")
    history.send("q", 0, "b")
    history.acknowledge("b", 0)
    assert kinds(history) == {Kind.INCONSISTENT_OFFSET}
