"""The disk that loses what was not synced: which states it can be left in, and which not."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from kstore.testing.faulty_files import FaultyFiles

ROUNDS = 150


class SmallPages(FaultyFiles):
    page_size = 4


@pytest.fixture
def files(tmp_path: Path) -> FaultyFiles:
    (tmp_path / "data").mkdir()
    return SmallPages()


def states(files: FaultyFiles, tmp_path: Path) -> Iterator[dict[str, bytes]]:
    """Names and bytes of what different power cuts leave; the worst first."""
    for number in range(ROUNDS):
        choose = random.Random(number) if number else None
        left = files.left_by_power_cut(tmp_path / "data", choose)
        yield {str(path): data for path, data in left.items() if data is not None}


def write(files: FaultyFiles, path: Path, data: bytes, *, sync: bool = False) -> None:
    with files.opened(path, create=True) as descriptor:
        files.write(descriptor, data, 0)
        if sync:
            files.sync(descriptor)


def seen(files: FaultyFiles, tmp_path: Path) -> list[dict[str, bytes]]:
    unique: list[dict[str, bytes]] = []
    for state in states(files, tmp_path):
        if state not in unique:
            unique.append(state)
    return unique


def test_pages_are_old_or_new_each_by_itself(tmp_path: Path, files: FaultyFiles) -> None:
    path = tmp_path / "data" / "file"
    write(files, path, b"oldoldoldold", sync=True)
    files.sync_directory(path.parent)
    write(files, path, b"NEWNEWNEWNEW")
    found = {state["file"] for state in states(files, tmp_path)}
    pages = {(data[:4], data[4:8], data[8:]) for data in found}
    assert pages == {
        (first, second, third)
        for first in (b"oldo", b"NEWN")
        for second in (b"ldol", b"EWNE")
        for third in (b"dold", b"WNEW")
    }


def test_a_size_may_come_without_its_data(tmp_path: Path, files: FaultyFiles) -> None:
    path = tmp_path / "data" / "file"
    write(files, path, b"1234", sync=True)
    files.sync_directory(path.parent)
    write(files, path, b"1234567890")
    found = {state["file"] for state in states(files, tmp_path)}
    assert {b"1234", b"1234567890", b"1234" + bytes(6), b"12345678"} <= found
    assert {len(data) for data in found} == {4, 8, 10}


def test_what_was_cut_off_may_be_zeros_when_it_is_written_again(
    tmp_path: Path, files: FaultyFiles
) -> None:
    path = tmp_path / "data" / "file"
    write(files, path, b"aaaabbbb", sync=True)
    files.sync_directory(path.parent)
    with files.opened(path) as descriptor:
        files.truncate(descriptor, 0)
        files.write(descriptor, b"ccccdddd", 0)
    found = {state["file"] for state in states(files, tmp_path)}
    assert {b"aaaabbbb", b"ccccdddd", b"", bytes(8), b"ccccbbbb", b"aaaa" + bytes(4)} <= found


def test_a_map_writes_to_pages_too(tmp_path: Path, files: FaultyFiles) -> None:
    path = tmp_path / "data" / "file"
    with files.opened(path, create=True) as descriptor:
        files.preallocate(descriptor, 0, 8)
        files.sync(descriptor)
        files.sync_directory(path.parent)
        map = files.map(descriptor, 8)
        map[:8] = b"mapped!!"
        assert {b"mapped!!", bytes(8), b"mapp" + bytes(4)} <= {
            state["file"] for state in states(files, tmp_path)
        }
        files.sync(descriptor)
        assert [state["file"] for state in seen(files, tmp_path)] == [b"mapped!!"]
        map.close()


def test_names_are_lost_in_any_order(tmp_path: Path, files: FaultyFiles) -> None:
    for name in ("a", "b"):
        write(files, tmp_path / "data" / name, b"", sync=True)
    found = {frozenset(state) for state in states(files, tmp_path)}
    assert found == {frozenset(), frozenset("a"), frozenset("b"), frozenset("ab")}
    files.sync_directory(tmp_path / "data")
    assert seen(files, tmp_path) == [{"a": b"", "b": b""}]


def test_a_rename_is_one_change(tmp_path: Path, files: FaultyFiles) -> None:
    data = tmp_path / "data"
    write(files, data / "file", b"old", sync=True)
    files.sync_directory(data)
    files.replace_file(data / "file", b"new", durable=False)
    found = seen(files, tmp_path)
    assert {state["file"] for state in found} == {b"old", b"new", b"", bytes(3)}
    assert all(set(state) <= {"file", "file.tmp"} for state in found)
    files.replace_file(data / "file", b"last")
    assert seen(files, tmp_path) == [{"file": b"last"}]


def test_a_deleted_file_may_come_back(tmp_path: Path, files: FaultyFiles) -> None:
    data = tmp_path / "data"
    write(files, data / "file", b"kept", sync=True)
    files.sync_directory(data)
    files.delete(data / "file")
    assert seen(files, tmp_path) == [{"file": b"kept"}, {}]


def test_a_directory_is_renamed_with_what_it_holds(tmp_path: Path, files: FaultyFiles) -> None:
    data = tmp_path / "data"
    files.make_directory(data / "old")
    write(files, data / "old" / "file", b"x", sync=True)
    files.sync_directory(data / "old")
    files.sync_directory(data)
    files.rename(data / "old", data / "new")
    assert seen(files, tmp_path) == [{"old/file": b"x"}, {"new/file": b"x"}]
    write(files, data / "new" / "file", b"y", sync=True)
    assert seen(files, tmp_path) == [{"old/file": b"y"}, {"new/file": b"y"}]


def test_the_nth_call_fails(tmp_path: Path, files: FaultyFiles) -> None:
    path = tmp_path / "data" / "file"
    files.fail("write", 28, first=2, count=2)
    outcomes = []
    for number in range(5):
        try:
            write(files, path, b"%d" % number)
        except OSError as error:
            outcomes.append(error.errno)
        else:
            outcomes.append(0)
    assert outcomes == [0, 28, 28, 0, 0]
    files.heal()
    files.fail_call(2, 5)
    with pytest.raises(OSError, match=os.strerror(5)):
        write(files, path, b"x")  # opens first
    write(files, path, b"x")


def test_the_world_stops_after_each_change(tmp_path: Path, files: FaultyFiles) -> None:
    told: list[str] = []
    files.after_call = lambda method, path: told.append(method)
    path = tmp_path / "data" / "file"
    files.replace_file(path, b"x")
    files.read_file(path)
    files.delete(path)
    assert told == [
        "open",
        "truncate",
        "write",
        "sync",
        "rename",
        "sync_directory",
        "delete",
    ]
