"""A crash after any call of the file system in the life of a log (see `life`), and canaries: an
engine that leaves out a sync, or renames in a wrong order, is caught by the same search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kstore.log import store
from kstore.log.compaction.output import Output
from kstore.log.compaction.swap import Swap
from kstore.log.files import Files
from kstore.log.flush import SyncJob
from kstore.log.segment import Segment
from tests.faults.life import EVERY_APPEND, WHEN_ASKED, FoundError, live


@pytest.mark.parametrize("flush_messages", [EVERY_APPEND, WHEN_ASKED])
def test_a_crash_after_some_calls(tmp_path: Path, seed: int, flush_messages: int) -> None:
    assert live(tmp_path / "life", seed, flush_messages, share=0.012, cuts=1) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("flush_messages", [EVERY_APPEND, WHEN_ASKED])
def test_a_crash_after_every_call(tmp_path: Path, seed: int, flush_messages: int) -> None:
    assert live(tmp_path / "life", seed, flush_messages, share=1, cuts=4) > 300


# Canaries: each takes one thing away from the engine.


def no_sync_of_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Segment, "open_files", lambda segment: [])


def no_sync_of_a_compaction(monkeypatch: pytest.MonkeyPatch) -> None:
    finish: Callable[[Output, Segment], Segment] = Output.finish

    def unsynced(output: Output, last: Segment) -> Segment:
        with monkeypatch.context() as patch:
            patch.setattr(Segment, "open_files", lambda segment: [])
            return finish(output, last)

    monkeypatch.setattr(Output, "finish", unsynced)


def no_sync_of_small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file = Files.replace_file

    def unsynced(files: Files, path: Path, data: bytes, *, durable: bool = True) -> None:
        replace_file(files, path, data, durable=False)

    monkeypatch.setattr(Files, "replace_file", unsynced)


def no_sync_of_new_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of segments, and of the snapshots that are written beside them."""
    make = SyncJob.__init__

    def without(job: SyncJob, *args: Any, **options: Any) -> None:
        make(job, *args, **{**options, "directories": []})

    monkeypatch.setattr(SyncJob, "__init__", without)
    no_sync_of_small_files(monkeypatch)


def no_sync_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories of partitions are made and renamed, and nobody waits for that."""

    def rename(self: store.Store, log: Any, directory: Path) -> None:
        if not log.closed:
            log.settle()
        self._handles.forget_directory(log.directory)
        self._files.rename(log.directory, directory)
        log.moved(directory)

    monkeypatch.setattr(store.Store, "_rename", rename)


def old_segments_go_before_the_new_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    name, retire = Swap.name, Swap.retire
    monkeypatch.setattr(Swap, "name", retire)
    monkeypatch.setattr(Swap, "retire", name)


CANARIES = {
    no_sync_of_segments: ".log",
    no_sync_of_a_compaction: ".swap",
    no_sync_of_new_names: "topic-0",
    no_sync_of_the_store: "a step",
    old_segments_go_before_the_new_one_is_named: ".deleted",
}
"""Each with the calls after which the search is for it."""


@pytest.mark.parametrize("canary", CANARIES)
def test_canary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, canary: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Each is found; the seeds are fixed, as this is about the search."""
    canary(monkeypatch)

    def search() -> None:
        for seed in range(8):
            root = tmp_path / str(seed)
            live(root, seed, EVERY_APPEND, share=1, cuts=4, suffix=CANARIES[canary])

    with pytest.raises(FoundError):
        search()
