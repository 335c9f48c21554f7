"""Fetch sessions (KIP-227): a client names its partitions once and then sends only changes.

A session keeps, for each partition, what the client wants and what it was last told; an incremental
reply holds only partitions with records, an error, or a changed high watermark or log start offset.
Partitions that got records go to the end, so that all take turns. Sessions live in a cache of
`max.incremental.fetch.session.cache.slots`; a full cache gives up a session that was not used for
two minutes, or one with fewer partitions that has had its time, else the client stays without one.
Kafka: FetchSession.scala. Thread: the loop.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from kstore._native.fetch import FetchData, WantedPartition
from kstore.errors import ErrorCode, KafkaError
from kstore.runtime import Runtime

__all__ = ["FetchSession", "FetchSessions"]

INITIAL_EPOCH = 0
FINAL_EPOCH = -1
EVICTION_MS = 120_000.0
MAX_SESSION_ID = (1 << 31) - 1

Key = tuple[str | bytes, int]


class FetchSession:
    """What a client fetches, across requests. Id 0 is no session: used once and forgotten."""

    __slots__ = ("created_ms", "epoch", "id", "incremental", "partitions", "used_ms")

    def __init__(self, partitions: dict[Key, WantedPartition], session_id: int = 0) -> None:
        self.id = session_id
        self.epoch = 1
        self.incremental = False
        """Whether the reply under way tells only what changed."""
        self.partitions = partitions
        self.created_ms = self.used_ms = 0.0

    def change(self, request: FetchData) -> None:
        """Takes over what an incremental request adds, alters and forgets."""
        for key, wanted in request.partitions.items():
            known = self.partitions.get(key)
            if known is not None:
                wanted.know(known)
            self.partitions[key] = wanted
        for key in request.forgotten:
            self.partitions.pop(key, None)

    def served(self, keys: Iterable[Key]) -> None:
        """Moves the partitions that got records behind those that didn't."""
        if self.id:
            for key in keys:
                self.partitions[key] = self.partitions.pop(key)


class FetchSessions:
    """All sessions of a broker."""

    def __init__(self, runtime: Runtime, max_count: int) -> None:
        self._runtime = runtime
        self._max_count = max_count
        self._sessions: dict[int, FetchSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def session_for(self, request: FetchData) -> FetchSession:
        """The session that a request is part of, brought up to date with it.

        Raises KafkaError: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH,
        FETCH_SESSION_TOPIC_ID_ERROR.
        """
        if request.session_epoch in (INITIAL_EPOCH, FINAL_EPOCH):
            if request.session_id:
                self._sessions.pop(request.session_id, None)
            if request.session_epoch == FINAL_EPOCH:
                return FetchSession(request.partitions)
            return self._create(request.partitions)
        session = self._sessions.get(request.session_id)
        if session is None:
            raise KafkaError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        if session.epoch != request.session_epoch:
            raise KafkaError(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
        self._check_topic_kind(session, request)
        session.change(request)
        session.incremental = True
        session.epoch = session.epoch + 1 if session.epoch < MAX_SESSION_ID else 1
        session.used_ms = self._runtime.monotonic_ms()
        return session

    @staticmethod
    def _check_topic_kind(session: FetchSession, request: FetchData) -> None:
        """A session speaks of topics by name or by id, not by both."""
        if request.partitions and session.partitions:
            known, _ = next(iter(session.partitions))
            named, _ = next(iter(request.partitions))
            if type(known) is not type(named):
                raise KafkaError(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR)

    def _create(self, partitions: dict[Key, WantedPartition]) -> FetchSession:
        """A new session, or one without an id where there is nothing to keep or no room."""
        session = FetchSession(partitions)
        now_ms = self._runtime.monotonic_ms()
        if not partitions or not self._make_room(len(partitions), now_ms):
            return session
        while session.id == 0 or session.id in self._sessions:
            session.id = random.randint(1, MAX_SESSION_ID)
        session.created_ms = session.used_ms = now_ms
        self._sessions[session.id] = session
        return session

    def _make_room(self, size: int, now_ms: float) -> bool:
        if len(self._sessions) < self._max_count:
            return True
        if not self._sessions:
            return False
        stalest = min(self._sessions.values(), key=lambda session: session.used_ms)
        if now_ms - stalest.used_ms > EVICTION_MS:
            del self._sessions[stalest.id]
            return True
        smallest = min(self._sessions.values(), key=lambda session: len(session.partitions))
        if len(smallest.partitions) < size and now_ms - smallest.created_ms > EVICTION_MS:
            del self._sessions[smallest.id]
            return True
        return False
