"""What may become of a transaction: functions from its state and a wish to its next state.

They are Kafka's rules (its `TransactionCoordinator` and `TransactionMetadata`, 4.3). What is not
allowed raises KafkaError with the code for the client. A function that needs a producer id which it
was not given raises `ProducerIdNeeded`: the caller gets one and asks again. Pure; any thread.

Epochs: a new producer of a transactional id raises the epoch by one, and so does, from transaction
version 2 on (KIP-890), the end of each transaction; the epoch of the end is that of the markers.
No client gets the last epoch: it is left to fence with. When it would be reached, another producer
id takes over, with epoch 0. Fencing a producer with an open transaction aborts that with a raised
epoch; the new producer comes back for its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from kstore.coordinator.transaction_records import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    TopicPartition,
    Transaction,
    TransactionState,
)
from kstore.errors import ErrorCode, KafkaError
from kstore.transactions.values import PartitionErrors, ProducerIdAndEpoch

__all__ = [
    "EPOCH_BUMP_VERSION",
    "MAX_EPOCH",
    "PREPARED",
    "ProducerIdNeeded",
    "added",
    "check_initializing",
    "completed",
    "ended",
    "fenced",
    "initialized",
    "is_expired",
    "is_timed_out",
    "verified",
]

MAX_EPOCH = (1 << 15) - 1

EPOCH_BUMP_VERSION = 2
"""The transaction version from which on the end of a transaction raises the epoch."""

EMPTY = TransactionState.EMPTY
ONGOING = TransactionState.ONGOING
PREPARE_COMMIT = TransactionState.PREPARE_COMMIT
PREPARE_ABORT = TransactionState.PREPARE_ABORT
COMPLETE_COMMIT = TransactionState.COMPLETE_COMMIT
COMPLETE_ABORT = TransactionState.COMPLETE_ABORT

PREPARED = frozenset({PREPARE_COMMIT, PREPARE_ABORT})
"""Decided, and on the way to complete: nothing else may happen meanwhile."""

_AT_REST = frozenset({EMPTY, COMPLETE_COMMIT, COMPLETE_ABORT})


class ProducerIdNeeded(Exception):
    """A new producer id is needed to go on."""


def _is_exhausted(producer_epoch: int) -> bool:
    return producer_epoch >= MAX_EPOCH - 1


# InitProducerId


def initialized(
    current: Transaction | None,
    timeout_ms: int,
    expected: ProducerIdAndEpoch | None,
    now_ms: int,
    new_producer_id: int | None,
) -> Transaction:
    """A producer begins anew. `expected` is who it was, if it goes on after an error.

    If a transaction is open, it is to be `fenced` instead.
    """
    if current is None:
        if new_producer_id is None:
            raise ProducerIdNeeded
        return Transaction(
            producer_id=new_producer_id,
            producer_epoch=0,
            timeout_ms=timeout_ms,
            state=EMPTY,
            update_ms=now_ms,
            previous_producer_id=new_producer_id,
        )
    check_initializing(current, expected)
    epoch = current.producer_epoch
    following = replace(
        current,
        timeout_ms=timeout_ms,
        state=EMPTY,
        partitions=frozenset(),
        update_ms=now_ms,
        start_ms=-1,
        previous_producer_id=current.producer_id,
    )
    if expected is not None and expected.producer_epoch != epoch:
        if expected.producer_epoch != current.last_producer_epoch:
            raise KafkaError(ErrorCode.PRODUCER_FENCED)
        return following  # the answer to the same request got lost
    last_epoch = NO_PRODUCER_EPOCH if expected is None else epoch
    if not _is_exhausted(epoch):
        return replace(following, producer_epoch=epoch + 1, last_producer_epoch=last_epoch)
    if new_producer_id is None:
        raise ProducerIdNeeded
    return replace(
        following, producer_id=new_producer_id, producer_epoch=0, last_producer_epoch=last_epoch
    )


def check_initializing(current: Transaction, expected: ProducerIdAndEpoch | None) -> None:
    """May this producer begin anew, now?"""
    if expected is not None and expected.producer_id != current.producer_id:
        # The id before is right if its epochs were used up: the answer may have got lost.
        was_exhausted = _is_exhausted(expected.producer_epoch)
        if not (expected.producer_id == current.previous_producer_id and was_exhausted):
            raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if current.state in PREPARED:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)


# AddPartitionsToTxn, AddOffsetsToTxn, and what Produce and TxnOffsetCommit add


def added(
    current: Transaction | None,
    producer: ProducerIdAndEpoch,
    partitions: Collection[TopicPartition],
    client_version: int,
    now_ms: int,
) -> Transaction | None:
    """More partitions take part; None if all of them do already."""
    current = _owned(current, producer)
    if current.state is ONGOING and current.partitions.issuperset(partitions):
        return None
    return replace(
        current,
        state=ONGOING,
        partitions=current.partitions.union(partitions),
        update_ms=now_ms,
        start_ms=current.start_ms if current.state is ONGOING else now_ms,
        previous_producer_id=current.producer_id,
        client_version=client_version,
    )


def verified(
    current: Transaction | None,
    producer: ProducerIdAndEpoch,
    partitions: Collection[TopicPartition],
) -> PartitionErrors:
    """Which of `partitions` take part."""
    current = _owned(current, producer)
    return {
        partition: ErrorCode.NONE
        if partition in current.partitions
        else ErrorCode.TRANSACTION_ABORTABLE
        for partition in partitions
    }


def _owned(current: Transaction | None, producer: ProducerIdAndEpoch) -> Transaction:
    """The transaction, if it is this producer's to go on with."""
    if current is None or current.producer_id != producer.producer_id:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if current.producer_epoch != producer.producer_epoch:
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if current.state in PREPARED:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
    return current


