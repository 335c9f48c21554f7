"""Replies on real sockets: whole, in order, whatever the socket takes at a time."""

from __future__ import annotations

import asyncio
import errno
import mmap
import os
import socket
import weakref
from pathlib import Path

import pytest

from kstore.log.files import Files
from kstore.log.handles import Handles
from kstore.log.slices import Slice
from kstore_server import output
from kstore_server.output import Output
from kstore_server.runtime import AsyncioRuntime


class TrackedSlice(Slice):
    """One that can be seen to go."""

    __slots__ = ("__weakref__",)


class Pair:
    """An `Output` at one end of a socket pair with small buffers, a reader at the other."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        for end in (self.ours, self.theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.runtime = AsyncioRuntime()
        self.loop = asyncio.get_running_loop()
        self.drained = asyncio.Event()
        self.broken = asyncio.Event()
        self.errors: list[OSError] = []
        self.output = Output(
            self.loop, self.runtime, self.ours.fileno(), self.drained.set, self.broke
        )

    def broke(self, error: OSError) -> None:
        self.errors.append(error)
        self.broken.set()

    async def read(self, size: int) -> bytes:
        parts = []
        while size:
            part = await self.loop.sock_recv(self.theirs, min(size, 3000))
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        self.output.close()
        self.ours.close()
        self.theirs.close()
        self.runtime.close()


def test_parts_arrive_whole_and_in_order(tmp_path: Path) -> None:
    file = tmp_path / "00000000000000000000.log"
    content = os.urandom(300_000)
    file.write_bytes(content)

    async def run() -> None:
        pair = Pair()
        handles = Handles(Files())
        mapped = memoryview(content)[1000:90_000]
        sealed = Slice(handles, file, 5000, 250_000)
        in_map = Slice(handles, file, 1000, len(mapped), view=mapped)
        pair.output.add([b"head", sealed, b"between", in_map, b"end"])
        pair.output.flush()
        pair.output.add([b"second reply"])
        pair.output.flush()
        expected = (
            b"head"
            + content[5000:255_000]
            + b"between"
            + content[1000:90_000]
            + b"end"
            + b"second reply"
        )
        assert pair.output.unsent_size > 0, "the socket is smaller than the reply"
        assert await pair.read(len(expected)) == expected
        await pair.drained.wait()
        assert pair.output.unsent_size == 0
        assert pair.errors == []
        handles.clear()
        pair.close()

    asyncio.run(run())


@pytest.mark.parametrize("in_map", [False, True])
def test_a_large_reply_lets_others_have_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_map: bool
) -> None:
    """However much the socket would take."""
    monkeypatch.setattr(output, "CHUNK_SIZE", 1000)
    file = tmp_path / "00000000000000000000.log"
    content = os.urandom(10_000)
    file.write_bytes(content)

    async def run() -> None:
        pair = Pair()
        pair.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
        handles = Handles(Files())
        view = memoryview(content) if in_map else None
        pair.output.add([b"head", Slice(handles, file, 0, len(content), view=view)])
        pair.output.flush()
        pair.output.flush()
        left = []
        while pair.output.unsent_size:
            left.append(pair.output.unsent_size)
            await asyncio.sleep(0)
        assert left == [10_004 - 1000 * turn for turn in range(1, 11)]
        await pair.drained.wait()
        assert await pair.read(10_004) == b"head" + content
        handles.clear()
        pair.close()

    asyncio.run(run())


def test_a_turn_that_comes_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "CHUNK_SIZE", 10)

    async def run() -> None:
        pair = Pair()
        pair.output.add([b"x" * 100])
        pair.output.flush()
        pair.output.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await pair.read(10) == b"x" * 10
        assert pair.errors == []
        assert not pair.drained.is_set()
        pair.close()

    asyncio.run(run())


def test_what_was_sent_is_let_go_though_more_always_waits(tmp_path: Path) -> None:
    """A client that never quite keeps up must not make its old replies stay."""
    file = tmp_path / "00000000000000000000.log"
    content = os.urandom(200_000)
    file.write_bytes(content)

    async def run() -> None:
        pair = Pair()
        handles = Handles(Files())
        mapped = memoryview(content)
        alive: weakref.WeakSet[Slice] = weakref.WeakSet()
        for number in range(40):
            reply = TrackedSlice(
                handles, file, 0, len(content), view=mapped if number % 2 else None
            )
            alive.add(reply)
            pair.output.add([reply])
            del reply
            pair.output.flush()
            if number >= 5:
                assert await pair.read(len(content)) == content
                await asyncio.sleep(0)
            assert pair.output.unsent_size > 0, "all is never sent"
        assert len(alive) <= 7
        pair.close()
        handles.clear()
        assert len(alive) == 0

    asyncio.run(run())


def test_a_peer_that_is_gone_is_told() -> None:
    async def run() -> None:
        pair = Pair()
        pair.theirs.close()
        pair.output.add([b"x" * 100])
        pair.output.flush()
        assert len(pair.errors) == 1
        pair.close()

    asyncio.run(run())


class ColdFiles(Files):
    """Says that nothing is in memory until it was read."""

    resident = False

    def is_resident(self, descriptor: int, size: int, position: int) -> bool:
        return self.resident

    def read_now(self, descriptor: int, size: int, position: int) -> bytearray | None:
        return super().read_now(descriptor, size, position) if self.resident else None

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        self.resident = True
        return super().read(descriptor, size, position)


@pytest.mark.parametrize("in_map", [False, True])
def test_what_is_not_in_memory_is_read_ahead_by_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_map: bool
) -> None:
    monkeypatch.setattr(output, "MAPPED_SIZE", 10_000)
    file = tmp_path / "00000000000000000000.log"
    content = b"r" * 10_000
    file.write_bytes(content)

    async def run() -> None:
        pair = Pair()
        handles = Handles(ColdFiles())
        view = memoryview(content) if in_map else None
        pair.output.add([b"h", Slice(handles, file, 0, 10_000, view=view), b"t"])
        pair.output.flush()
        assert pair.output.unsent_size == 10_001, "the head went, the file waits for a worker"
        assert await pair.read(10_002) == b"h" + content + b"t"
        handles.clear()
        pair.close()

    asyncio.run(run())


@pytest.mark.parametrize("deleted", [False, True])
def test_a_large_piece_of_a_map_leaves_from_its_file_while_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    monkeypatch.setattr(output, "MAPPED_SIZE", 10_000)
    sent_from_file = []
    sendfile = os.sendfile

    def counted(socket: int, file: int, position: int, size: int) -> int:
        sent_from_file.append(size)
        return sendfile(socket, file, position, size)

    monkeypatch.setattr(os, "sendfile", counted)
    file = tmp_path / "00000000000000000000.log"
    content = os.urandom(10_000)
    if not deleted:
        file.write_bytes(content)

    async def run() -> None:
        pair = Pair()
        handles = Handles(Files())
        pair.output.add([Slice(handles, file, 0, 10_000, view=memoryview(content))])
        pair.output.flush()
        assert await pair.read(10_000) == content
        assert bool(sent_from_file) is not deleted
        handles.clear()
        pair.close()

    asyncio.run(run())


def test_small_pieces_of_files_leave_in_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "00000000000000000000.log"
    content = os.urandom(4000)
    file.write_bytes(content)
    writes = []
    writev = os.writev

    def counted(descriptor: int, parts: list[bytes]) -> int:
        writes.append(len(parts))
        return writev(descriptor, parts)

    monkeypatch.setattr(os, "writev", counted)

    async def run() -> None:
        pair = Pair()
        pair.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
        handles = Handles(Files())
        for number in range(10):
            pair.output.add([b"head", Slice(handles, file, number, 300)])
        pair.output.flush()
        assert writes == [20]
        expected = b"".join(b"head" + content[at : at + 300] for at in range(10))
        assert await pair.read(len(expected)) == expected
        handles.clear()
        pair.close()

    asyncio.run(run())


def test_what_was_read_ahead_and_sent_in_one_go_is_told_to_be_gone(tmp_path: Path) -> None:
    """Or a connection that stopped reading for so much unsent would never read again."""
    file = tmp_path / "00000000000000000000.log"
    file.write_bytes(b"r" * 1000)

    async def run() -> None:
        pair = Pair()
        handles = Handles(ColdFiles())
        pair.output.add([Slice(handles, file, 0, 1000)])
        pair.output.flush()
        assert pair.output.unsent_size == 1000
        await asyncio.wait_for(pair.drained.wait(), 10)
        assert pair.output.unsent_size == 0
        assert await pair.read(1000) == b"r" * 1000
        handles.clear()
        pair.close()

    asyncio.run(run())


def test_a_file_that_can_not_be_read_ahead_ends_the_connection(tmp_path: Path) -> None:
    file = tmp_path / "00000000000000000000.log"
    file.write_bytes(b"r" * 1000)

    class BrokenFiles(Files):
        reads = 0

        def is_resident(self, descriptor: int, size: int, position: int) -> bool:
            return False

        def read_now(self, descriptor: int, size: int, position: int) -> bytearray | None:
            return None

        def read(self, descriptor: int, size: int, position: int) -> bytes:
            self.reads += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def run() -> None:
        pair = Pair()
        files = BrokenFiles()
        handles = Handles(files)
        pair.output.add([Slice(handles, file, 0, 1000)])
        pair.output.flush()
        await asyncio.wait_for(pair.broken.wait(), 10)
        assert [error.errno for error in pair.errors] == [errno.EIO]
        assert files.reads == 1, "it is not tried again and again"
        handles.clear()
        pair.close()

    asyncio.run(run())


def test_a_file_that_was_cut_ends_the_connection(tmp_path: Path) -> None:
    file = tmp_path / "00000000000000000000.log"
    file.write_bytes(b"r" * 1000)

    async def run() -> None:
        pair = Pair()
        handles = Handles(Files())
        pair.output.add([Slice(handles, file, 0, 1500)])
        pair.output.flush()
        assert [error.errno for error in pair.errors] == [errno.EIO]
        assert await pair.read(1000) == b"r" * 1000
        handles.clear()
        pair.close()

    asyncio.run(run())


def test_a_map_that_was_cut_ends_the_connection(tmp_path: Path) -> None:
    """The bytes are read by the system, for which what is gone is an error and not a SIGBUS."""
    file = tmp_path / "00000000000000000000.log"
    file.write_bytes(b"x" * 3 * mmap.PAGESIZE)

    async def run() -> None:
        pair = Pair()
        handles = Handles(Files())
        descriptor = handles.get(file).descriptor
        room = memoryview(Files().map(descriptor, 3 * mmap.PAGESIZE))
        os.truncate(file, 100)
        reply = Slice(handles, file, mmap.PAGESIZE, 2 * mmap.PAGESIZE, view=room[mmap.PAGESIZE :])
        pair.output.add([reply])
        pair.output.flush()
        assert [error.errno for error in pair.errors] == [errno.EFAULT]
        handles.clear()
        pair.close()

    asyncio.run(run())
