"""What a connection has yet to send.

Replies are lists of parts. Bytes, small slices and those whose file is gone leave together in one
vectored write; a larger slice leaves by sendfile, straight from the page cache, also where it is
mapped: a copy out of the map would cost as much as all the rest of the fetch. What the socket does
not take at once waits for it to become writable. Pages that are not in memory are read ahead in a
worker, so that no other connection waits for the disk.

The socket belongs to the loop's transport, which only reads; this writes to its descriptor, and
watches a duplicate of it while it is full, as a loop does not let a descriptor be watched twice.
Thread: the loop.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import TypeAlias

from kstore.broker.api import Reply
from kstore.log.slices import Slice
from kstore.runtime import Later, Runtime
from kstore_server import descriptors

__all__ = ["Output"]

MAX_PARTS = 64
"""Parts in one vectored write; the system allows 1,024."""
CHUNK_SIZE = (1 << 20) + (16 << 10)
"""Bytes of one connection that leave in one turn of the loop before others have theirs, and bytes
of a file that are probed or read ahead at a time. What a consumer asks of a partition by default,
1 MiB, leaves in one turn with what stands around it: a tenth of a millisecond."""
COPIED_SIZE = 8 << 10
"""Smaller pieces of a file are copied, to leave in one write with what stands around them."""
MAPPED_SIZE = 64 << 10
"""Smaller pieces of a map leave with what stands around them, unprobed: a consumer that is not far
behind asks for those."""

Pending: TypeAlias = bytes | memoryview | Slice


class Output:
    """The unsent parts of one connection."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        runtime: Runtime,
        descriptor: int,
        drained: Callable[[], None],
        broken: Callable[[OSError], None],
    ) -> None:
        """`drained` is called when all is sent after there was a wait, `broken` when the peer is
        gone or a file can't be read."""
        self._loop = loop
        self._runtime = runtime
        self._descriptor = descriptor
        self._drained = drained
        self._broken = broken
        self._pending: deque[Pending] = deque()
        self._watched = -1
        self._held = False
        self._closed = False
        self.unsent_size = 0
        self.last_sent_ms = 0.0
        """When something was sent after a wait, by the monotonic clock."""

    def add(self, reply: Reply) -> None:
        """Takes a reply; `flush` sends it. A part keeps its file or its map until it is sent."""
        for part in reply:
            self.unsent_size += len(part) if isinstance(part, bytes) else part.size
        self._pending.extend(reply)

    def flush(self) -> None:
        """Sends what was added, or as much of it as the socket takes now."""
        if self._pending and self._watched < 0 and not self._held:
            self._send()

    def close(self) -> None:
        """Forgets what was not sent. The descriptor itself is the transport's to close."""
        self._closed = True
        self._unwatch()
        self._pending.clear()
        self._drained = self._broken = _told_nobody
        self.unsent_size = 0

    def _send(self) -> None:
        """Sends until all is gone, the socket is full, or this connection has had its turn."""
        left = CHUNK_SIZE
        try:
            while self._pending:
                if left <= 0:
                    self._take_turns()
                    return
                sent = self._send_bytes(left)
                if sent < 0:
                    return
                left -= sent
                self._forget(sent)
        except BlockingIOError:
            self._watch()
            return
        except OSError as error:
            self._broken(error)
            return
        self._unwatch()

    def _send_bytes(self, limit: int) -> int:
        """Sends what lies in memory, or a piece of a file; -1 while that is read ahead."""
        parts: list[bytes | bytearray | memoryview] = []
        for part in islice(self._pending, MAX_PARTS):
            data = _in_memory(part)
            if data is None:
                if not parts:
                    assert isinstance(part, Slice)
                    return self._send_slice(part, limit)
                break
            limit -= len(data)
            if limit <= 0:
                parts.append(memoryview(data)[: len(data) + limit])
                break
            parts.append(data)
        return os.writev(self._descriptor, parts)

    def _send_slice(self, part: Slice, limit: int) -> int:
        size = min(part.size, limit)
        if not part.is_resident(size):
            self._read_ahead(part, size)
            return -1
        sent = os.sendfile(self._descriptor, part.fileno(), part.position, size)
        if not sent:
            raise OSError(errno.EIO, f"{part} is cut")
        return sent

    def _read_ahead(self, part: Slice, size: int) -> None:
        self._unwatch()
        self._held = True

        def resume(done: Later[None]) -> None:
            if isinstance(done.error, OSError) and not self._closed:
                self._held = False
                self._broken(done.error)
            else:
                self._resume()

        self._runtime.run_in_worker(lambda: part.read_ahead(size)).then(resume)

    def _take_turns(self) -> None:
        """Goes on after the others; a socket that is watched calls anyway."""
        if self._watched < 0:
            self._held = True
            self._runtime.call_soon(self._resume)

    def _resume(self) -> None:
        self._held = False
        if not self._closed:
            self._go_on()

    def _forget(self, sent: int) -> None:
        self.unsent_size -= sent
        while sent:
            first = self._pending.popleft()
            size = first.size if isinstance(first, Slice) else len(first)
            if sent < size:
                self._pending.appendleft(
                    first.rest(sent) if isinstance(first, Slice) else memoryview(first)[sent:]
                )
                return
            sent -= size

    def _watch(self) -> None:
        if self._watched < 0:
            try:
                self._watched = os.dup(self._descriptor)
                if descriptors.kept_for_files(self._watched):
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            except OSError as error:
                self._unwatch()
                self._broken(error)
                return
            self._loop.add_writer(self._watched, self._go_on)

    def _unwatch(self) -> None:
        if self._watched >= 0:
            self._loop.remove_writer(self._watched)
            os.close(self._watched)
            self._watched = -1

    def _go_on(self) -> None:
        """After a wait: for the socket, or for a file."""
        self.last_sent_ms = self._runtime.monotonic_ms()
        self._send()
        if not self._pending and not self._closed:
            self._drained()


def _told_nobody(*_: object) -> None:
    """In place of the connection's methods once it is gone: they would keep it and what it holds
    until the collector finds the circle."""


def _in_memory(part: Pending) -> bytes | bytearray | memoryview | None:
    """The bytes of a part that may leave in one write with others; None if it leaves alone."""
    if not isinstance(part, Slice):
        return part
    view = part.view()
    if view is None:
        return part.read_now() if part.size <= COPIED_SIZE else None
    return None if part.size >= MAPPED_SIZE and part.has_file() else view
