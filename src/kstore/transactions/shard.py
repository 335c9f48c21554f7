"""The transactional ids of one partition of `__transaction_state`.

`transactions` changes by replay only, so that replaying the log gives it again. A decided outcome
is seen through from the moment its record is committed, or loaded: its markers are written, those
that could not be are tried again after a pause, and then its completion is stored. `unmarked` has
the partitions that still wait for their marker, for each decided transaction and for no other.
On the loop only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import TypeVar

from kstore.coordinator.records import UnknownRecord
from kstore.coordinator.runtime import (
    CoordinatorLog,
    CoordinatorRuntime,
    Step,
    Waiter,
    coordinator_error,
)
from kstore.coordinator.transaction_records import (
    TopicPartition,
    Transaction,
    TransactionRecord,
    TransactionState,
    decode_transaction_record,
)
from kstore.errors import ErrorCode, KafkaError
from kstore.runtime import Later, Runtime
from kstore.transactions.transitions import (
    EPOCH_BUMP_VERSION,
    PREPARED,
    ProducerIdNeeded,
    added,
    check_initializing,
    completed,
    ended,
    fenced,
    initialized,
    is_expired,
    is_timed_out,
)
from kstore.transactions.values import (
    Markers,
    PartitionErrors,
    ProducerIdAndEpoch,
    ProducerResult,
)

__all__ = ["RETRY_MS", "Shard"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

TransactionStep = Step[TransactionRecord]

RETRY_MS = 1_000
"""The pause before what could not be written is tried again."""

_NEEDS_NO_MARKER = frozenset(
    {
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.INVALID_PRODUCER_EPOCH,
        ErrorCode.TRANSACTION_COORDINATOR_FENCED,
    }
)
"""It has the marker, is deleted, or knows of something newer than this transaction."""


class Shard:
    """Transactions, the events that change them, and their way to the end."""

    def __init__(
        self,
        partition: int,
        coordinator_epoch: int,
        runtime: Runtime,
        log: CoordinatorLog,
        markers: Markers,
        next_producer_id: Callable[[], Later[int]],
        version: Callable[[], int],
    ) -> None:
        self.partition = partition
        self.transactions: dict[str, Transaction] = {}
        self.unmarked: dict[str, set[TopicPartition]] = {}
        self._ongoing: set[str] = set()
        self._coordinator_epoch = coordinator_epoch
        self._markers = markers
        self._next_producer_id = next_producer_id
        self._version = version
        self._events: CoordinatorRuntime[TransactionRecord] = CoordinatorRuntime(
            runtime, log, partition, self._replay, self._wake
        )

    def load(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Takes over what the partition's log says; decided transactions go on to their end.

        Raises `MalformedRecordError`.
        """
        unknown = 0
        for key, value in records:
            record = decode_transaction_record(key, value)
            if isinstance(record, UnknownRecord):
                unknown += 1
            else:
                self._replay(record)
        if self.transactions or unknown:
            logger.info(
                "Loaded %d transactional ids of partition %d, %d of them on the way to their end; "
                "%d records of other kinds left alone",
                len(self.transactions),
                self.partition,
                len(self.unmarked),
                unknown,
            )
        for transactional_id in list(self.unmarked):
            self._events.run(transactional_id, partial(self._go_on, transactional_id))

    def unload(self, error: ErrorCode) -> None:
        """Refuses all who wait; the shard is of no use afterwards."""
        self._events.close(error)

    def _replay(self, record: TransactionRecord) -> None:
        transactional_id, value = record.transactional_id, record.value
        self._ongoing.discard(transactional_id)
        self.unmarked.pop(transactional_id, None)
        if value is None:
            self.transactions.pop(transactional_id, None)
            return
        self.transactions[transactional_id] = value
        if value.state is TransactionState.ONGOING:
            self._ongoing.add(transactional_id)
        elif value.state in PREPARED:
            self.unmarked[transactional_id] = set(value.partitions)

    # What clients ask for

    def initialize(
        self,
        transactional_id: str,
        timeout_ms: int,
        expected: ProducerIdAndEpoch | None,
        waiter: Waiter[ProducerResult],
    ) -> None:
        """A producer begins. If one has a transaction open, that is aborted first: the new one is
        told CONCURRENT_TRANSACTIONS, and comes back."""

        def decide(step: TransactionStep, new_producer_id: int | None) -> None:
            current = self.transactions.get(transactional_id)
            if current is not None and current.state is TransactionState.ONGOING:
                check_initializing(current, expected)
                self._fence(transactional_id, step, new_producer_id)
                concurrent = ProducerResult(ErrorCode.CONCURRENT_TRANSACTIONS)
                step.reply(waiter, concurrent)
                return
            following = initialized(current, timeout_ms, expected, step.time_ms, new_producer_id)
            self._store(transactional_id, following, step)
            step.reply(
                waiter,
                ProducerResult(
                    producer_id=following.producer_id, producer_epoch=following.producer_epoch
                ),
            )

        self._run(transactional_id, decide, waiter)

    def add(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        partitions: Collection[TopicPartition],
        client_version: int,
        waiter: Waiter[PartitionErrors],
    ) -> None:
        """More partitions take part in the producer's transaction, which begins with the first."""

        def decide(step: TransactionStep, _: int | None) -> None:
            current = self.transactions.get(transactional_id)
            following = added(current, producer, partitions, client_version, step.time_ms)
            if following is not None:
                self._store(transactional_id, following, step)
            step.reply(waiter, dict.fromkeys(partitions, ErrorCode.NONE))

        self._run(transactional_id, decide, waiter)

    def end(
        self,
        transactional_id: str,
        producer: ProducerIdAndEpoch,
        commit: bool,
        client_version: int,
        waiter: Waiter[ProducerResult],
    ) -> None:
        """The producer's transaction is decided; answered when that is stored."""

        def decide(step: TransactionStep, new_producer_id: int | None) -> None:
            current = self.transactions.get(transactional_id)
            following = ended(
                current, producer, commit, client_version, step.time_ms, new_producer_id
            )
            if following is not None:
                self._store(transactional_id, following, step)
            step.reply(waiter, _end_result(current, following, client_version))

        self._run(transactional_id, decide, waiter)

    def _run(
        self,
        transactional_id: str,
        decide: Callable[[TransactionStep, int | None], None],
        waiter: Waiter[T],
        new_producer_id: int | None = None,
    ) -> None:
        """Decides an event; once more with a new producer id, if it turns out to need one."""

        def attempt(step: TransactionStep) -> None:
            try:
                decide(step, new_producer_id)
            except KafkaError as refusal:
                waiter.refuse(refusal.code)
            except ProducerIdNeeded:
                self._next_producer_id().then(given)

        def given(producer_id: Later[int]) -> None:
            if producer_id.error is not None:
                waiter.refuse(coordinator_error(producer_id.error))
            else:
                self._run(transactional_id, decide, waiter, producer_id.result())

        self._events.run(transactional_id, attempt, waiter)

    def _store(self, transactional_id: str, value: Transaction, step: TransactionStep) -> None:
        """Stores a new state; if it is a decided outcome, that is seen through."""
        committed = partial(self._go_on, transactional_id) if value.state in PREPARED else None
        step.append(self._record(transactional_id, value), committed)

    def _record(self, transactional_id: str, value: Transaction | None) -> TransactionRecord:
        return TransactionRecord(transactional_id, value, 1 if self._version() >= 1 else 0)

    # What time leads to

    def abort_timed_out(self, now_ms: int) -> None:
        """Aborts the transactions that are open for too long, and fences their producers."""
        for transactional_id in list(self._ongoing):
            if is_timed_out(self.transactions[transactional_id], now_ms):
                self._abort_timed_out(transactional_id)

    def _abort_timed_out(self, transactional_id: str) -> None:
        def decide(step: TransactionStep, new_producer_id: int | None) -> None:
            current = self.transactions.get(transactional_id)
            if current is not None and is_timed_out(current, step.time_ms):
                logger.info("Transaction of %s is aborted: it timed out", transactional_id)
                self._fence(transactional_id, step, new_producer_id)

        refused: Waiter[None] = Waiter(
            lambda error: logger.warning(
                "Transaction of %s timed out, but can't be aborted yet: %s",
                transactional_id,
                error.name,
            )
        )
        self._run(transactional_id, decide, refused)

    def _fence(
        self, transactional_id: str, step: TransactionStep, new_producer_id: int | None
    ) -> None:
        current = self.transactions[transactional_id]
        following = fenced(current, self._version(), step.time_ms, new_producer_id)
        self._store(transactional_id, following, step)

    def expired(self, now_ms: int, expiration_ms: int) -> list[str]:
        """The transactional ids that rest for so long that they are to be forgotten."""
        return [
            transactional_id
            for transactional_id, transaction in self.transactions.items()
            if is_expired(transaction, now_ms, expiration_ms)
        ]

    def forget(self, transactional_id: str, expiration_ms: int) -> None:
        """Removes a transactional id, if it still rests."""

        def decide(step: TransactionStep) -> None:
            current = self.transactions.get(transactional_id)
            if current is not None and is_expired(current, step.time_ms, expiration_ms):
                step.append(self._record(transactional_id, None))

        self._events.run(transactional_id, decide)

    # From a decided outcome to its completion

    def _go_on(self, transactional_id: str, step: TransactionStep) -> None:
        """Writes the markers that are missing, or else stores the completion."""
        transaction = self.transactions[transactional_id]
        unmarked = self.unmarked[transactional_id]
        if not unmarked:
            step.append(
                self._record(transactional_id, completed(transaction, step.time_ms)),
                failed=lambda step, _: step.wake_by(step.now_ms + RETRY_MS),
            )
            return
        writing = self._markers.write(
            transaction.producer_id,
            transaction.producer_epoch,
            self._coordinator_epoch,
            transaction.state is TransactionState.PREPARE_COMMIT,
            transaction.client_version,
            tuple(unmarked),
        )
        writing.then(
            lambda written: self._events.run(
                transactional_id, partial(self._marked, transactional_id, written)
            )
        )

    def _marked(
        self, transactional_id: str, written: Later[PartitionErrors], step: TransactionStep
    ) -> None:
        """Goes by what became of the markers."""
        errors = {} if written.error is not None else written.result()
        unmarked = self.unmarked[transactional_id]
        for partition, error in errors.items():
            if error in _NEEDS_NO_MARKER:
                unmarked.discard(partition)
            if error is not ErrorCode.NONE:
                logger.info(
                    "Transaction of %s: no marker for %s-%d: %s",
                    transactional_id,
                    *partition,
                    error.name,
                )
        if unmarked:
            step.wake_by(step.now_ms + RETRY_MS)
        else:
            self._go_on(transactional_id, step)

    def _wake(self, transactional_id: str, step: TransactionStep) -> None:
        if transactional_id in self.unmarked:
            self._go_on(transactional_id, step)


def _end_result(
    current: Transaction | None, following: Transaction | None, client_version: int
) -> ProducerResult:
    """From version 2 on the producer is told who it is in its next transaction."""
    if client_version < EPOCH_BUMP_VERSION:
        return ProducerResult()
    next_one = completed(following, 0) if following is not None else current
    assert next_one is not None
    return ProducerResult(producer_id=next_one.producer_id, producer_epoch=next_one.producer_epoch)
