"""Fetches that wait for data.

A `DelayedFetch` counts down the bytes that it still misses; an append that brings them, the end of
its time, or a disturbance of one of its partitions completes it, once, on the loop. It reads again
only then. Kafka: DelayedFetch in a purgatory; here the partitions themselves know who waits.
"""

from __future__ import annotations

from collections.abc import Callable

from kstore._native.fetch import unwatch, watch
from kstore.broker.api import Reply
from kstore.broker.context import Connection
from kstore.broker.partition import Partition
from kstore.runtime import Later, Runtime, Timer

__all__ = ["DelayedFetch"]


class DelayedFetch:
    """A fetch that has found less than its `min_bytes`."""

    __slots__ = (
        "_answer",
        "_committed_only",
        "_connection",
        "_due",
        "_missing_size",
        "_partitions",
        "_runtime",
        "_timer",
        "reply",
    )

    def __init__(
        self,
        runtime: Runtime,
        connection: Connection,
        partitions: list[Partition],
        missing_size: int,
        max_wait_ms: int,
        answer: Callable[[], Reply],
        *,
        committed_only: bool,
    ) -> None:
        """`answer` reads again and makes the reply, whatever is there by then."""
        self._runtime = runtime
        self._connection = connection
        self._partitions = partitions
        self._missing_size = missing_size
        self._answer = answer
        self._committed_only = committed_only
        self._due = False
        self.reply: Later[Reply] = Later()
        self._timer: Timer = runtime.call_later(max_wait_ms, self._complete)
        connection.waiting.add(self)
        watch(partitions, self)

    def grown(self, size: int, stable_size: int) -> None:
        self._missing_size -= stable_size if self._committed_only else size
        if self._missing_size <= 0:
            self.disturbed()

    def disturbed(self) -> None:
        if not self._due:
            # After what runs now: a produce is answered before the fetches that it wakes are read,
            # and several appends in one go make one reply.
            self._due = True
            self._runtime.call_soon(self._complete)

    def abandon(self) -> None:
        """The connection is gone; nobody is to be answered."""
        self._forget()

    def _complete(self) -> None:
        if self.reply.done or self._connection.closed:
            return
        self._forget()
        try:
            reply = self._answer()
        except Exception as error:
            self.reply.fail(error)
        else:
            self.reply.complete(reply)

    def _forget(self) -> None:
        self._timer.cancel()
        self._connection.waiting.discard(self)
        unwatch(self._partitions, self)
