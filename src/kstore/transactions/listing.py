"""Transactional ids for people: described one by one, and listed through filters.

Kafka's `TransactionCoordinator.handleDescribeTransactions` and
`TransactionStateManager.listTransactionStates`. On the loop.
"""

from __future__ import annotations

from collections.abc import Iterable

from kstore.coordinator.patterns import Pattern, PatternError
from kstore.coordinator.transaction_records import Transaction, TransactionState
from kstore.errors import ErrorCode
from kstore.transactions.shard import Shard
from kstore.transactions.values import (
    TransactionDescription,
    TransactionFilter,
    TransactionListing,
    TransactionListings,
)

__all__ = ["describe", "listed"]

_STATES = {state.label: state for state in TransactionState}


def describe(shard: Shard, transactional_id: str) -> TransactionDescription:
    """A transactional id with its transaction, as far as that is not ended."""
    transaction = shard.transactions.get(transactional_id)
    if transaction is None:
        return TransactionDescription(transactional_id, ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
    unmarked = shard.unmarked.get(transactional_id)
    return TransactionDescription(
        transactional_id,
        producer_id=transaction.producer_id,
        producer_epoch=transaction.producer_epoch,
        state=transaction.state.label,
        timeout_ms=transaction.timeout_ms,
        start_ms=transaction.start_ms,
        partitions=transaction.partitions if unmarked is None else frozenset(unmarked),
    )


def listed(shards: Iterable[Shard], wanted: TransactionFilter, now_ms: int) -> TransactionListings:
    """The transactional ids that pass the filter."""
    pattern = None
    if wanted.pattern:
        try:
            pattern = Pattern(wanted.pattern)
        except PatternError:
            return TransactionListings(ErrorCode.INVALID_REGULAR_EXPRESSION)
    states = {_STATES[name] for name in wanted.states if name in _STATES}
    producer_ids = frozenset(wanted.producer_ids)

    def passes(transactional_id: str, transaction: Transaction) -> bool:
        if producer_ids and transaction.producer_id not in producer_ids:
            return False
        if wanted.states and transaction.state not in states:
            return False
        if wanted.duration_ms >= 0 and now_ms - transaction.start_ms <= wanted.duration_ms:
            return False
        return pattern is None or pattern.matches(transactional_id)

    return TransactionListings(
        unknown_states=tuple(name for name in wanted.states if name not in _STATES),
        transactions=[
            TransactionListing(transactional_id, transaction.producer_id, transaction.state)
            for shard in shards
            for transactional_id, transaction in shard.transactions.items()
            if passes(transactional_id, transaction)
        ],
    )
