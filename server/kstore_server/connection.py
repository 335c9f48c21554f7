"""One client's connection: frames in, replies out, in the order in which requests came.

A request starts as soon as the one before it has taken effect; replies wait for their turn. Reading
stops while too many requests are in flight, while too much is unsent, or while a request runs whose
effect the next one must see. Thread: the loop.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, cast

from kstore._native.frames import FrameReader
from kstore.broker.api import CloseConnection, Reply
from kstore.broker.context import Connection
from kstore.broker.dispatch import Coming
from kstore.runtime import Later
from kstore.wire.codec import DecodeError
from kstore_server.output import Output

if TYPE_CHECKING:
    from kstore_server.listener import Listener

__all__ = ["ClientConnection"]

log = logging.getLogger("kstore.connection")

MAX_IN_FLIGHT_COUNT = 128
"""Requests of one connection that are started and not yet answered."""
MAX_IN_FLIGHT_SIZE = 4 << 20
"""The same in bytes, as a request that waits may hold what it came with. One may be larger."""
MAX_TURN_S = 0.002
"""How long requests of one connection are started before other connections have their turn."""
MAX_UNSENT_SIZE = 64 << 10
"""Bytes of replies that may wait, for a slow client or for their turn, before no more of a
connection's requests are started."""
MAX_QUEUED_SIZE = 128 << 10
"""Bytes that the system takes for a client before it sends them. It would take 4 MB from us for
each client that does not read, out of memory that all sockets share."""


class ClientConnection(asyncio.BufferedProtocol):
    """The protocol object of one accepted socket."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._reader = FrameReader(
            listener.receive_buffer, listener.config.socket_request_max_bytes
        )
        self._in_flight: deque[tuple[Later[Reply], int]] = deque()
        self._in_flight_size = 0
        self._ready_size = 0
        self._blocked_by: Later[Reply] | None = None
        self._paused = False
        self._yielding = False
        self._handling = False
        self._last_received_ms = listener.runtime.monotonic_ms()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        endpoint = transport.get_extra_info("socket")
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_QUEUED_SIZE)
        peer = transport.get_extra_info("peername") or ("unknown", 0)
        self.client = Connection(peer[0], peer[1], f"{peer[0]}:{peer[1]}")
        self._output = Output(
            self._listener.loop,
            self._listener.runtime,
            endpoint.fileno(),
            self._proceed,
            self._output_broken,
        )
        refusal = self._listener.register(self, endpoint.fileno())
        if refusal is not None:
            log.warning("connection refused client=%s reason=%s", self.client.identity, refusal)
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._output.close()
        self._in_flight.clear()
        self.client.close()
        self._listener.unregister(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.buffer()

    def buffer_updated(self, size: int) -> None:
        self._last_received_ms = self._listener.runtime.monotonic_ms()
        self._reader.received(size)
        self._handle_frames()

    def close(self, reason: str) -> None:
        """Ends the connection now; the log says why. What was answered before still leaves, as far
        as the socket takes it."""
        if not self.client.closed:
            log.info("connection closed client=%s reason=%s", self.client.identity, reason)
            self.client.close()
            self._output.flush()
            self._transport.abort()

    @property
    def last_used_ms(self) -> float:
        """When something came from the client or was taken by it, by the monotonic clock."""
        return max(self._last_received_ms, self._output.last_sent_ms)

    def is_idle_since(self, time_ms: float) -> bool:
        """Whether no request is under way, and nothing came or was taken since `time_ms`.

        A client that does not take its replies is idle too: it holds what is to be sent to it.
        """
        return not self._in_flight and self.last_used_ms < time_ms

    def _handle_frames(self) -> None:
        """Starts requests until there are no more, or no more may start for now.

        Their replies leave together. When a turn took long other connections come first.
        """
        self._handling = True
        turn_end_s = time.monotonic() + MAX_TURN_S
        try:
            while True:
                if not self._may_start():
                    self._output.flush()
                    if not self._may_start():
                        break
                frame = self._reader.next()
                if frame is None:
                    break
                self._start(frame)
                if time.monotonic() > turn_end_s:
                    self._yielding = True
                    self._listener.loop.call_soon(self._next_turn)
                    break
            if not self.client.closed:
                self._reader.park()
                self._output.flush()
        except (DecodeError, CloseConnection) as error:
            self.close(str(error))
        except Exception:
            log.exception("request failed client=%s", self.client.identity)
            self.close("an unexpected error, see above")
        finally:
            self._handling = False
        self._pace()

    def _next_turn(self) -> None:
        self._yielding = False
        self._proceed()

    def _start(self, frame: memoryview) -> None:
        answer = self._listener.dispatcher.handle(frame, self.client)
        if isinstance(answer, list):
            if not self._in_flight:
                self._output.add(answer)
                return
            answer = Coming(Later.of(answer), True)
        reply, overlaps = answer
        self._in_flight.append((reply, len(frame)))
        self._in_flight_size += len(frame)
        if not overlaps and not reply.done:
            self._blocked_by = reply
        reply.then(self._answered)

    def _answered(self, reply: Later[Reply]) -> None:
        if self.client.closed:
            return  # nobody waits; what the reply holds goes with it
        if reply.error is not None:
            self._failed(reply.error)
            return
        self._ready_size += _memory_size(reply.result())
        while self._in_flight and self._in_flight[0][0].done:
            first, request_size = self._in_flight.popleft()
            parts = first.result()
            self._in_flight_size -= request_size
            self._ready_size -= _memory_size(parts)
            self._output.add(parts)
        if self._blocked_by is reply:
            self._blocked_by = None
        if not self._handling:
            self._output.flush()
            self._proceed()

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, DecodeError | CloseConnection):
            self.close(str(error))
            return
        log.error("request failed client=%s", self.client.identity, exc_info=error)
        self.close("an unexpected error, see above")

    def _may_start(self) -> bool:
        return (
            not self.client.closed
            and self._blocked_by is None
            and not self._yielding
            and len(self._in_flight) < MAX_IN_FLIGHT_COUNT
            and self._in_flight_size < MAX_IN_FLIGHT_SIZE
            and self._output.unsent_size + self._ready_size < MAX_UNSENT_SIZE
        )

    def _pace(self) -> None:
        """Stops reading while no request may start, and goes on when one may."""
        if self.client.closed or self._paused != self._may_start():
            return
        self._paused = not self._paused
        if self._paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _proceed(self) -> None:
        """Something was answered or sent: what waited may start now."""
        if self._paused and not self.client.closed and self._may_start():
            self._handle_frames()

    def _output_broken(self, error: OSError) -> None:
        self.close(f"can't send: {error.strerror or error}")


def _memory_size(reply: Reply) -> int:
    """The bytes that a reply holds in memory; slices lie in files."""
    return sum(len(part) for part in reply if isinstance(part, bytes))
