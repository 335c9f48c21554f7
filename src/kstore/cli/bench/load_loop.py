"""The loop that a load runs in: waits for replies and for the next moment to send. One thread.

epoll counts in milliseconds, which is too coarse to send thousands of requests a second on time.
So short waits are those of select, in microseconds, on the one descriptor of epoll. That must be
below `SELECT_LIMIT`, so a crowd of connections takes descriptors above it.
"""

from __future__ import annotations

import gc
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kstore.cli.bench.load_connection import LoadConnection
from kstore.cli.errors import CommandError

__all__ = ["SELECT_LIMIT", "LoadLoop", "OnReplies", "Turn"]

OnReplies = Callable[[list[memoryview], int], None]
"""Told of a connection's replies and when they came, in ns of `perf_counter_ns`."""

Turn = Callable[[int], int | None]
"""Told of the time before each wait; gives when to be called again at the latest, None to end."""

SELECT_LIMIT = 1024

_EPOLL_STEP_NS = 1_000_000
_COARSE_NS = 4 * _EPOLL_STEP_NS
_READ = select.EPOLLIN
_WRITE = select.EPOLLOUT


class LoadLoop:
    """Connections and what to do with their replies; it closes them."""

    def __init__(self, *, timeout_s: float) -> None:
        """`timeout_s`: a broker that owes replies may be silent for so long."""
        self._timeout_s = timeout_s
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[LoadConnection, OnReplies]] = {}

    def add(self, connection: LoadConnection, on_replies: OnReplies) -> None:
        """Watches a connection from now on."""
        self._watched[connection.fileno()] = (connection, on_replies)
        self._epoll.register(connection.fileno(), _READ)

    def flush_later(self, connection: LoadConnection) -> None:
        """Flushes the connection once its socket can be written to."""
        self._epoll.modify(connection.fileno(), _READ | _WRITE)

    def run(self, turn: Turn) -> None:
        """Runs until `turn` gives None. Raises `CommandError`."""
        heard_ns = time.perf_counter_ns()
        with _without_collector():
            while (wake_ns := turn(time.perf_counter_ns())) is not None:
                events = self._wait(wake_ns)
                if events:
                    heard_ns = time.perf_counter_ns()
                    self._handle(events)
                elif time.perf_counter_ns() - heard_ns > self._timeout_s * 1e9:
                    if any(connection.in_flight for connection, _ in self._watched.values()):
                        raise CommandError(f"no reply from the broker in {self._timeout_s:g} s")
                    heard_ns = time.perf_counter_ns()

    def _wait(self, wake_ns: int) -> list[tuple[int, int]]:
        events = self._epoll.poll(0)
        left_ns = wake_ns - time.perf_counter_ns()
        if events or left_ns <= 0:
            return events
        if left_ns > _COARSE_NS:
            return self._epoll.poll((left_ns - _EPOLL_STEP_NS) / 1e9)
        select.select([self._epoll.fileno()], [], [], left_ns / 1e9)
        return self._epoll.poll(0)

    def _handle(self, events: list[tuple[int, int]]) -> None:
        for descriptor, event in events:
            connection, on_replies = self._watched[descriptor]
            if event & _WRITE and connection.flush():
                self._epoll.modify(descriptor, _READ)
            if event & ~_WRITE:
                replies = connection.receive()
                if replies:
                    on_replies(replies, time.perf_counter_ns())

    def close(self) -> None:
        self._epoll.close()
        for connection, _ in self._watched.values():
            connection.close()
        self._watched.clear()

    def __enter__(self) -> LoadLoop:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _without_collector() -> Iterator[None]:
    """A collection would be a pause in the middle of a latency; a run makes no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
