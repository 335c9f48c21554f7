"""The door to the disk, and the open files behind it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kstore.log.files import Files
from kstore.log.handles import Handle, Handles
from kstore.testing.faulty_files import FaultyFiles

files = Files()


def test_reading_and_writing_at_positions(tmp_path: Path) -> None:
    with files.opened(tmp_path / "a", create=True) as descriptor:
        files.write(descriptor, b"world", 6)
        files.write(descriptor, memoryview(b"hello "), 0)
        assert files.read(descriptor, 11, 0) == b"hello world"
        assert files.read(descriptor, 100, 6) == b"world"
        assert files.read(descriptor, 100, 99) == b""
        assert files.size(descriptor) == 11
        files.truncate(descriptor, 5)
        files.sync(descriptor)
    assert files.read_file(tmp_path / "a") == b"hello"
    assert files.read_file(tmp_path / "b") is None
    with pytest.raises(FileNotFoundError):
        files.open(tmp_path / "b")


def test_short_reads_and_writes_are_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pread, pwrite, pwritev = os.pread, os.pwrite, os.pwritev
    monkeypatch.setattr(os, "pread", lambda fd, size, at: pread(fd, min(size, 3), at))
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:2], at))
    with files.opened(tmp_path / "a", create=True) as descriptor:
        files.write(descriptor, b"0123456789", 0)
        assert files.read(descriptor, 10, 0) == b"0123456789"
        assert files.read(descriptor, 99, 4) == b"456789"
        parts = [b"abc", memoryview(b"-defgh-")[1:6], b"", b"ij"]
        for size in range(1, 11):
            first = b"".join(parts)[:size]
            monkeypatch.setattr(os, "pwritev", lambda fd, _, at: pwritev(fd, [first], at))  # noqa: B023
            files.write_parts(descriptor, parts, 12 * size)
            assert files.read(descriptor, 11, 12 * size) == b"abcdefghij"


@pytest.mark.parametrize("supported", [True, False])
def test_preallocating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    def refuse(descriptor: int, position: int, size: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "no")

    if not supported:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    with files.opened(tmp_path / "a", create=True) as descriptor:
        files.write(descriptor, b"abc", 0)
        files.preallocate(descriptor, 3, 4093)
        files.preallocate(descriptor, 1000, 4096)
        assert files.read(descriptor, 9999, 0) == b"abc" + bytes(5093)
        assert os.fstat(descriptor).st_blocks * 512 >= 5096
        room = files.map(descriptor, 5096)
        room[5000:5003] = b"xyz"
        assert files.read(descriptor, 3, 5000) == b"xyz"
        room.close()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    (tmp_path / "a.tmp").write_bytes(b"left over from a crash, and longer")
    for data in (b"one", b"two, longer", b""):
        files.replace_file(path, data)
        assert path.read_bytes() == data
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("method", ["write", "sync", "rename"])
def test_a_file_that_could_not_be_replaced_is_the_old_one(tmp_path: Path, method: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    faulty = FaultyFiles()
    faulty.fail(method, errno.ENOSPC)
    with pytest.raises(OSError, match="No space left"):
        faulty.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_what_is_in_a_directory(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_bytes(name.encode() * 3)
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert files.scan(tmp_path) == [("a", 3), ("b", 3)]
    assert files.directories(tmp_path) == ["d"]


def test_one_lock_at_a_time(tmp_path: Path) -> None:
    descriptor = files.lock(tmp_path / "lock")
    assert descriptor is not None
    assert files.lock(tmp_path / "lock") is None
    files.close(descriptor)
    again = files.lock(tmp_path / "lock")
    assert again is not None
    files.close(again)


HOLD = """
import fcntl, sys
with open(sys.argv[1], "r+") as lock:
    fcntl.{kind}(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["flock", "lockf"])
def test_a_lock_of_either_kind_excludes_us_and_is_excluded(tmp_path: Path, kind: str) -> None:
    """Kafka takes a record lock (`lockf`), older kstores took the other one only."""
    path = tmp_path / "lock"
    path.touch()
    command = [sys.executable, "-c", HOLD.format(kind=kind), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert files.lock(path) is None
        other.communicate()
    descriptor = files.lock(path)
    assert descriptor is not None
    # What a second store in this process does must not cost the first one its lock.
    assert files.lock(path) is None
    refused = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    assert b"BlockingIOError" in refused.stderr
    files.close(descriptor)


def is_open(handle: Handle) -> bool:
    try:
        os.fstat(handle.descriptor)
    except OSError:
        return False
    return True


def test_what_can_be_read_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with files.opened(path) as descriptor:
        assert files.read_now(descriptor, 4, 3) == b"3456"
        assert files.read_now(descriptor, 4, 7) is None, "it ends before"


def test_a_few_handles_are_kept(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(4)]
    for path in paths:
        path.write_bytes(path.name.encode())
    handles = Handles(files, limit=2)
    first = handles.get(paths[0])
    assert handles.get(paths[0]) is first
    second = handles.get(paths[1]).descriptor
    handles.get(paths[0])
    handles.get(paths[2])
    assert len(handles) == 2
    with pytest.raises(OSError):
        os.fstat(second)
    assert handles.get(paths[0]) is first


def test_a_handle_lives_as_long_as_somebody_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"content")
    handles = Handles(files)
    held = handles.get(path)
    handles.forget(path)
    path.unlink()
    assert is_open(held)
    assert held.read(7, 0) == b"content"
    descriptor = held.descriptor
    del held
    with pytest.raises(OSError):
        os.fstat(descriptor)
    with pytest.raises(FileNotFoundError):
        handles.get(path)


def test_handles_of_a_directory_are_forgotten(tmp_path: Path) -> None:
    handles = Handles(files)
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "file").write_bytes(b"")
        handles.get(tmp_path / place / "file")
    handles.forget_directory(tmp_path / "a")
    assert len(handles) == 1
    handles.clear()
    assert len(handles) == 0
