"""Every kind of file that a crash can leave in a partition's directory (the table in `sweep`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.logs import NOW_MS, batch, make_log, offsets, open_store, values

SUFFIXES = (".log", ".index", ".timeindex")


def name(offset: int, suffix: str) -> str:
    return f"{offset:020d}{suffix}"


@pytest.fixture
def directory(data_dir: Path) -> Path:
    """A partition with segments at 0, 3 and 6, of which the store was not closed cleanly."""
    data = batch(b"value")
    with open_store(data_dir) as store:
        log = make_log(store, segment_bytes=3 * len(data))
        for _ in range(8):
            log.append(data, now_ms=NOW_MS)
    (data_dir / ".kafka_cleanshutdown").unlink()
    return data_dir / "topic-0"


def test_deleted_cleaned_and_temporary_files_go(directory: Path) -> None:
    left_over = [
        name(9, ".log.deleted"),
        name(3, ".index.deleted"),
        name(3, ".log.cleaned"),
        name(3, ".timeindex.cleaned"),
        "leader-epoch-checkpoint.tmp",
        name(8, ".snapshot.tmp"),
        name(5, ".snapshot.deleted"),
    ]
    for left in left_over:
        (directory / left).write_bytes(b"junk")
    with open_store(directory.parent) as store:
        assert offsets(store.logs["topic", 0]) == list(range(8))
    assert not any((directory / left).exists() for left in left_over)


def test_files_of_others_are_left_alone(directory: Path) -> None:
    for left in ("remote_log_snapshot", "notes.txt", "00000000000000000001-1.checkpoint.deleted"):
        (directory / left).write_bytes(b"junk")
    with open_store(directory.parent):
        pass
    for left in ("remote_log_snapshot", "notes.txt", "00000000000000000001-1.checkpoint.deleted"):
        assert (directory / left).exists()


def test_an_index_without_its_log_goes(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    orphans = [directory / name(9, suffix) for suffix in (".index", ".timeindex", ".txnindex")]
    for orphan in orphans:
        orphan.write_bytes(b"")
    with open_store(directory.parent) as store:
        assert offsets(store.logs["topic", 0]) == list(range(8))
    for orphan in orphans:
        assert not orphan.exists()
        assert str(orphan) in caplog.text


def compacted(directory: Path) -> None:
    """The segments at 0 and 3 as one, with a single record, ready to be swapped in."""
    made = directory.parent.parent / "compacted"
    with open_store(made) as store:
        make_log(store).append(batch(b"compacted"), now_ms=NOW_MS)
        log = store.logs["topic", 0]
        log.truncate_to(1)
        log.append_verbatim(_at(batch(b"compacted too"), 4))
    for suffix in SUFFIXES:
        shutil.copy(made / "topic-0" / name(0, suffix), directory / name(0, suffix + ".swap"))


def _at(data: bytes, offset: int) -> bytes:
    return offset.to_bytes(8, "big") + data[8:]


@pytest.mark.parametrize("already_renamed", [0, 1, 2])
@pytest.mark.parametrize("already_deleted", [(), (0,), (0, 3)])
def test_a_finished_compaction_takes_its_place(
    directory: Path, already_renamed: int, already_deleted: tuple[int, ...]
) -> None:
    compacted(directory)
    for base_offset in already_deleted:
        for suffix in SUFFIXES:
            path = directory / name(base_offset, suffix)
            path.rename(path.with_name(path.name + ".deleted"))
    # Indexes are renamed after the log file was, so that what is left of a swap has its log.
    for suffix in (".timeindex", ".index")[:already_renamed]:
        (directory / name(0, suffix + ".swap")).rename(directory / name(0, suffix))
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        assert values(log) == [b"compacted", b"compacted too", b"value", b"value"]
        assert offsets(log) == [0, 4, 6, 7]
        assert [segment.base_offset for segment in log.segments.all()] == [0, 6]
    assert list(directory.glob("*.swap")) == []


def test_half_of_a_split_is_undone(directory: Path) -> None:
    compacted(directory)
    (directory / name(0, ".log.cleaned")).write_bytes(b"")
    with open_store(directory.parent) as store:
        assert offsets(store.logs["topic", 0]) == list(range(8))
    assert list(directory.glob("*.swap")) == []


def test_stray_snapshots_go(directory: Path) -> None:
    before = {path.name for path in directory.glob("*.snapshot")}
    assert before == {name(offset, ".snapshot") for offset in (3, 6, 8)}
    for offset in (1, 4, 7):
        shutil.copy(directory / name(8, ".snapshot"), directory / name(offset, ".snapshot"))
    with open_store(directory.parent):
        assert {path.name for path in directory.glob("*.snapshot")} == before
