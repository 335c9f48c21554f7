"""Progress is drawn on a terminal, of long work only, and never on a pipe."""

from __future__ import annotations

import threading

import pytest

from kstore.cli import progress
from kstore.cli.progress import Working


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a bar is drawn; stderr counts as a terminal, and all work as long."""
    event = threading.Event()
    show = Working._show

    def show_and_tell(self: Working) -> None:
        show(self)
        event.set()

    monkeypatch.setattr(Working, "_show", show_and_tell)
    monkeypatch.setattr(progress, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(progress, "_is_watched", lambda: True)
    return event


def test_long_work_shows_a_bar(shown: threading.Event, capsys: pytest.CaptureFixture[str]) -> None:
    with Working("dumping", total=10) as working:
        assert shown.wait(10)
        working.done(5)
    assert "dumping" in capsys.readouterr().err


def test_short_work_shows_nothing(
    shown: threading.Event, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_PATIENCE_S", 60.0)
    with Working("dumping", total=10) as working:
        working.done(10)
    assert not shown.is_set()
    assert capsys.readouterr().err == ""


def test_nothing_is_shown_where_it_would_stand_in_the_way(
    shown: threading.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    before = threading.active_count()
    with Working("dumping", quiet=True):
        assert threading.active_count() == before
    assert capsys.readouterr().err == ""


def test_a_pipe_gets_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.active_count()
    with Working("checking"):
        assert threading.active_count() == before
    assert capsys.readouterr().err == ""
