"""Fetch (key 1): read records, waiting for them if need be.

- v4: the oldest that is served, with isolation level and last stable offset. v5: log start offset.
  v7: fetch sessions. v9: the client's leader epoch is checked. v11: rack. v12: flexible.
  v13: topics by id. v15: the replica's state is a tagged field. v16: endpoints of other leaders.
  v17: directory id and v18: high watermark of a follower, as tagged fields.

Read and written natively; records leave as slices of the log. A fetch that finds less than
`min_bytes` waits in `broker/delayed.py`.

Left out: everything that followers need (diverging epochs, replica state) until there are any,
and preferred read replicas.
"""

from __future__ import annotations

from kstore._native.fetch import (
    FetchData,
    FetchShape,
    WantedPartition,
    encode_fetch_reply,
    parse_fetch,
    with_news,
)
from kstore.broker.api import FrameApi, Reply
from kstore.broker.context import RequestContext
from kstore.broker.delayed import DelayedFetch
from kstore.broker.fetch_sessions import FetchSession
from kstore.broker.partition import Partition
from kstore.errors import KafkaError
from kstore.log.search import NotInMemory
from kstore.log.slices import Slice
from kstore.runtime import Later
from kstore.wire.versions import ADVERTISED, ApiKey

__all__ = ["API"]

READ_COMMITTED = 1

SHAPES = {
    version: FetchShape(
        replica_id=version <= 14,
        log_start=version >= 5,
        session=version >= 7,
        leader_epoch=version >= 9,
        rack=version >= 11,
        last_fetched_epoch=version >= 12,
        flexible=version >= 12,
        topic_ids=version >= 13,
    )
    for version in range(ADVERTISED[ApiKey.FETCH].min, ADVERTISED[ApiKey.FETCH].max + 1)
}


def handle(frame: memoryview, position: int, context: RequestContext) -> Reply | Later[Reply]:
    shape = SHAPES[context.api_version]
    request = parse_fetch(frame, position, shape)
    try:
        session = context.broker.fetch_sessions.session_for(request)
    except KafkaError as error:
        return encode_fetch_reply(context.correlation_id, shape, error.code, 0, {}, False)
    reading = _Reading(request, session, context).read(wait=False)
    if not reading.cold:
        return _answer(reading, shape)
    reading.release()

    def go_on(_: None) -> Later[Reply]:
        if context.connection.closed:
            return Later.of([])
        reply = _answer(reading.read(), shape)
        return reply if isinstance(reply, Later) else Later.of(reply)

    return context.broker.runtime.run_in_worker(reading.read_ahead).chain(go_on)


def _answer(reading: _Reading, shape: FetchShape) -> Reply | Later[Reply]:
    """The reply, or that of a fetch that waits for more than was found."""
    request, context = reading.request, reading.context
    missing_size = min(request.min_bytes, reading.max_size) - reading.size
    if missing_size <= 0 or request.max_wait_ms <= 0 or reading.failed or not reading.partitions:
        return reading.reply(shape)
    reading.release()
    delayed = DelayedFetch(
        context.broker.runtime,
        context.connection,
        reading.partitions,
        missing_size,
        request.max_wait_ms,
        lambda: reading.read().reply(shape),
        committed_only=request.isolation_level == READ_COMMITTED,
    )
    return delayed.reply


class _Reading:
    """What one fetch finds; `read` may be called again after a wait."""

    __slots__ = (
        "cold",
        "context",
        "failed",
        "max_size",
        "news",
        "partitions",
        "request",
        "session",
        "size",
    )

    def __init__(self, request: FetchData, session: FetchSession, context: RequestContext) -> None:
        self.request = request
        self.session = session
        self.context = context
        self.max_size = min(request.max_bytes, context.broker.fetch_max_bytes)
        self.partitions: list[Partition] = []
        self.news: list[tuple[WantedPartition, Partition | None]] = []
        self.size = 0
        self.failed = False
        self.cold: list[NotInMemory] = []

    def read(self, *, wait: bool = True) -> _Reading:
        """Reads every partition that has news in turn, until `max_size` bytes are found.

        The first batch that is found comes whole, even if it is larger than every limit (KIP-74).
        `failed`: a read failed. A partition that is not here is told, but others are waited for, or
        a consumer of a deleted topic would ask again without a pause. Without `wait`, what can't be
        found before the disk was asked is in `cold`.
        """
        self.cold = []
        self.size = 0
        self.failed = False
        left = self.max_size
        partitions = self.context.broker.partitions
        committed_only = self.request.isolation_level == READ_COMMITTED
        self.news, self.partitions = with_news(
            self.session.partitions, partitions.by_key, committed_only
        )
        for wanted, partition in self.news:
            if partition is None:
                wanted.failed(partitions.missing(wanted.topic, wanted.index))
                continue
            aborted: list[tuple[int, int]] | None = None
            try:
                partition.check_leader_epoch(wanted.leader_epoch)
                records = partition.read(
                    wanted.fetch_offset,
                    max(0, min(left, wanted.max_bytes)),
                    committed_only=committed_only,
                    at_least_one=self.size == 0,
                    wait=wait,
                )
                if committed_only:
                    aborted = _aborted(partition, wanted.fetch_offset, records)
            except NotInMemory as cold:
                self.cold.append(cold)
                continue
            except KafkaError as error:
                self.failed = True
                wanted.failed(error.code)
                continue
            if records is not None:
                self.size += records.size
                left -= records.size
            wanted.found(partition, records, aborted)
        return self

    def read_ahead(self) -> None:
        """Asks the disk for what is `cold`; for a worker."""
        for cold in self.cold:
            cold.read_ahead()

    def release(self) -> None:
        """Lets go of what was read, as it will be read again."""
        for wanted, _ in self.news:
            wanted.release()

    def reply(self, shape: FetchShape) -> Reply:
        served = [wanted.key for wanted, _ in self.news if wanted.records is not None]
        session = self.session
        parts = encode_fetch_reply(
            self.context.correlation_id,
            shape,
            0,
            session.id,
            session.partitions,
            session.incremental,
        )
        session.served(served)
        return parts


def _aborted(partition: Partition, offset: int, records: Slice | None) -> list[tuple[int, int]]:
    """What a reader of committed data has to leave out of `records`."""
    return [] if records is None else partition.aborted_transactions(offset, records)


API = FrameApi(ApiKey.FETCH, handle, overlaps=True)
