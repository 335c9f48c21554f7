"""`kstore bench produce`: what a broker takes in, and how long a request of it waits for its reply.

Each request carries one batch for one partition, encoded before the clock runs. A connection takes
its partitions in turn. Latency is that of a request, from when it was to be sent (see `schedule`)
to its reply; with acks=0 there is none, and it ends when the system has taken the bytes. One
thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from itertools import cycle
from struct import Struct
from typing import cast

from kstore.cli.bench.batches import Batch, make_batches, make_rest, records_per_batch
from kstore.cli.bench.load_connection import LoadConnection
from kstore.cli.bench.load_loop import LoadLoop, OnReplies
from kstore.cli.bench.recorder import Recorder
from kstore.cli.bench.schedule import Schedule, check_backlog
from kstore.cli.bench.target import Target
from kstore.cli.bench.workloads import Load
from kstore.cli.errors import CommandError
from kstore.cli.wire_client import CLIENT_ID, check_error
from kstore.wire.codec import decode_response, encode_request, encode_response
from kstore.wire.headers import (
    RequestHeader,
    decode_response_header,
    encode_request_header,
    response_header,
)
from kstore.wire.messages.produce import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["ProduceFrame", "ProducingRun", "ReplyCheck", "produce"]

_RECEIVE_SIZE = 256 << 10

_SIZE = Struct(">i")
_TIMEOUT_MS = 30_000

# Below this a request is joined into one piece; above, its batch is sent from where it lies.
_JOIN_SIZE = 32 << 10

# Different requests of a connection; at least one for each of its partitions.
_REQUEST_COUNT = 1000

# How often the end of a run is looked for, while replies keep the loop busy anyway.
_LOOK_NS = 20_000_000


class ReplyCheck:
    """Whether replies say that all went well, without decoding those that do.

    The reply to a request of one partition has always the same size, and its error code is always
    in the same place; any other reply is decoded and told.
    """

    def __init__(self, topic: str, version: int) -> None:
        self._version = version
        self._what = f"producing to '{topic}'"
        good, bad = (self._reply(topic, code) for code in (0, -1))
        self._size = len(good)
        self._position = next(i for i in range(len(good)) if good[i] != bad[i])

    def _reply(self, topic: str, error_code: int) -> bytes:
        partition = PartitionProduceResponse(index=0, error_code=error_code)
        one = TopicProduceResponse(name=topic, partition_responses=[partition])
        header = response_header(ApiKey.PRODUCE, self._version, 0)
        return header + encode_response(ProduceResponse(responses=[one]), self._version)

    def __call__(self, reply: memoryview) -> None:
        """Raises `CommandError` with the error that the reply tells of."""
        at = self._position
        if len(reply) == self._size and reply[at] == reply[at + 1] == 0:
            return
        try:
            _, position = decode_response_header(ApiKey.PRODUCE, self._version, reply)
            answer = decode_response(ApiKey.PRODUCE, self._version, reply, position)
        except ValueError as error:
            raise CommandError(f"{self._what}: the reply can't be read: {error}") from None
        for topic in cast(ProduceResponse, answer).responses:
            for one in topic.partition_responses:
                check_error(one.error_code, self._what, one.error_message)


class ProduceFrame:
    """An encoded request, in the parts that are sent, and the batch in it."""

    __slots__ = ("batch", "parts")

    def __init__(self, topic: str, partition: int, batch: Batch, acks: int, version: int) -> None:
        self.batch = batch
        data = PartitionProduceData(index=partition, records=batch.data)
        message = ProduceRequest(
            acks=acks,
            timeout_ms=_TIMEOUT_MS,
            topic_data=[TopicProduceData(name=topic, partition_data=[data])],
        )
        header = encode_request_header(RequestHeader(ApiKey.PRODUCE, version, 0, CLIENT_ID))
        body = header + encode_request(message, version)
        frame = _SIZE.pack(len(body)) + body
        self.parts: Sequence[bytes] = (frame,)
        if len(frame) > _JOIN_SIZE:
            at = frame.index(batch.data)
            self.parts = (frame[:at], batch.data, frame[at + len(batch.data) :])


class _Producer:
    """One connection: what is due on it, and what is in flight."""

    __slots__ = ("connection", "due", "in_flight", "requests", "rest")

    def __init__(
        self,
        connection: LoadConnection,
        requests: Sequence[ProduceFrame],
        rest: ProduceFrame | None,
    ) -> None:
        self.connection = connection
        self.requests = cycle(requests)
        self.rest = rest  # the last request of the run, if it has fewer records
        self.due: deque[tuple[int, int]] = deque()  # when, how many records
        self.in_flight: deque[tuple[int, ProduceFrame]] = deque()


class ProducingRun:
    """What every run that produces is made of."""

    def __init__(
        self, target: Target, load: Load, recorder: Recorder, loop: LoadLoop, *, step_count: int
    ) -> None:
        """`step_count` records are due at a time."""
        self._load = load
        self._target = target
        self._recorder = recorder
        self._loop = loop
        self._version = target.version(ApiKey.PRODUCE)
        self._check = ReplyCheck(target.name, self._version)
        self._schedule = Schedule(load, step_count, recorder)


class _ProduceRun(ProducingRun):
    """Closed loop: a reply makes room, and `_on_replies` fills it. Schedule: `_turn` sends too."""

    def __init__(
        self, target: Target, load: Load, seed: int, recorder: Recorder, loop: LoadLoop
    ) -> None:
        super().__init__(target, load, recorder, loop, step_count=records_per_batch(load))
        self._last_ns = 0
        self._producers = self._connect(seed)
        self._turns = cycle(self._producers)
        self._has_begun = False
        self._open_count = 0  # requests that are due or in flight

    def _connect(self, seed: int) -> list[_Producer]:
        load = self._load
        batches = make_batches(load, seed)
        rest_count = load.num_records % records_per_batch(load)
        rest = make_rest(load, seed, rest_count) if rest_count else None
        shared = bytearray(_RECEIVE_SIZE)
        producers = []
        for share in self._target.shares(load.connections):
            connection = LoadConnection(share.address, shared, timeout_s=self._target.timeout_s)
            rounds = max(1, min(len(batches), _REQUEST_COUNT // len(share.partitions)))
            requests = [
                self._request(partition, batches[(number + partition) % len(batches)])
                for number in range(rounds)
                for partition in share.partitions
            ]
            last = self._request(share.partitions[0], rest) if rest else None
            producer = _Producer(connection, requests, last)
            self._loop.add(connection, self._on_replies(producer))
            producers.append(producer)
        return producers

    def _request(self, partition: int, batch: Batch) -> ProduceFrame:
        return ProduceFrame(self._target.name, partition, batch, self._load.acks, self._version)

    def run(self) -> None:
        self._schedule.start(time.perf_counter_ns())
        self._loop.run(self._turn)
        self._recorder.end(self._last_ns)

    def _turn(self, now_ns: int) -> int | None:
        schedule = self._schedule
        schedule.turn(now_ns)
        self._recorder.turn(now_ns)
        if not self._load.acks:
            self._send_without_replies(now_ns)
        elif schedule.fixed:
            self._send_what_is_due(now_ns)
        elif not self._has_begun:
            self._has_begun = True
            for producer in self._producers:
                self._fill(producer, now_ns)  # from here on, each reply makes room for a request
        if schedule.is_over(now_ns):
            return now_ns + _LOOK_NS if self._open_count else None
        if not self._load.acks and not any(one.in_flight for one in self._producers):
            return now_ns if not schedule.fixed else schedule.next_ns
        return schedule.next_ns if schedule.fixed else now_ns + _LOOK_NS

    def _send_what_is_due(self, now_ns: int) -> None:
        touched: dict[_Producer, None] = {}
        while (due := self._schedule.due(now_ns)) is not None:
            producer = next(self._turns)
            producer.due.append(due)
            touched[producer] = None
            self._open_count += 1
            check_backlog(self._open_count)
        for producer in touched:
            self._fill(producer, now_ns)

    def _send_without_replies(self, now_ns: int) -> None:
        if self._schedule.fixed:
            self._send_what_is_due(now_ns)
        for producer in self._producers:
            if producer.connection.is_idle:
                self._done(producer, len(producer.in_flight), now_ns)
                self._fill(producer, now_ns)
            if producer.connection.is_idle:
                self._done(producer, len(producer.in_flight), time.perf_counter_ns())

    def _fill(self, producer: _Producer, now_ns: int) -> None:
        """Sends what is due and finds a place among those in flight, in one write."""
        schedule = self._schedule
        parts: list[bytes] = []
        room = count = self._load.in_flight - len(producer.in_flight)
        while room:
            if not schedule.fixed:
                due = schedule.due(now_ns)
            else:
                due = producer.due.popleft() if producer.due else None
            if due is None:
                break
            intended_ns, record_count = due
            request = next(producer.requests)
            if request.batch.record_count != record_count and producer.rest is not None:
                request = producer.rest
            producer.in_flight.append((intended_ns, request))
            parts += request.parts
            room -= 1
        count -= room
        if not schedule.fixed:
            self._open_count += count
        if count and not producer.connection.send(parts, count if self._load.acks else 0):
            self._loop.flush_later(producer.connection)

    def _on_replies(self, producer: _Producer) -> OnReplies:
        def on_replies(replies: list[memoryview], now_ns: int) -> None:
            for reply in replies:
                self._check(reply)
            self._done(producer, len(replies), now_ns)
            self._fill(producer, now_ns)

        return on_replies

    def _done(self, producer: _Producer, count: int, now_ns: int) -> None:
        done = self._recorder.done
        for _ in range(count):
            intended_ns, request = producer.in_flight.popleft()
            done(intended_ns, now_ns, request.batch.record_count, len(request.batch.data))
        self._open_count -= count
        self._last_ns = now_ns


def produce(target: Target, load: Load, seed: int, recorder: Recorder) -> None:
    """Runs the load and records it. Raises `CommandError`."""
    with LoadLoop(timeout_s=target.timeout_s) as loop:
        _ProduceRun(target, load, seed, recorder, loop).run()
