"""`Later`: everybody who waits is told, whatever the others make of it."""

from __future__ import annotations

import logging

import pytest

from kstore.runtime import Later


def test_a_callback_that_raises_costs_nobody_else_the_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    later: Later[int] = Later()
    seen = []

    def raises(_: Later[int]) -> None:
        raise ZeroDivisionError

    later.then(raises)
    later.then(lambda done: seen.append(done.result()))
    with caplog.at_level(logging.ERROR):
        later.complete(7)
    assert seen == [7]
    assert "ZeroDivisionError" in caplog.text


def test_a_chain_comes_to_what_its_last_link_comes_to() -> None:
    first: Later[int] = Later()
    second: Later[str] = Later()
    asked = []

    def follow(value: int) -> Later[str]:
        asked.append(value)
        return second

    chained = first.chain(follow)
    assert asked == []
    first.complete(1)
    assert asked == [1]
    assert not chained.done
    second.complete("end")
    assert chained.result() == "end"


def test_errors_pass_through_a_chain() -> None:
    def raises(_: int) -> Later[int]:
        raise ZeroDivisionError

    for chained in (
        Later.failed(KeyError("first")).chain(lambda _: Later.of(1)),
        Later.of(1).chain(lambda _: Later.failed(KeyError("second"))),
        Later.of(1).chain(raises),
    ):
        assert isinstance(chained.error, KeyError | ZeroDivisionError)


def test_a_later_comes_once() -> None:
    later = Later.of(1)
    with pytest.raises(RuntimeError, match="only once"):
        later.complete(2)
    assert later.result() == 1
