"""Thousands of clients at once, each of them a bad neighbour in its own way.

Their sockets belong to the test's process; none of them blocks it. One thread at a time.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

__all__ = ["Crowd", "read_reply", "sending_slowly", "wait_until_readable"]

SMALL_BUFFER_SIZE = 4096
DEADLINE_S = 60
BYTE_EVERY_S = 1.0


class Crowd:
    """Sockets that are connected to one broker, and closed with the crowd."""

    def __init__(self, bootstrap_servers: str) -> None:
        host, _, port = bootstrap_servers.rpartition(":")
        self._address = (host, int(port))
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.sockets:
            one.close()

    def join(self, count: int, greeting: bytes = b"") -> list[socket.socket]:
        """So many more, each of which sends `greeting` and takes little of what it is sent."""
        joined = []
        for _ in range(count):
            one = socket.socket()
            self.sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_SIZE)
            one.settimeout(DEADLINE_S)
            one.connect(self._address)
            one.sendall(greeting)
            joined.append(one)
        return joined

    def open_count(self) -> int:
        """How many of them the broker has not closed."""
        return sum(_is_open(one) for one in self.sockets)


@contextmanager
def sending_slowly(sockets: Sequence[socket.socket], data: bytes) -> Iterator[None]:
    """Meanwhile each of these sends one byte of `data` a second, and what is left at the end."""
    stopping = threading.Event()
    sent = 0

    def drip() -> None:
        nonlocal sent
        while sent < len(data):
            for one in sockets:
                one.sendall(data[sent : sent + 1])
            sent += 1
            if stopping.wait(BYTE_EVERY_S):
                return

    thread = threading.Thread(target=drip, name="slow clients")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
    for one in sockets:
        one.sendall(data[sent:])


def wait_until_readable(sockets: Sequence[socket.socket]) -> None:
    """Until something has arrived for each of them."""
    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(DEADLINE_S)
            assert ready, f"{len(selector.get_map())} clients were sent nothing"
            for key, _ in ready:
                selector.unregister(key.fileobj)


def read_reply(one: socket.socket) -> bytes:
    """A whole reply without its size."""
    (size,) = struct.unpack(">i", _receive_exactly(one, 4))
    return _receive_exactly(one, size)


def _receive_exactly(one: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = one.recv(size - len(data))
        assert part, f"closed after {len(data)} of {size} bytes"
        data += part
    return data


def _is_open(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return one.recv(1, socket.MSG_PEEK) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    finally:
        one.settimeout(DEADLINE_S)
