"""The loop and its connections, against sockets that answer well, late, badly and not at all."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from kstore.cli.bench.load_connection import LoadConnection
from kstore.cli.bench.load_loop import SELECT_LIMIT, LoadLoop
from kstore.cli.errors import CommandError

DEADLINE_S = 20


@contextmanager
def peer(serve: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """A server for one connection."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection, suppress(ConnectionError):
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


def frame(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def read_frame(connection: socket.socket) -> bytes:
    head = connection.recv(4, socket.MSG_WAITALL)
    return connection.recv(struct.unpack(">i", head)[0], socket.MSG_WAITALL) if head else b""


def echo(connection: socket.socket) -> None:
    while body := read_frame(connection):
        connection.sendall(frame(body))


def wait_for_end(connection: socket.socket) -> None:
    while connection.recv(1 << 16):
        pass


def answer_otherwise(connection: socket.socket) -> None:
    read_frame(connection)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")


def exchange(loop: LoadLoop, connection: LoadConnection, frames: list[bytes]) -> list[bytes]:
    """The replies to these frames, sent at once."""
    replies: list[bytes] = []
    loop.add(connection, lambda found, _: replies.extend(map(bytes, found)))
    if not connection.send(frames, len(frames)):
        loop.flush_later(connection)
    loop.run(lambda now_ns: now_ns + 10_000_000 if connection.in_flight else None)
    return replies


@pytest.mark.parametrize("size", [1, 100, 70_000, 3_000_000])
def test_replies_come_whole_and_in_order(size: int) -> None:
    bodies = [bytes([number]) * size for number in range(1, 8)]
    with peer(echo) as address, LoadLoop(timeout_s=DEADLINE_S) as loop:
        connection = LoadConnection(address, bytearray(1 << 16), timeout_s=DEADLINE_S)
        assert exchange(loop, connection, [frame(body) for body in bodies]) == bodies
        assert connection.is_idle


def test_more_parts_than_one_write_takes() -> None:
    with peer(echo) as address, LoadLoop(timeout_s=DEADLINE_S) as loop:
        connection = LoadConnection(address, bytearray(1 << 16), timeout_s=DEADLINE_S)
        assert len(exchange(loop, connection, [frame(b"x")] * 5000)) == 5000


def test_a_moved_connection_works_and_leaves_its_descriptor() -> None:
    with peer(echo) as address, LoadLoop(timeout_s=DEADLINE_S) as loop:
        connection = LoadConnection(address, bytearray(1 << 16), timeout_s=DEADLINE_S)
        before = connection.fileno()
        connection.move_above(SELECT_LIMIT)
        assert before < SELECT_LIMIT <= connection.fileno()
        assert exchange(loop, connection, [frame(b"moved")]) == [b"moved"]


@pytest.mark.parametrize(
    ("serve", "error"),
    [
        (read_frame, "the broker at {} closed the connection"),
        (answer_otherwise, "{} does not speak Kafka's protocol"),
        (wait_for_end, "no reply from the broker in 0.1 s"),
    ],
    ids=["closes", "speaks otherwise", "says nothing"],
)
def test_a_bad_peer_is_one_line(serve: Callable[[socket.socket], None], error: str) -> None:
    with peer(serve) as address:
        with LoadLoop(timeout_s=0.1) as loop:
            connection = LoadConnection(address, bytearray(1 << 16), timeout_s=DEADLINE_S)
            with pytest.raises(CommandError) as failed:
                exchange(loop, connection, [frame(b"x")])
        assert str(failed.value) == error.format(f"127.0.0.1:{address[1]}")


def test_a_moment_is_reached() -> None:
    moments = [time.perf_counter_ns() + 30_000_000]
    ended: list[int] = []

    def turn(now_ns: int) -> int | None:
        if now_ns >= moments[0]:
            ended.append(now_ns)
            return None
        return moments[0]

    with LoadLoop(timeout_s=DEADLINE_S) as loop:
        loop.run(turn)
    assert ended[0] >= moments[0]