# EndTxn


def ended(
    current: Transaction | None,
    producer: ProducerIdAndEpoch,
    commit: bool,
    client_version: int,
    now_ms: int,
    new_producer_id: int | None,
) -> Transaction | None:
    """The outcome is decided; None if it was before, and the answer got lost."""
    if current is None:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if client_version >= EPOCH_BUMP_VERSION:
        is_again = _is_ended_again(current, producer)
    else:
        if current.producer_id != producer.producer_id:
            raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
        if current.producer_epoch != producer.producer_epoch:
            raise KafkaError(ErrorCode.PRODUCER_FENCED)
        is_again = True  # the epoch can't tell
    if current.state is ONGOING:
        return _prepared(current, commit, client_version, now_ms, new_producer_id)
    wanted = PREPARE_COMMIT if commit else PREPARE_ABORT
    if current.state is wanted:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS)
    if is_again and current.state is (COMPLETE_COMMIT if commit else COMPLETE_ABORT):
        return None
    # A client of version 2 does not know whether anything of its transaction has arrived.
    may_be_empty = client_version >= EPOCH_BUMP_VERSION and current.state in _AT_REST
    if may_be_empty and not commit and (current.state is EMPTY or not is_again):
        begun = replace(current, start_ms=now_ms)
        return _prepared(begun, commit, client_version, now_ms, new_producer_id)
    raise KafkaError(ErrorCode.INVALID_TXN_STATE)


def _is_ended_again(current: Transaction, producer: ProducerIdAndEpoch) -> bool:
    """Whether a client of version 2 asks once more for the end that led to `current`.

    Its epoch was raised by that, or it even got another producer id.
    """
    epoch = producer.producer_epoch
    by_epoch = current.producer_epoch == epoch + 1
    by_new_id = (
        current.previous_producer_id == producer.producer_id
        and epoch == MAX_EPOCH - 1
        and current.producer_epoch == 0
    )
    if current.producer_id != producer.producer_id and not by_new_id:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    is_current = epoch == current.producer_epoch
    if current.state in PREPARED:
        is_valid = by_epoch
    elif current.state in (COMPLETE_COMMIT, COMPLETE_ABORT):
        is_valid = by_epoch or by_new_id or is_current
    else:
        is_valid = is_current
    if not is_valid:
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    return by_epoch or by_new_id


def _prepared(
    current: Transaction,
    commit: bool,
    client_version: int,
    now_ms: int,
    new_producer_id: int | None,
) -> Transaction:
    following = replace(
        current,
        state=PREPARE_COMMIT if commit else PREPARE_ABORT,
        update_ms=now_ms,
        previous_producer_id=current.producer_id,
        next_producer_id=NO_PRODUCER_ID,
        client_version=client_version,
    )
    if client_version < EPOCH_BUMP_VERSION:
        return following
    if _is_exhausted(current.producer_epoch):
        if new_producer_id is None:
            raise ProducerIdNeeded
        following = replace(following, next_producer_id=new_producer_id)
    return replace(
        following,
        producer_epoch=min(current.producer_epoch + 1, MAX_EPOCH),
        last_producer_epoch=current.producer_epoch,
    )


def fenced(
    current: Transaction, version: int, now_ms: int, new_producer_id: int | None
) -> Transaction:
    """An open transaction is aborted and its producer fenced: another one has come, or it took too
    long. `version` is the transaction version of the cluster, as no client asked."""
    if version >= EPOCH_BUMP_VERSION:
        return _prepared(current, False, version, now_ms, new_producer_id)
    raised = replace(
        current,
        producer_epoch=min(current.producer_epoch + 1, MAX_EPOCH),
        last_producer_epoch=NO_PRODUCER_EPOCH,
    )
    return _prepared(raised, False, 0, now_ms, None)


def completed(current: Transaction, now_ms: int) -> Transaction:
    """All markers are written."""
    following = replace(
        current,
        state=COMPLETE_COMMIT if current.state is PREPARE_COMMIT else COMPLETE_ABORT,
        partitions=frozenset(),
        update_ms=now_ms,
        previous_producer_id=current.producer_id,
        next_producer_id=NO_PRODUCER_ID,
    )
    if current.client_version < EPOCH_BUMP_VERSION or current.next_producer_id == NO_PRODUCER_ID:
        return following
    return replace(following, producer_id=current.next_producer_id, producer_epoch=0)


# Time


def is_timed_out(current: Transaction, now_ms: int) -> bool:
    """Whether an open transaction takes longer than its producer wanted it to."""
    return current.state is ONGOING and current.start_ms + current.timeout_ms < now_ms


def is_expired(current: Transaction, now_ms: int, expiration_ms: int) -> bool:
    """Whether a transactional id rests for so long that it is forgotten."""
    return current.state in _AT_REST and current.update_ms <= now_ms - expiration_ms
