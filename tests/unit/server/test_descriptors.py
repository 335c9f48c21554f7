"""How many descriptors connections may take, by the limit of the process."""

from __future__ import annotations

import resource

import pytest

from kstore_server import descriptors


@pytest.mark.parametrize(
    ("limit", "first_kept"),
    [(20_000, 18_000), (1_024, 896), (300, 172), (100, 50), (0, 0)],
)
def test_some_are_kept_for_files(
    monkeypatch: pytest.MonkeyPatch, limit: int, first_kept: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert descriptors.kept_for_files(first_kept)
    assert not descriptors.kept_for_files(first_kept - 1)


def test_none_are_kept_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: unlimited)
    assert not descriptors.kept_for_files(1 << 30)


def test_the_limit_of_this_process_is_raised_to_the_hard_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    descriptors.raise_limit()
    assert asked == [(4_096, 4_096)]
    assert "raised from=1024 to=4096" in caplog.text


def test_a_limit_that_cannot_be_raised_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1_024, 4_096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    descriptors.raise_limit()
    assert "not raised limit=1024" in caplog.text
