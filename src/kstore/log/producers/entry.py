"""What a partition remembers of one producer.

Kafka's `ProducerStateEntry`. Mutable, owned by one `ProducerStates` and used on its thread.
"""

from __future__ import annotations

from collections import deque

__all__ = ["BATCHES_KEPT", "MAX_SEQUENCE", "ProducerEntry", "first_sequence", "next_sequence"]

BATCHES_KEPT = 5
"""A producer has at most five requests in flight, so a repeated batch is one of the last five."""

MAX_SEQUENCE = (1 << 31) - 1


def next_sequence(last_sequence: int) -> int:
    """The sequence that follows; after 2**31 - 1 comes 0, after none (-1) too."""
    return (last_sequence + 1) & MAX_SEQUENCE


def first_sequence(last_sequence: int, delta: int) -> int:
    """The first sequence of a batch that ends `delta` later at `last_sequence`; -1 without one."""
    return -1 if last_sequence < 0 else (last_sequence - delta) & MAX_SEQUENCE


class ProducerEntry:
    """One producer id's epoch, last batches and open transaction.

    `epoch` and `coordinator_epoch` are -1 before the first batch or marker; `timestamp_ms` is the
    largest timestamp of the last batch, or that of the last marker; `transaction_first_offset` is
    -1 while no transaction is open. `batches` holds the last five of this epoch, oldest first, as
    plain tuples (first sequence, last sequence, base offset, last offset, timestamp): they are
    made for each append.
    """

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "epoch",
        "producer_id",
        "timestamp_ms",
        "transaction_first_offset",
    )

    def __init__(
        self,
        producer_id: int,
        epoch: int = -1,
        *,
        coordinator_epoch: int = -1,
        timestamp_ms: int = -1,
        transaction_first_offset: int = -1,
    ) -> None:
        self.producer_id = producer_id
        self.epoch = epoch
        self.coordinator_epoch = coordinator_epoch
        self.timestamp_ms = timestamp_ms
        self.transaction_first_offset = transaction_first_offset
        self.batches: deque[tuple[int, int, int, int, int]] = deque(maxlen=BATCHES_KEPT)

    @property
    def last_sequence(self) -> int:
        """The sequence of the last record, -1 if no batch of this epoch is known."""
        return self.batches[-1][1] if self.batches else -1

    @property
    def last_offset(self) -> int:
        """The offset of the last record, -1 if no batch of this epoch is known."""
        return self.batches[-1][3] if self.batches else -1

    @property
    def last_offset_delta(self) -> int:
        """How many offsets the last batch spans less one, 0 if none is known."""
        if not self.batches:
            return 0
        _, _, base_offset, last_offset, _ = self.batches[-1]
        return last_offset - base_offset

    def _state(self) -> tuple[object, ...]:
        return (
            self.producer_id,
            self.epoch,
            self.coordinator_epoch,
            self.timestamp_ms,
            self.transaction_first_offset,
            tuple(self.batches),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProducerEntry):
            return NotImplemented
        return self._state() == other._state()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"ProducerEntry({self.producer_id}, epoch={self.epoch}, "
            f"coordinator_epoch={self.coordinator_epoch}, timestamp_ms={self.timestamp_ms}, "
            f"transaction_first_offset={self.transaction_first_offset}, "
            f"batches={list(self.batches)})"
        )
