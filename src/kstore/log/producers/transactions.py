"""The transactions of one partition: which are open, and which have ended but not yet for all.

A consumer that reads only what is committed stops at the first offset that is *unstable*: the
start of the oldest transaction that is open, or whose marker is not below the high watermark.
Owned by one `ProducerStates` and used on its thread. Source: Kafka's `ProducerStateManager`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CompletedTransaction", "Transactions"]


class CompletedTransaction(NamedTuple):
    """A transaction that a marker at `last_offset` ended; what the transaction index notes.

    `last_stable_offset` is the first offset of the oldest transaction of another producer that
    was open then, or the one behind the marker.
    """

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int
    is_aborted: bool


class Transactions:
    """Open and unreplicated transactions, by their first offsets.

    The open ones are kept in the order of these: they begin in the log's order. `first_unstable` is
    the first offset that may not be read yet by whom only what is committed concerns, or None.
    """

    __slots__ = ("_open", "_unreplicated", "first_unstable")

    def __init__(self) -> None:
        self._open: dict[int, int] = {}  # first offset → producer id
        self._unreplicated: dict[int, int] = {}  # first offset → offset of the marker
        self.first_unstable: int | None = None

    def begin(self, first_offset: int, producer_id: int) -> None:
        self._open[first_offset] = producer_id
        if self.first_unstable is None:  # any other is smaller
            self.first_unstable = first_offset

    def end(self, producer_id: int, first_offset: int, marker_offset: int) -> int:
        """Ends an open transaction; returns the last stable offset to note with it.

        It stays unstable until the high watermark is past its marker. While a log is recovered that
        does not move, so nothing here may look at all that have ended.
        """
        del self._open[first_offset]
        self._unreplicated[first_offset] = marker_offset
        for offset, other in self._open.items():
            if other != producer_id:
                return offset
        return marker_offset + 1

    def first_undecided(self) -> int | None:
        """The first offset of the oldest open transaction."""
        return next(iter(self._open), None)

    def forget_ended_below(self, offset: int) -> None:
        """Forgets the ended transactions whose markers are below `offset`."""
        if not self._unreplicated:
            return
        for first_offset, marker_offset in list(self._unreplicated.items()):
            if marker_offset < offset:
                del self._unreplicated[first_offset]
        self._settle()

    def clear(self) -> None:
        self._open.clear()
        self._unreplicated.clear()
        self._settle()

    def _settle(self) -> None:
        firsts = [*self._unreplicated]
        undecided = self.first_undecided()
        if undecided is not None:
            firsts.append(undecided)
        self.first_unstable = min(firsts, default=None)
