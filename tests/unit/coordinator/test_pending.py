"""Values of open transactions: what a marker makes of them."""

from __future__ import annotations

from kstore.coordinator.pending import Pending


def test_a_commit_stores_the_newest_value_and_an_abort_none() -> None:
    pending: Pending[str, int] = Pending()
    pending.add(1, "a", 1)
    pending.add(1, "a", 2)
    pending.add(1, "b", 3)
    pending.add(2, "a", 4)
    assert sorted(pending) == ["a", "b"]
    assert sorted(pending.end(1, commit=True)) == [("a", 2), ("b", 3)]
    assert list(pending) == ["a"]
    assert pending.end(2, commit=False) == []
    assert len(pending) == 0
    assert pending.end(2, commit=True) == []


def test_what_came_later_stays_whichever_is_committed_first() -> None:
    for first, second in ((1, 2), (2, 1)):
        pending: Pending[str, int] = Pending()
        pending.add(1, "a", 10)
        pending.add(2, "a", 20)
        stored = dict(pending.end(first, commit=True))
        assert "a" in pending
        stored.update(pending.end(second, commit=True))
        assert stored == {"a": 20}


def test_a_value_outside_of_transactions_is_newer_than_those_before_it() -> None:
    pending: Pending[str, int] = Pending()
    pending.add(1, "a", 10)
    pending.supersede("a")
    pending.supersede("b")
    assert "a" in pending
    pending.add(2, "a", 20)
    assert pending.end(1, commit=True) == []
    assert pending.end(2, commit=True) == [("a", 20)]


def test_what_is_removed_does_not_come_back() -> None:
    pending: Pending[str, int] = Pending()
    pending.add(1, "a", 10)
    pending.add(1, "b", 11)
    pending.add(2, "a", 20)
    pending.forget("a")
    assert list(pending) == ["b"]
    assert pending.end(2, commit=True) == []
    assert pending.end(1, commit=True) == [("b", 11)]
