"""`kstore bench fetch`: what a broker hands out, and how long a fetch waits for its reply.

As a consumer does it: each connection asks for all its partitions in one request, and asks again
when the reply is there, so the loop is always closed. Replies are checked with their CRCs, records
are counted by their offsets and not decoded. One thread.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from struct import Struct
from typing import cast

from kstore._native.batch import TORN
from kstore._native.scan import check_run
from kstore.cli.bench.load_connection import LoadConnection
from kstore.cli.bench.load_loop import LoadLoop, OnReplies
from kstore.cli.bench.recorder import Recorder
from kstore.cli.bench.schedule import Schedule
from kstore.cli.bench.target import EARLIEST, LATEST, Target
from kstore.cli.bench.workloads import Load
from kstore.cli.errors import CommandError
from kstore.cli.wire_client import CLIENT_ID, check_error
from kstore.wire.codec import decode_response, encode_request
from kstore.wire.headers import RequestHeader, decode_response_header, encode_request_header
from kstore.wire.messages.fetch import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from kstore.wire.versions import ApiKey

__all__ = ["FetchRequests", "fetch", "whole_batches"]

_RECEIVE_SIZE = 1 << 20
_SIZE = Struct(">i")
_MAX_WAIT_MS = 500
_MAX_BYTES = 50 << 20  # Kafka's fetch.max.bytes
_LOOK_NS = 20_000_000

# After so many replies in a row without a record, each after `_MAX_WAIT_MS`, something is wrong.
_MAX_EMPTY_COUNT = 60


class FetchRequests:
    """Fetch requests for partitions of a topic, and what their replies hold."""

    def __init__(self, target: Target, partition_max_bytes: int) -> None:
        self._topic = target.name
        self._version = target.version(ApiKey.FETCH)
        self._partition_max_bytes = partition_max_bytes
        header = RequestHeader(ApiKey.FETCH, self._version, 0, CLIENT_ID)
        self._header = encode_request_header(header)

    def encode(self, offsets: Sequence[tuple[int, int]]) -> bytes:
        """A request for each (partition, offset), with its size before it."""
        asked = [
            FetchPartition(
                partition=partition,
                fetch_offset=offset,
                partition_max_bytes=self._partition_max_bytes,
            )
            for partition, offset in offsets
        ]
        message = FetchRequest(
            max_wait_ms=_MAX_WAIT_MS,
            min_bytes=1,
            max_bytes=_MAX_BYTES,
            topics=[FetchTopic(topic=self._topic, partitions=asked)],
        )
        body = self._header + encode_request(message, self._version)
        return _SIZE.pack(len(body)) + body

    def decode(self, reply: memoryview) -> list[tuple[int, bytes]]:
        """(partition, its record batches), of those with any. Raises `CommandError`."""
        what = f"fetching from '{self._topic}'"
        try:
            _, position = decode_response_header(ApiKey.FETCH, self._version, reply)
            answer = decode_response(ApiKey.FETCH, self._version, reply, position)
        except ValueError as error:
            raise CommandError(f"{what}: the reply can't be read: {error}") from None
        found = []
        response = cast(FetchResponse, answer)
        check_error(response.error_code, what)
        for topic in response.responses:
            for one in topic.partitions:
                check_error(one.error_code, f"{what}, partition {one.partition_index}")
                if one.records:
                    found.append((one.partition_index, one.records))
        return found


def whole_batches(records: bytes, partition: int, offset: int) -> tuple[int, int]:
    """Bytes of the whole batches that were fetched at `offset`, and the offset behind them.

    The last batch of a reply may be cut. Raises `CommandError` for bytes that are not sound.
    """
    size, next_offset, fault = check_run(records, offset, 0)
    if fault not in (0, TORN):
        raise CommandError(
            f"partition {partition}: what was fetched at offset {offset} is not sound"
        )
    return (size, next_offset) if size else (0, offset)


class _Fetcher:
    """One connection: where it is in its partitions, and when it asked."""

    __slots__ = ("asked_ns", "connection", "empty_count", "offsets")

    def __init__(self, connection: LoadConnection, offsets: dict[int, int]) -> None:
        self.connection = connection
        self.offsets = offsets
        self.asked_ns = 0
        self.empty_count = 0


class _FetchRun:
    def __init__(
        self, target: Target, load: Load, recorder: Recorder, loop: LoadLoop, *, once: bool
    ) -> None:
        self._recorder = recorder
        self._loop = loop
        self._once = once
        self._requests = FetchRequests(target, load.fetch_size)
        self._schedule = Schedule(load, 0, recorder)
        self._starts = target.offsets(EARLIEST)
        self._ends = target.offsets(LATEST)
        self._last_ns = 0
        self._open_count = 0
        shared = bytearray(_RECEIVE_SIZE)
        self._fetchers = []
        # Two that share a partition would read it twice.
        count = min(load.connections, target.partition_count) if once else load.connections
        for share in target.shares(count):
            connection = LoadConnection(share.address, shared, timeout_s=target.timeout_s)
            fetcher = _Fetcher(connection, {one: self._starts[one] for one in share.partitions})
            loop.add(connection, self._on_replies(fetcher))
            self._fetchers.append(fetcher)

    def run(self) -> None:
        self._schedule.start(time.perf_counter_ns())
        for fetcher in self._fetchers:
            self._ask(fetcher, time.perf_counter_ns())
        self._loop.run(self._turn)
        self._recorder.end(self._last_ns)

    def _turn(self, now_ns: int) -> int | None:
        self._schedule.turn(now_ns)
        self._recorder.turn(now_ns)
        return now_ns + _LOOK_NS if self._open_count else None

    def _ask(self, fetcher: _Fetcher, now_ns: int) -> None:
        """Asks for what is left, from the beginning again if nothing is and there is time."""
        if not self._once and self._schedule.is_over(now_ns):
            return
        left = self._left(fetcher)
        if not left and not self._once:
            fetcher.offsets = {one: self._starts[one] for one in fetcher.offsets}
            left = self._left(fetcher)
        if left:
            fetcher.asked_ns = now_ns
            self._open_count += 1
            if not fetcher.connection.send([self._requests.encode(left)], 1):
                self._loop.flush_later(fetcher.connection)

    def _left(self, fetcher: _Fetcher) -> list[tuple[int, int]]:
        ends = self._ends
        return [(one, offset) for one, offset in fetcher.offsets.items() if offset < ends[one]]

    def _on_replies(self, fetcher: _Fetcher) -> OnReplies:
        def on_replies(replies: list[memoryview], now_ns: int) -> None:
            self._last_ns = now_ns
            for reply in replies:
                self._open_count -= 1
                record_count, size = self._take(fetcher, reply)
                self._recorder.done(fetcher.asked_ns, now_ns, record_count, size)
                self._ask(fetcher, time.perf_counter_ns())

        return on_replies

    def _take(self, fetcher: _Fetcher, reply: memoryview) -> tuple[int, int]:
        """Goes on in each partition; how many records there were, and bytes of whole batches."""
        record_count = size = 0
        for partition, records in self._requests.decode(reply):
            offset = fetcher.offsets[partition]
            whole_size, next_offset = whole_batches(records, partition, offset)
            fetcher.offsets[partition] = next_offset
            record_count += next_offset - offset
            size += whole_size
        fetcher.empty_count = 0 if size else fetcher.empty_count + 1
        if fetcher.empty_count > _MAX_EMPTY_COUNT:
            raise CommandError(
                f"no records come from (partition, offset) {self._left(fetcher)[:3]}"
            )
        return record_count, size


def fetch(target: Target, load: Load, recorder: Recorder, *, once: bool = False) -> None:
    """Reads the topic again and again for the load's time, or `once`. Raises `CommandError`."""
    with LoadLoop(timeout_s=target.timeout_s) as loop:
        _FetchRun(target, load, recorder, loop, once=once).run()
