"""A connection that keeps requests in flight: encoded frames go out, whole replies come in.

The one file of the benchmarks that knows sockets. It never blocks after it was made, decodes
nothing and copies no reply that arrives whole. A broker answers in the order of the requests, so a
connection only counts what is in flight. Many connections share one receive buffer: replies are
views that are valid until any of them receives again. One thread.
"""

from __future__ import annotations

import fcntl
import socket
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kstore._native.codec import DecodeError
from kstore._native.frames import FrameReader
from kstore.cli.errors import CommandError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["LoadConnection"]

_MAX_REPLY_SIZE = 256 << 20
_MAX_PARTS = 1024  # what Linux takes in one sendmsg


class LoadConnection:
    """`in_flight` counts requests whose reply is yet to come."""

    __slots__ = ("_name", "_reader", "_shared", "_socket", "_unsent", "in_flight")

    def __init__(self, address: tuple[str, int], shared: bytearray, *, timeout_s: float) -> None:
        """Connects, which takes at most `timeout_s`. Raises `CommandError`."""
        self._name = f"{address[0]}:{address[1]}"
        try:
            self._socket = socket.create_connection(address, timeout=timeout_s)
        except OSError as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else error.strerror
            raise CommandError(f"no broker answers at {self._name}: {reason or error}") from None
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._reader = FrameReader(shared, _MAX_REPLY_SIZE)
        self._unsent: deque[memoryview] = deque()
        self.in_flight = 0

    def fileno(self) -> int:
        return self._socket.fileno()

    def move_above(self, descriptor: int) -> None:
        """Takes the first free descriptor from this number on, and leaves a lower one free."""
        moved = fcntl.fcntl(self._socket.fileno(), fcntl.F_DUPFD_CLOEXEC, descriptor)
        self._socket.close()
        self._socket = socket.socket(fileno=moved)
        self._socket.setblocking(False)

    @property
    def is_idle(self) -> bool:
        """Whether the system has taken all that was sent."""
        return not self._unsent

    def send(self, parts: Sequence[Buffer], reply_count: int) -> bool:
        """Queues the parts of whole requests, which get `reply_count` replies, and writes them.

        False: not all of it was taken; call `flush` once the socket can be written to.
        """
        self.in_flight += reply_count
        self._unsent.extend(map(memoryview, parts))
        return self.flush()

    def flush(self) -> bool:
        """Writes what the socket takes; whether nothing is left. Raises `CommandError`."""
        unsent = self._unsent
        while unsent:
            parts = list(unsent) if len(unsent) <= _MAX_PARTS else list(unsent)[:_MAX_PARTS]
            try:
                size = self._socket.sendmsg(parts)
            except BlockingIOError:
                return False
            except OSError as error:
                raise self._lost(error) from None
            while unsent and size >= len(unsent[0]):
                size -= len(unsent.popleft())
            if size:
                unsent[0] = unsent[0][size:]
        return True

    def receive(self) -> list[memoryview]:
        """The whole replies that have arrived, without their sizes. Raises `CommandError`."""
        reader = self._reader
        try:
            size = self._socket.recv_into(reader.buffer())
        except BlockingIOError:
            return []
        except OSError as error:
            raise self._lost(error) from None
        if not size:
            raise CommandError(f"the broker at {self._name} closed the connection")
        reader.received(size)
        replies = []
        try:
            while (reply := reader.next()) is not None:
                replies.append(reply)
            reader.park()
        except DecodeError:
            raise CommandError(f"{self._name} does not speak Kafka's protocol") from None
        self.in_flight -= len(replies)
        return replies

    def close(self) -> None:
        self._socket.close()

    def _lost(self, error: OSError) -> CommandError:
        return CommandError(f"the broker at {self._name} was lost: {error.strerror or error}")
