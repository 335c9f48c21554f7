"""`kstore bench connections`: what many idle connections cost a broker and its clients.

Every connection of the crowd asks for ApiVersions, as a client does first, then keeps still, and
asks once more at the end, which shows that it was served all the time. One thread.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from struct import Struct
from typing import Any, cast

from kstore.cli.bench.broker_process import BrokerProcess
from kstore.cli.bench.histogram import Histogram
from kstore.cli.bench.load_connection import LoadConnection
from kstore.cli.bench.load_loop import SELECT_LIMIT, LoadLoop
from kstore.cli.bench.result import latency_row
from kstore.cli.bench.target import Target
from kstore.cli.errors import CommandError
from kstore.cli.wire_client import CLIENT_ID, check_error
from kstore.wire.codec import decode_response, encode_request
from kstore.wire.headers import RequestHeader, decode_response_header, encode_request_header
from kstore.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kstore.wire.versions import ApiKey

__all__ = ["Crowd", "CrowdResult", "crowd_of", "enough_descriptors"]

_RECEIVE_SIZE = 256 << 10
_SIZE = Struct(">i")
_VERSION = 3  # every broker since Kafka 2.4

# So many connect before they are asked: more might not find a place in the broker's backlog.
_WAVE_COUNT = 100
_LOOK_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class CrowdResult:
    """How the crowd was taken in. `latency`: ns from connecting until ApiVersions was answered."""

    workload: str
    count: int
    elapsed_s: float
    latency: Histogram
    grown_size: int | None

    def row(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        grown_size = self.grown_size
        return {
            "benchmark": "connections",
            "part": "crowd",
            "workload": self.workload,
            "connections": self.count,
            "elapsed_s": self.elapsed_s,
            "latency_ms": latency_row(self.latency),
            "broker_bytes_per_connection": None if grown_size is None else grown_size / self.count,
        }

    def text(self) -> str:
        """A line for people."""
        text = (
            f"crowd: {self.count} connections opened and answered in {self.elapsed_s:.2f} s, "
            f"{self.latency.percentile(50) / 1e6:.2f} ms 50th, "
            f"{self.latency.percentile(99) / 1e6:.2f} ms 99th"
        )
        if self.grown_size is not None:
            text += f"; {self.grown_size / self.count / 1e3:.1f} KB of the broker's memory each"
        return f"{text}."


class Crowd:
    """Connections that were opened and now keep still."""

    def __init__(self, target: Target, loop: LoadLoop) -> None:
        header = encode_request_header(RequestHeader(ApiKey.API_VERSIONS, _VERSION, 0, CLIENT_ID))
        request = ApiVersionsRequest(client_software_name="kstore", client_software_version="1")
        body = header + encode_request(request, _VERSION)
        self._frame = _SIZE.pack(len(body)) + body
        self._loop = loop
        self._target = target
        self._shared = bytearray(_RECEIVE_SIZE)
        self._connections: list[LoadConnection] = []
        self._waiting_count = 0
        self._answered_ns: list[int] = []

    def open(self, count: int, workload: str, process: BrokerProcess | None) -> CrowdResult:
        """Opens so many connections, in turn to each broker. Raises `CommandError`."""
        before = process.cost() if process else None
        latency = Histogram()
        began_ns = time.perf_counter_ns()
        targets = islice(cycle(share.address for share in self._target.shares(1)), count)
        while wave := list(islice(targets, _WAVE_COUNT)):
            opened_ns = []
            for address in wave:
                opened_ns.append(time.perf_counter_ns())
                connection = LoadConnection(address, self._shared, timeout_s=self._target.timeout_s)
                connection.move_above(SELECT_LIMIT)
                self._loop.add(connection, self._on_replies)
                self._connections.append(connection)
            self._ask(self._connections[-len(wave) :])
            for start_ns, end_ns in zip(opened_ns, self._answered_ns, strict=True):
                latency.record(end_ns - start_ns)
        elapsed_s = (time.perf_counter_ns() - began_ns) / 1e9
        grown_size = None
        if process and before:
            grown_size = process.cost().anonymous_size - before.anonymous_size
        return CrowdResult(workload, count, elapsed_s, latency, grown_size)

    def ask_again(self) -> None:
        """Every connection is still served. Raises `CommandError`."""
        for start in range(0, len(self._connections), _WAVE_COUNT):
            self._ask(self._connections[start : start + _WAVE_COUNT])

    def _ask(self, connections: Sequence[LoadConnection]) -> None:
        self._waiting_count = len(connections)
        self._answered_ns = []
        for connection in connections:
            if not connection.send([self._frame], 1):
                self._loop.flush_later(connection)
        self._loop.run(lambda now_ns: now_ns + _LOOK_NS if self._waiting_count else None)

    def _on_replies(self, replies: list[memoryview], now_ns: int) -> None:
        for reply in replies:
            try:
                _, position = decode_response_header(ApiKey.API_VERSIONS, _VERSION, reply)
                answer = decode_response(ApiKey.API_VERSIONS, _VERSION, reply, position)
            except ValueError as error:
                raise CommandError(f"ApiVersions: the reply can't be read: {error}") from None
            check_error(cast(ApiVersionsResponse, answer).error_code, "ApiVersions")
            self._answered_ns.append(now_ns)
            self._waiting_count -= 1


@contextmanager
def enough_descriptors(count: int) -> Iterator[None]:
    """For so many connections. Raises `CommandError` if this process may not have them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SELECT_LIMIT + count
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise CommandError(
            f"{count} connections: this process may have {hard} descriptors; `ulimit -n` tells more"
        )
    if soft != resource.RLIM_INFINITY and wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def crowd_of(target: Target) -> Iterator[Crowd]:
    """A crowd, yet to be opened; its connections are closed at the end."""
    with LoadLoop(timeout_s=target.timeout_s) as loop:
        yield Crowd(target, loop)
