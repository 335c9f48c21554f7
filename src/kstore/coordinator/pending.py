"""Values that open transactions will have stored, or not.

Between a record of a transaction and its marker the record does not count, but everybody who asks
has to know that it is there. Once the transaction is committed, the record counts from its own
place in the log on, not from that of the marker: a value of that key that came after it stays.

Used on one thread. Source: Kafka's OffsetMetadataManager (pendingTransactionalOffsets,
openTransactions).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Pending"]

K = TypeVar("K")
V = TypeVar("V")


class Pending(Generic[K, V]):
    """Of each key the newest value of each open transaction, in the order of the log.

    A transaction is its producer's id: a producer has no more than one at a time. A value of None
    is one that no longer counts, as a later one of its key does.
    """

    __slots__ = ("_keys_of", "_of_key")

    def __init__(self) -> None:
        self._of_key: dict[K, dict[int, V | None]] = {}
        self._keys_of: dict[int, set[K]] = {}

    def __contains__(self, key: K) -> bool:
        return key in self._of_key

    def __iter__(self) -> Iterator[K]:
        """All keys, each once."""
        return iter(self._of_key)

    def __len__(self) -> int:
        return len(self._of_key)

    def add(self, producer_id: int, key: K, value: V | None) -> None:
        """A record of a transaction stands in the log."""
        values = self._of_key.setdefault(key, {})
        values.pop(producer_id, None)
        values[producer_id] = value
        self._keys_of.setdefault(producer_id, set()).add(key)

    def supersede(self, key: K) -> None:
        """A record outside of any transaction stands in the log; those before it don't count."""
        values = self._of_key.get(key)
        if values is not None:
            values.update(dict.fromkeys(values))

    def forget(self, key: K) -> None:
        """The key was removed, and what is pending of it."""
        for producer_id in self._of_key.pop(key, ()):
            self._drop(producer_id, key)

    def end(self, producer_id: int, *, commit: bool) -> list[tuple[K, V]]:
        """A transaction has ended; the keys and values that are stored with that."""
        stored = []
        for key in self._keys_of.pop(producer_id, ()):
            values = self._of_key[key]
            order = list(values)
            value = values.pop(producer_id)
            if commit and value is not None:
                stored.append((key, value))
                values.update(dict.fromkeys(order[: order.index(producer_id)]))
            if not values:
                del self._of_key[key]
        return stored

    def _drop(self, producer_id: int, key: K) -> None:
        keys = self._keys_of[producer_id]
        keys.remove(key)
        if not keys:
            del self._keys_of[producer_id]
