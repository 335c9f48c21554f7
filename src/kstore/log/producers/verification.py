"""The first batch of a transaction: does its coordinator know that it is on its way? (KIP-890)

A batch that would open a transaction nobody ends would hold back every reader of committed data. So
before the log takes one, the transaction coordinator is asked whether the partition is part of an
open transaction. A marker may be written while the answer is on its way, and then the answer is
worth nothing: the append has to show the very `Verification` that was begun for it, and any marker,
and any batch of the transaction, takes that away.

Owned by one `ProducerStates` and used on its thread. Source: Kafka's VerificationStateEntry,
VerificationGuard.
"""

from __future__ import annotations

__all__ = ["Verification", "Verifications"]


class Verification:
    """The coordinator is being asked about a producer's transaction in one partition, or was.

    `adds`: it is to add the partition, so the producer's epoch rises with each transaction
    (transactions version 2). No batch above `lowest_sequence` may come first: the batch of that
    sequence was refused for now and will be sent again.
    """

    __slots__ = ("adds", "asked_ms", "epoch", "lowest_sequence")

    def __init__(self, epoch: int, sequence: int, *, adds: bool, asked_ms: int) -> None:
        self.epoch = epoch
        self.lowest_sequence = sequence
        self.adds = adds
        self.asked_ms = asked_ms

    def asked_again(self, epoch: int, sequence: int) -> None:
        if epoch > self.epoch:
            self.epoch = epoch
            self.lowest_sequence = sequence
        elif epoch == self.epoch:
            self.lowest_sequence = min(self.lowest_sequence, sequence)


class Verifications:
    """Those under way in one partition, by producer id."""

    __slots__ = ("_by_producer",)

    def __init__(self) -> None:
        self._by_producer: dict[int, Verification] = {}

    def __len__(self) -> int:
        return len(self._by_producer)

    def get(self, producer_id: int) -> Verification | None:
        return self._by_producer.get(producer_id)

    def begin(
        self, producer_id: int, epoch: int, sequence: int, *, adds: bool, now_ms: int
    ) -> Verification:
        """The producer's, made if there is none."""
        found = self._by_producer.get(producer_id)
        if found is None:
            found = Verification(epoch, sequence, adds=adds, asked_ms=now_ms)
            self._by_producer[producer_id] = found
        else:
            found.asked_again(epoch, sequence)
        return found

    def data_written(self, producer_id: int) -> None:
        """A batch of the producer's transaction stands in the log: from now on the log knows."""
        self._by_producer.pop(producer_id, None)

    def marker_written(self, producer_id: int, epoch: int) -> None:
        """A transaction has ended. With version 2 a marker has the epoch of the *next* transaction,
        and one of that epoch that is being asked about is not the one that has ended."""
        found = self._by_producer.get(producer_id)
        if found is not None and not (found.adds and found.epoch == epoch):
            del self._by_producer[producer_id]

    def expire(self, now_ms: int, expiration_ms: int) -> None:
        """Forgets those that nothing came of."""
        for producer_id, found in list(self._by_producer.items()):
            if now_ms - found.asked_ms >= expiration_ms:
                del self._by_producer[producer_id]
