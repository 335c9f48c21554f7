"""The producers of one partition: what makes a producer idempotent.

An append asks `check` before its bytes are written and tells `update` afterwards; recovery and
followers only tell, as what stands in the log was checked by the leader that wrote it. So a batch
is in the state if and only if it is in the log. `end_offset` is the offset up to which the log is
reflected here, exclusive; a snapshot holds the state at that offset.

Used on the thread of its log. Source: Kafka's `ProducerStateManager` and `ProducerAppendInfo`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from kstore._native.batch import BatchHeader
from kstore.errors import ErrorCode, KafkaError
from kstore.log.producers.entry import ProducerEntry, next_sequence
from kstore.log.producers.snapshot import decode_snapshot, encode_snapshot
from kstore.log.producers.transactions import CompletedTransaction, Transactions
from kstore.log.producers.verification import Verification, Verifications
from kstore.log.records import ControlType, EndTransactionMarker, parse_end_transaction_marker

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Duplicate", "ProducerStates"]

_MAX_EPOCH = (1 << 15) - 1


class Duplicate(NamedTuple):
    """Where a batch stands that a producer has sent again."""

    base_offset: int
    last_offset: int
    timestamp_ms: int


class ProducerStates:
    """The state of all producers that wrote to a partition and have not expired.

    A producer expires when its last timestamp is `expiration_ms` old (Kafka's
    `producer.id.expiration.ms`) and it has no open transaction. With `verifies` the first batch of
    a transaction needs a `Verification` (Kafka's `transaction.partition.verification.enable`).
    """

    def __init__(self, *, expiration_ms: int = 86_400_000, verifies: bool = True) -> None:
        self.expiration_ms = expiration_ms
        self.verifies = verifies
        self.end_offset = 0
        self._producers: dict[int, ProducerEntry] = {}
        self.transactions = Transactions()
        self.verifications = Verifications()

    def __len__(self) -> int:
        return len(self._producers)

    def get(self, producer_id: int) -> ProducerEntry | None:
        """What is known of a producer. To be read only."""
        return self._producers.get(producer_id)

    def active(self) -> Collection[ProducerEntry]:
        """All producers, as they are now. To be read only."""
        return self._producers.values()

    # --- appends -----------------------------------------------------------------------------

    def begin_verification(
        self, producer_id: int, epoch: int, sequence: int, *, adds: bool, now_ms: int
    ) -> Verification | None:
        """What is to be shown with a batch that may open a transaction, once the coordinator has
        agreed; None if the producer's transaction is open here.

        `adds`: the coordinator is asked to add the partition, not only whether it is there. Raises
        KafkaError INVALID_PRODUCER_EPOCH.
        """
        entry = self._producers.get(producer_id)
        if entry is not None:
            if epoch < entry.epoch:
                raise _stale_epoch(producer_id, epoch, entry)
            if epoch == entry.epoch and entry.transaction_first_offset >= 0:
                return None
        return self.verifications.begin(producer_id, epoch, sequence, adds=adds, now_ms=now_ms)

    def check(
        self,
        header: BatchHeader,
        *,
        by_client: bool = True,
        verification: Verification | None = None,
    ) -> Duplicate | None:
        """May this batch of data be appended? Changes nothing.

        Returns where it stands if it is one of the producer's last five. A producer of which
        nothing is known may begin with any sequence, one with a new epoch begins with 0. What the
        broker itself appends for a producer (`by_client` false) has no sequences. `verification` is
        what the first batch of a transaction has to show.

        Raises KafkaError INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE.
        """
        producer_id = header.producer_id
        if producer_id < 0:
            return None
        entry = self._producers.get(producer_id)
        if entry is None:
            if header.is_transactional:
                self._check_verified(header, entry, verification, by_client=by_client)
            return None
        epoch = header.producer_epoch
        sequence = header.base_sequence
        expected = 0
        if epoch == entry.epoch:
            last = -1
            last_sequence = header.last_sequence
            for first, last, base_offset, last_offset, timestamp_ms in entry.batches:
                if first == sequence and last == last_sequence and by_client:
                    return Duplicate(base_offset, last_offset, timestamp_ms)
            expected = next_sequence(last)
        elif epoch < entry.epoch:
            raise _stale_epoch(producer_id, epoch, entry)
        is_open = entry.transaction_first_offset >= 0
        if header.is_transactional and not (is_open and epoch == entry.epoch):
            self._check_verified(header, entry, verification, by_client=by_client)
        if sequence != expected and by_client and entry.epoch >= 0:
            raise _out_of_order(header, entry, expected)
        if is_open and not header.is_transactional:
            raise _not_transactional(header, entry)
        return None

    def _check_verified(
        self,
        header: BatchHeader,
        entry: ProducerEntry | None,
        verification: Verification | None,
        *,
        by_client: bool,
    ) -> None:
        """May this batch open a transaction?"""
        begun = self.verifications.get(header.producer_id)
        if self.verifies and (begun is None or begun is not verification):
            raise KafkaError(
                ErrorCode.INVALID_TXN_STATE,
                f"the batch of producer {header.producer_id} is not part of an open transaction",
            )
        if begun is None or not by_client:
            return
        sequence = header.base_sequence
        is_new = entry is None or not entry.batches
        expected = 0 if begun.adds and is_new else begun.lowest_sequence
        if sequence > expected:
            raise KafkaError(
                ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
                f"a transaction of producer {header.producer_id} can't begin with sequence "
                f"{sequence} in epoch {header.producer_epoch}: {expected} is expected",
            )

    def check_marker(
        self, header: BatchHeader, marker: EndTransactionMarker, *, transaction_version: int
    ) -> None:
        """May this marker end the producer's transaction here?

        From transaction version 2 on a marker's epoch is larger than that of the records, except
        that a marker may be written again. Raises KafkaError INVALID_PRODUCER_EPOCH,
        TRANSACTION_COORDINATOR_FENCED.
        """
        entry = self._producers.get(header.producer_id)
        if entry is None:
            return
        epoch = header.producer_epoch
        if transaction_version >= 2 and epoch == entry.epoch:
            if entry.transaction_first_offset >= 0 and epoch != _MAX_EPOCH:
                raise _stale_epoch(header.producer_id, epoch, entry)
        elif epoch < entry.epoch:
            raise _stale_epoch(header.producer_id, epoch, entry)
        if marker.coordinator_epoch < entry.coordinator_epoch:
            raise KafkaError(
                ErrorCode.TRANSACTION_COORDINATOR_FENCED,
                f"a marker for producer {header.producer_id} has coordinator epoch "
                f"{marker.coordinator_epoch}, the last one had {entry.coordinator_epoch}",
            )

    # --- what was written ------------------------------------------------------------------

    def update(self, header: BatchHeader) -> None:
        """A batch of data now stands in the log; `header` has its final offsets."""
        last_offset = header.last_offset
        self.end_offset = last_offset + 1
        producer_id = header.producer_id
        if producer_id < 0:
            return
        entry = self._producers.get(producer_id)
        if entry is None:
            entry = self._producers[producer_id] = ProducerEntry(producer_id)
        epoch = header.producer_epoch
        if epoch != entry.epoch:
            entry.epoch = epoch
            entry.batches.clear()
        base_offset = header.base_offset
        entry.timestamp_ms = timestamp_ms = header.max_timestamp
        entry.batches.append(
            (header.base_sequence, header.last_sequence, base_offset, last_offset, timestamp_ms)
        )
        if header.is_transactional:
            self.verifications.data_written(producer_id)
            if entry.transaction_first_offset < 0:
                entry.transaction_first_offset = base_offset
                self.transactions.begin(base_offset, producer_id)

    def complete(
        self, header: BatchHeader, marker: EndTransactionMarker
    ) -> CompletedTransaction | None:
        """A batch with a marker now stands in the log. Returns the transaction that it ended, if
        it had any records here."""
        self.end_offset = header.last_offset + 1
        producer_id = header.producer_id
        self.verifications.marker_written(producer_id, header.producer_epoch)
        entry = self._producers.get(producer_id)
        if entry is None:
            entry = self._producers[producer_id] = ProducerEntry(producer_id)
        if header.producer_epoch != entry.epoch:
            entry.epoch = header.producer_epoch
            entry.batches.clear()
        first_offset = entry.transaction_first_offset
        entry.coordinator_epoch = marker.coordinator_epoch
        entry.timestamp_ms = header.max_timestamp
        entry.transaction_first_offset = -1
        if first_offset < 0:
            return None
        marker_offset = header.base_offset
        stable = self.transactions.end(producer_id, first_offset, marker_offset)
        is_aborted = marker.type is ControlType.ABORT
        return CompletedTransaction(producer_id, first_offset, marker_offset, stable, is_aborted)

    def replay(self, header: BatchHeader, data: Buffer) -> CompletedTransaction | None:
        """A batch that was found in the log, or came from its leader: data, a marker, or neither.

        `header` must have been read from `data`, which is only looked into for a marker. Raises
        KafkaError CORRUPT_MESSAGE if a marker makes no sense.
        """
        if header.is_control and header.producer_id >= 0:
            marker = parse_end_transaction_marker(header, data)
            if marker is not None:
                return self.complete(header, marker)
            self.end_offset = header.last_offset + 1
        else:
            self.update(header)
        return None

    # --- transactions --------------------------------------------------------------------------

    def first_unstable_offset(self) -> int | None:
        """The start of the oldest transaction that is open, or whose marker is not yet below the
        high watermark; None if there is none."""
        return self.transactions.first_unstable

    def first_undecided_offset(self) -> int | None:
        """The start of the oldest open transaction; None if there is none."""
        return self.transactions.first_undecided()

    def high_watermark_moved(self, high_watermark: int) -> None:
        """Transactions whose markers are below it are over."""
        self.transactions.forget_ended_below(high_watermark)

    def log_start_moved(self, log_start_offset: int) -> None:
        """Records below it are gone. Producers stay: they expire by time alone."""
        self.transactions.forget_ended_below(log_start_offset)
        self.end_offset = max(self.end_offset, log_start_offset)

    # --- snapshots and expiry ------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """The file that holds the state at `end_offset`, after which it is named."""
        return encode_snapshot(self._producers.values())

    def load(self, data: bytes, offset: int, now_ms: int) -> None:
        """Takes the state from a snapshot of `offset`, less what has expired meanwhile.

        Raises CorruptSnapshotError and changes nothing if the snapshot is not sound: the caller
        deletes it and tries the next older one, or `clear`s and replays from the log's start.
        """
        entries = decode_snapshot(data)
        self.clear(offset)
        entries.sort(key=lambda entry: entry.transaction_first_offset)
        for entry in entries:
            if not self._is_expired(entry, now_ms):
                self._producers[entry.producer_id] = entry
                if entry.transaction_first_offset >= 0:
                    self.transactions.begin(entry.transaction_first_offset, entry.producer_id)

    def clear(self, offset: int) -> None:
        """Forgets everything; the log is to be replayed from `offset` on."""
        self._producers.clear()
        self.transactions.clear()
        self.end_offset = offset

    def expire(self, now_ms: int) -> int:
        """Forgets producers that have been idle for too long; returns how many."""
        self.verifications.expire(now_ms, self.expiration_ms)
        expired = [
            entry.producer_id
            for entry in self._producers.values()
            if self._is_expired(entry, now_ms)
        ]
        for producer_id in expired:
            del self._producers[producer_id]
        return len(expired)

    def _is_expired(self, entry: ProducerEntry, now_ms: int) -> bool:
        idle_ms = now_ms - entry.timestamp_ms
        return entry.transaction_first_offset < 0 and idle_ms >= self.expiration_ms


def _out_of_order(header: BatchHeader, entry: ProducerEntry, expected: int) -> KafkaError:
    return KafkaError(
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        f"sequence {header.base_sequence} of producer {header.producer_id} in epoch "
        f"{header.producer_epoch}: {expected} is expected after sequence {entry.last_sequence} "
        f"of epoch {entry.epoch}",
    )


def _stale_epoch(producer_id: int, epoch: int, entry: ProducerEntry) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_PRODUCER_EPOCH,
        f"epoch {epoch} of producer {producer_id} is stale, the last one was {entry.epoch}",
    )


def _not_transactional(header: BatchHeader, entry: ProducerEntry) -> KafkaError:
    return KafkaError(
        ErrorCode.INVALID_TXN_STATE,
        f"producer {header.producer_id} has a transaction open since offset "
        f"{entry.transaction_first_offset}, its batch is not part of it",
    )
