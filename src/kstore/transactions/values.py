"""What goes into the transaction coordinator and comes out of it, and who writes markers for it.

Values only; the wire's messages are translated in `broker/apis/`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from kstore.coordinator.transaction_records import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    TopicPartition,
    TransactionState,
)
from kstore.errors import ErrorCode
from kstore.runtime import Later

__all__ = [
    "Markers",
    "PartitionErrors",
    "ProducerIdAndEpoch",
    "ProducerResult",
    "TransactionDescription",
    "TransactionFilter",
    "TransactionListing",
    "TransactionListings",
]

PartitionErrors = dict[TopicPartition, ErrorCode]


class Markers(Protocol):
    """Ends transactions in the partitions that took part; the broker's partitions stand behind."""

    def write(
        self,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        commit: bool,
        transaction_version: int,
        partitions: Collection[TopicPartition],
    ) -> Later[PartitionErrors]:
        """Writes the marker of a decided transaction to each of `partitions`; never fails.

        NONE for a partition that has it, UNKNOWN_TOPIC_OR_PARTITION for one that the cluster does
        not know, INVALID_PRODUCER_EPOCH or TRANSACTION_COORDINATOR_FENCED for one that knows of
        something newer. Any other error, or none at all, will be over some time.
        """


@dataclass(frozen=True, slots=True)
class ProducerIdAndEpoch:
    """Who a producer says it is."""

    producer_id: int
    producer_epoch: int


@dataclass(frozen=True, slots=True)
class ProducerResult:
    """Who a producer is from now on; -1 where the answer does not say."""

    error: ErrorCode = ErrorCode.NONE
    producer_id: int = NO_PRODUCER_ID
    producer_epoch: int = NO_PRODUCER_EPOCH


@dataclass(frozen=True, slots=True)
class TransactionDescription:
    """A transactional id for people. `partitions` are those whose markers are not written yet."""

    transactional_id: str
    error: ErrorCode = ErrorCode.NONE
    producer_id: int = 0
    producer_epoch: int = 0
    state: str = ""
    timeout_ms: int = 0
    start_ms: int = 0
    partitions: frozenset[TopicPartition] = frozenset()


@dataclass(frozen=True, slots=True)
class TransactionFilter:
    """Which transactional ids are wanted; an empty or negative part of it lets all pass.

    `duration_ms`: begun longer ago than that; those that never began pass. `pattern` is a regular
    expression in RE2's syntax for whole ids.
    """

    states: Collection[str] = ()
    producer_ids: Collection[int] = ()
    duration_ms: int = -1
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class TransactionListing:
    """A line in the list of transactional ids."""

    transactional_id: str
    producer_id: int
    state: TransactionState


@dataclass(frozen=True, slots=True)
class TransactionListings:
    """The list, and which of the states that were asked for do not exist."""

    error: ErrorCode = ErrorCode.NONE
    unknown_states: tuple[str, ...] = ()
    transactions: list[TransactionListing] = field(default_factory=list)
