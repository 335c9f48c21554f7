"""What compaction keeps of batches that are more than plain records.

- Records of aborted transactions go. So does a transaction's marker, but only once none of its
  records were met, and then one delete horizon later, so that a reader who has seen the records
  sees the marker too.
- The last batch of a producer that is still known stays, as an empty one if need be: its sequence
  must be found when the producers are built anew. So does the last batch of the part that is
  cleaned, that the offset of its end be found.

Plain records are judged natively (`_native/compact`). Belongs to one compaction; any thread, one at
a time. Source: Kafka's CleanedTransactionMetadata, Cleaner.cleanInto.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from kstore._native.batch import BatchHeader
from kstore._native.compact import BY_KEY, KEEP_ALL, KEEP_NONE
from kstore.log.producers import ProducerEntry
from kstore.log.records import ControlType
from kstore.log.transaction_index import AbortedTransaction

__all__ = ["LastBatches", "Transactions", "Verdict", "judge"]


class Verdict(NamedTuple):
    """How `RecordFilter.rewrite` is to treat a batch."""

    keep: int
    keep_empty: bool
    set_horizon: bool


class Transactions:
    """The transactions of a log on a walk from its lower offsets to its higher ones."""

    def __init__(self, aborted: Iterable[AbortedTransaction]) -> None:
        self._aborted: dict[int, deque[AbortedTransaction]] = {}
        for transaction in sorted(aborted, key=lambda transaction: transaction.first_offset):
            self._aborted.setdefault(transaction.producer_id, deque()).append(transaction)
        self._seen_of: dict[int, AbortedTransaction] = {}
        self._committed: set[int] = set()

    def _aborted_at(self, header: BatchHeader) -> AbortedTransaction | None:
        waiting = self._aborted.get(header.producer_id)
        while waiting and waiting[0].last_offset < header.base_offset:
            waiting.popleft()
        if waiting and waiting[0].first_offset <= header.last_offset:
            return waiting[0]
        return None

    def is_aborted(self, header: BatchHeader) -> bool:
        """Takes note of a batch of data; was its transaction aborted?"""
        if not header.is_transactional:
            return False
        transaction = self._aborted_at(header)
        if transaction is None:
            self._committed.add(header.producer_id)
            return False
        self._seen_of[header.producer_id] = transaction
        return True

    def end(
        self, header: BatchHeader, marker: ControlType | None
    ) -> tuple[bool, AbortedTransaction | None]:
        """Takes note of a control batch, `marker` being None for an empty one.

        (Is nothing left that needs it?, the entry that it needs in the transaction index)
        """
        if marker is None:
            return True, None
        if marker is ControlType.ABORT:
            transaction = self._aborted_at(header)
            seen = self._seen_of.pop(header.producer_id, None)
            if transaction is not None and seen == transaction:
                return False, transaction
            return True, None
        if marker is ControlType.COMMIT:
            is_empty = header.producer_id not in self._committed
            self._committed.discard(header.producer_id)
            return is_empty, None
        return False, None


class LastBatches:
    """The batches that must not vanish: last ones of producers, and of the part cleaned."""

    def __init__(self, producers: Iterable[ProducerEntry], end_offset: int) -> None:
        self._end_offset = end_offset
        self._offsets: set[int] = set()
        self._epochs: dict[int, int] = {}
        for entry in producers:
            if entry.last_offset >= 0:
                self._offsets.add(entry.last_offset)
            else:
                self._epochs[entry.producer_id] = entry.epoch

    def __contains__(self, header: BatchHeader) -> bool:
        if header.last_offset + 1 == self._end_offset:
            return True
        if header.producer_id < 0:
            return False
        if header.is_control and header.producer_id in self._epochs:
            # The producer has no records: its epoch stands in the marker alone.
            return header.producer_epoch == self._epochs[header.producer_id]
        return header.last_offset in self._offsets

    def to_bytes(self) -> bytes:
        """The last offsets of all that hold data, sorted, as `RecordFilter` takes them."""
        return array("q", sorted({*self._offsets, self._end_offset - 1})).tobytes()


def judge(header: BatchHeader, *, is_discardable: bool, is_last: bool, now_ms: int) -> Verdict:
    """The verdict on a batch: `is_discardable` if its transaction was aborted, or if it is a marker
    that no record needs."""
    if not header.is_control:
        return Verdict(KEEP_NONE if is_discardable else BY_KEY, is_last, False)
    is_over = is_discardable and header.has_delete_horizon and header.base_timestamp <= now_ms
    return Verdict(KEEP_NONE if is_over else KEEP_ALL, is_last, is_discardable)
