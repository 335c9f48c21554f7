"""A connection that sends what a test likes, when it likes, and reads replies in order.

Requests are encoded and replies decoded by kio. `frame` numbers a request and notes that its reply
is due; `next_reply` reads the oldest reply that is due, whose correlation id must fit.
"""

from __future__ import annotations

import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from kio.index import load_request_schema, load_response_schema
from kio.serial import entity_reader

from tests.conformance.support.raw_client import CLIENT_ID, NO_TAGS, RawClient, build, encode

__all__ = ["PipelinedClient"]


class PipelinedClient(RawClient):
    """Many requests in flight on one socket. Not for use by two threads."""

    def __init__(self, bootstrap_servers: str) -> None:
        super().__init__(bootstrap_servers)
        self._due: deque[tuple[int, int, int]] = deque()

    @property
    def socket(self) -> socket.socket:
        return self._socket

    def frame(
        self, api_key: int, version: int, values: Mapping[str, Any], *, answered: bool = True
    ) -> bytes:
        """A request with its size in front; `answered` says whether its reply is due."""
        request_class = load_request_schema(api_key, version)
        body = encode(build(request_class, values), request_class)
        return self.raw_frame(
            api_key,
            version,
            (NO_TAGS if request_class.__flexible__ else b"") + body,
            answered=answered,
        )

    def raw_frame(self, api_key: int, version: int, rest: bytes, *, answered: bool = True) -> bytes:
        """A request whose bytes behind the client's id are `rest`."""
        self._correlation_id += 1
        if answered:
            self._due.append((api_key, version, self._correlation_id))
        head = struct.pack(">hhih", api_key, version, self._correlation_id, len(CLIENT_ID))
        return struct.pack(">i", len(head) + len(CLIENT_ID) + len(rest)) + head + CLIENT_ID + rest

    def send(self, *frames: bytes) -> None:
        self._socket.sendall(b"".join(frames))

    def forget_due(self) -> None:
        """The frames made so far are not sent: nothing is due for them."""
        self._due.clear()

    def next_reply(self) -> Any:
        """The reply that is due, as kio's dataclass."""
        return self.decode(self.next_frame())

    def next_frame(self) -> bytes:
        """The reply that is due, as bytes, for `decode`."""
        return self._receive()

    def decode(self, frame: bytes) -> Any:
        api_key, version, correlation_id = self._due.popleft()
        response_class = load_response_schema(api_key, version)
        header, position = entity_reader(response_class.__header_schema__)(frame, 0)
        assert header.correlation_id == correlation_id, "replies in the order of requests"
        response, size = entity_reader(response_class)(frame, position)
        assert position + size == len(frame), f"{len(frame) - position - size} bytes left over"
        return response

    def is_closed(self, within_s: float = 10) -> bool:
        """Whether the broker closes the connection, having sent nothing, within that time."""
        self._socket.settimeout(within_s)
        try:
            return self._socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def is_silent(self, for_s: float) -> bool:
        """Whether nothing arrives for that time; the connection must stay open."""
        self._socket.settimeout(for_s)
        try:
            got = self._socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(30)
        assert got, "the broker closed the connection"
        return False


def wait_until(condition: Any, what: str, within_s: float = 10) -> None:
    """Polls until `condition()` is true; fails with `what` if it stays false."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.005)
