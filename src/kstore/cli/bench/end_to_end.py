"""`kstore bench end-to-end`: how long a record takes from its intended send time to its consumer.

Producers and consumer are this one process, so there is one clock. Each value begins with a mark of
the run and the moment when the record was to be sent. Records that are due together travel in one
batch, as they do with any client. Without a rate, a record is sent when one before it has arrived.
One thread.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from itertools import cycle
from struct import Struct

from kstore.cli.bench.batches import Batch, Values, records_per_batch
from kstore.cli.bench.fetch import FetchRequests, whole_batches
from kstore.cli.bench.load_connection import LoadConnection
from kstore.cli.bench.load_loop import LoadLoop, OnReplies
from kstore.cli.bench.produce import ProduceFrame, ProducingRun
from kstore.cli.bench.recorder import Recorder
from kstore.cli.bench.schedule import check_backlog
from kstore.cli.bench.target import LATEST, Target
from kstore.cli.bench.workloads import Load
from kstore.cli.errors import CommandError
from kstore.log.records import build_batch, iterate_records

__all__ = ["MIN_RECORD_SIZE", "end_to_end"]

_RECEIVE_SIZE = 256 << 10
_LOOK_NS = 20_000_000
_VALUE_COUNT = 256  # different values that records take in turn

_STAMP = Struct(">8sq")  # the run's mark; when the record was to be sent, ns

MIN_RECORD_SIZE = _STAMP.size


class _Producer:
    __slots__ = ("connection", "partitions")

    def __init__(self, connection: LoadConnection, partitions: cycle[int]) -> None:
        self.connection = connection
        self.partitions = partitions


class _EndToEndRun(ProducingRun):
    def __init__(
        self, target: Target, load: Load, seed: int, recorder: Recorder, loop: LoadLoop
    ) -> None:
        super().__init__(target, load, recorder, loop, step_count=1)
        self._fetches = FetchRequests(target, load.fetch_size)
        self._offsets = target.offsets(LATEST)
        self._mark = secrets.token_bytes(8)
        values = Values(load, seed, _VALUE_COUNT * load.record_size).take(_VALUE_COUNT)
        self._tails = cycle([value[_STAMP.size :] for value in values])
        self._batch_count = records_per_batch(load)
        self._due: deque[int] = deque()
        self._under_way_count = 0  # records sent and not yet seen by the consumer
        self._heard_ns = 0
        self._connect()

    def _connect(self) -> None:
        shared = bytearray(_RECEIVE_SIZE)
        timeout_s = self._target.timeout_s
        producers = []
        for share in self._target.shares(self._load.connections):
            connection = LoadConnection(share.address, shared, timeout_s=timeout_s)
            producers.append(_Producer(connection, cycle(share.partitions)))
            self._loop.add(connection, self._on_acknowledged)
        self._turns = cycle(producers)
        self._producer_count = len(producers)
        self._consumers = []
        for share in self._target.shares(1):
            connection = LoadConnection(share.address, shared, timeout_s=timeout_s)
            self._consumers.append((connection, share.partitions))
            self._loop.add(connection, self._on_records(connection, list(share.partitions)))

    def run(self) -> None:
        self._heard_ns = time.perf_counter_ns()
        for connection, partitions in self._consumers:
            self._ask(connection, list(partitions))
        self._schedule.start(time.perf_counter_ns())
        self._loop.run(self._turn)
        self._recorder.end(self._heard_ns)

    def _turn(self, now_ns: int) -> int | None:
        schedule = self._schedule
        schedule.turn(now_ns)
        self._recorder.turn(now_ns)
        self._take_what_is_due(now_ns)
        self._send()
        if not self._due and not self._under_way_count and schedule.is_over(now_ns):
            return None
        if now_ns - self._heard_ns > self._target.timeout_s * 1e9 and self._under_way_count:
            raise CommandError(f"{self._under_way_count} records were sent but never came")
        if schedule.fixed and not schedule.is_over(now_ns):
            return schedule.next_ns
        return now_ns + _LOOK_NS

    def _take_what_is_due(self, now_ns: int) -> None:
        schedule = self._schedule
        room = self._load.in_flight * self._producer_count - self._under_way_count
        while schedule.fixed or room > len(self._due):
            due = schedule.due(now_ns)
            if due is None:
                break
            self._due.append(due[0])
            check_backlog(len(self._due))

    def _send(self) -> None:
        """Sends what is due on the connections that have room, a batch on each in turn."""
        for _ in range(self._producer_count):
            if not self._due:
                break
            producer = next(self._turns)
            if producer.connection.in_flight < self._load.in_flight:
                self._send_batch(producer)

    def _send_batch(self, producer: _Producer) -> None:
        count = min(self._batch_count, len(self._due))
        moments = [self._due.popleft() for _ in range(count)]
        batch = build_batch(
            [(None, _STAMP.pack(self._mark, one) + next(self._tails)) for one in moments],
            compression=self._load.compression_type,
            timestamp_ms=time.time_ns() // 1_000_000,
        )
        frame = ProduceFrame(
            self._target.name,
            next(producer.partitions),
            Batch(batch, count),
            self._load.acks,
            self._version,
        )
        self._under_way_count += count
        if not producer.connection.send(frame.parts, 1 if self._load.acks else 0):
            self._loop.flush_later(producer.connection)

    def _on_acknowledged(self, replies: list[memoryview], now_ns: int) -> None:
        for reply in replies:
            self._check(reply)

    def _ask(self, connection: LoadConnection, partitions: list[int]) -> None:
        request = self._fetches.encode([(one, self._offsets[one]) for one in partitions])
        if not connection.send([request], 1):
            self._loop.flush_later(connection)

    def _on_records(self, connection: LoadConnection, partitions: list[int]) -> OnReplies:
        def on_records(replies: list[memoryview], now_ns: int) -> None:
            for reply in replies:
                arrived = []
                for partition, data in self._fetches.decode(reply):
                    offset = self._offsets[partition]
                    size, self._offsets[partition] = whole_batches(data, partition, offset)
                    arrived.append((offset, memoryview(data)[:size]))
                # The next records may come while these are looked at.
                self._ask(connection, partitions)
                for offset, batches in arrived:
                    self._take(batches, offset, now_ns)

        return on_records

    def _take(self, batches: memoryview, offset: int, now_ns: int) -> None:
        size = len(batches)
        for record in iterate_records(batches, from_offset=offset):
            value = record.value
            if value is None or value[:8] != self._mark:
                continue  # somebody else's
            intended_ns: int = _STAMP.unpack_from(value)[1]
            self._recorder.done(intended_ns, now_ns, 1, size)
            size = 0  # counted with the first record
            self._under_way_count -= 1
            self._heard_ns = now_ns


def end_to_end(target: Target, load: Load, seed: int, recorder: Recorder) -> None:
    """Runs the load and records each record's way. Raises `CommandError`."""
    with LoadLoop(timeout_s=target.timeout_s) as loop:
        _EndToEndRun(target, load, seed, recorder, loop).run()
