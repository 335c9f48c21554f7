"""The transaction coordinator's door: requests in, `Later`s of results out; and its timers.

It checks what needs no transaction, finds the transactional id's shard, and hands the rest to the
shard's events, which are decided in order for each id. Answers never fail: an error is part of the
result. Kafka's `TransactionCoordinator`. Every call is made on the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from kstore.configs import TransactionConfig
from kstore.coordinator import partitioning
from kstore.coordinator.runtime import CoordinatorLog, Waiter
from kstore.coordinator.shards import Shards
from kstore.coordinator.transaction_records import TopicPartition
from kstore.errors import ErrorCode, KafkaError
from kstore.runtime import Later, Runtime, Timer
from kstore.transactions.listing import describe, listed
from kstore.transactions.shard import Shard
from kstore.transactions.transitions import verified
from kstore.transactions.values import (
    Markers,
    PartitionErrors,
    ProducerIdAndEpoch,
    ProducerResult,
    TransactionDescription,
    TransactionFilter,
    TransactionListings,
)

__all__ = ["TransactionCoordinator"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

EXPIRED_PER_TURN = 100
"""How many transactional ids are forgotten before others on the loop have their turn."""


class TransactionCoordinator:
    """Coordinates the transactions of those partitions of `__transaction_state` that are loaded.

    A transactional id of another partition is answered NOT_COORDINATOR, one whose partition is
    being loaded COORDINATOR_LOAD_IN_PROGRESS, any after `close` COORDINATOR_NOT_AVAILABLE.
    `version` gives the transaction version of the cluster as of now.
    """

    def __init__(
        self,
        runtime: Runtime,
        log: CoordinatorLog,
        markers: Markers,
        next_producer_id: Callable[[], Later[int]],
        config: TransactionConfig,
        version: Callable[[], int],
    ) -> None:
        self._runtime = runtime
        self._log = log
        self._markers = markers
        self._next_producer_id = next_producer_id
        self._config = config
        self._version = version
        self._shards: Shards[Shard] = Shards()
        self._timers: list[Timer] = []

    # Partitions

    def partition_for(self, transactional_id: str) -> int:
        """The partition of `__transaction_state` that `transactional_id` belongs to."""
        count = self._config.transaction_state_log_num_partitions
        return partitioning.partition_for(transactional_id, count)

    @property
    def loaded_partitions(self) -> list[int]:
        """The partitions whose transactions are coordinated here."""
        return self._shards.partitions

    def begin_load(self, partition: int) -> None:
        """Says that `load` will follow, or `unload`; clients are asked to try again meanwhile."""
        self._shards.begin_load(partition)

    def load(
        self,
        partition: int,
        records: Iterable[tuple[bytes | None, bytes | None]],
        coordinator_epoch: int,
    ) -> None:
        """Takes over a partition; `records` are keys and values of its log, oldest first.

        `coordinator_epoch` is the partition's leader epoch: it goes into the markers, so that those
        of a coordinator of before come too late. Transactions of which the outcome is decided are
        ended. Raises `MalformedRecordError`; the partition is not loaded then.
        """
        shard = Shard(
            partition,
            coordinator_epoch,
            self._runtime,
            self._log,
            self._markers,
            self._next_producer_id,
            self._version,
        )
        self._shards.load(partition, shard, lambda: shard.load(records))
        if not self._timers:
            self._timers = [self._abort_later(), self._expire_later()]

    def unload(self, partition: int) -> None:
        """Gives a partition away; who waits for its transactions is told NOT_COORDINATOR."""
        self._shards.unload(partition)

    def close(self) -> None:
        """Gives all partitions away, and takes no request any more."""
        self._shards.close()
        for timer in self._timers:
            timer.cancel()

    def _shard(self, transactional_id: str) -> Shard:
        """The shard of an id. Raises KafkaError if it is not here, or there can't be such an id."""
        if not transactional_id:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        partition = self.partition_for(transactional_id)
        shard = self._shards.get(partition)
        if shard is None:
            raise KafkaError(self._shards.absent(partition))
        return shard

    def _ask(
        self, transactional_id: str, waiter: Waiter[T], ask: Callable[[Shard], None]
    ) -> Later[T]:
        """Has `ask` hand the request that `waiter` stands for to the id's shard."""
        try:
            shard = self._shard(transactional_id)
        except KafkaError as error:
            waiter.refuse(error.code)
        else:
            ask(shard)
        return waiter

    # Requests of producers

    def init_producer_id(
        self,
        transactional_id: str,
        timeout_ms: int,
        expected: ProducerIdAndEpoch | None = None,
    ) -> Later[ProducerResult]:
        """InitProducerId of a transactional producer; `expected` is who it was, if it says so."""
        if transactional_id and not 0 < timeout_ms <= self._config.transaction_max_timeout_ms:
            return Later.of(ProducerResult(ErrorCode.INVALID_TRANSACTION_TIMEOUT))
        waiter = Waiter(ProducerResult)
        return self._ask(
            transactional_id,
            waiter,
            lambda shard: shard.initialize(transactional_id, timeout_ms, expected, waiter),
        )

    def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[TopicPartition],
        *,
        client_version: int,
    ) -> Later[PartitionErrors]:
        """AddPartitionsToTxn, AddOffsetsToTxn: all of `partitions` take part, or none.

        `client_version` is the transaction version that the client goes by.
        """
        waiter: Waiter[PartitionErrors] = Waiter(lambda error: dict.fromkeys(partitions, error))
        producer = ProducerIdAndEpoch(producer_id, producer_epoch)
        return self._ask(
            transactional_id,
            waiter,
            lambda shard: shard.add(transactional_id, producer, partitions, client_version, waiter),
        )

    def verify_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[TopicPartition],
    ) -> PartitionErrors:
        """Which of `partitions` take part in the producer's transaction; changes nothing.

        TRANSACTION_ABORTABLE for those that don't.
        """
        producer = ProducerIdAndEpoch(producer_id, producer_epoch)
        try:
            shard = self._shard(transactional_id)
            return verified(shard.transactions.get(transactional_id), producer, partitions)
        except KafkaError as error:
            return dict.fromkeys(partitions, error.code)

    def end(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        commit: bool,
        *,
        client_version: int,
    ) -> Later[ProducerResult]:
        """EndTxn. Answered when the outcome is stored; from then on it is certain.

        Who the producer is next is told from client version 2 on.
        """
        waiter = Waiter(ProducerResult)
        producer = ProducerIdAndEpoch(producer_id, producer_epoch)
        return self._ask(
            transactional_id,
            waiter,
            lambda shard: shard.end(transactional_id, producer, commit, client_version, waiter),
        )

    # For people

    def describe(self, transactional_id: str) -> TransactionDescription:
        """A transactional id and its transaction."""
        try:
            shard = self._shard(transactional_id)
        except KafkaError as error:
            return TransactionDescription(transactional_id, error.code)
        return describe(shard, transactional_id)

    def list_transactions(self, wanted: TransactionFilter) -> TransactionListings:
        """The transactional ids that are coordinated here."""
        if self._shards.is_closed:
            return TransactionListings(ErrorCode.COORDINATOR_NOT_AVAILABLE)
        if self._shards.is_loading:
            return TransactionListings(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        return listed(self._shards, wanted, self._runtime.time_ms())

    # Time

    def _abort_later(self) -> Timer:
        interval_ms = self._config.transaction_abort_timed_out_transaction_cleanup_interval_ms
        return self._runtime.call_later(interval_ms, self._abort_timed_out)

    def _abort_timed_out(self) -> None:
        self._timers[0] = self._abort_later()
        now_ms = self._runtime.time_ms()
        for shard in self._shards:
            shard.abort_timed_out(now_ms)

    def _expire_later(self) -> Timer:
        interval_ms = self._config.transaction_remove_expired_transaction_cleanup_interval_ms
        return self._runtime.call_later(interval_ms, self._expire)

    def _expire(self) -> None:
        self._timers[1] = self._expire_later()
        self._take_turns(self._expiring())

    def _expiring(self) -> Iterator[None]:
        """Forgets what has expired; others have their turn at each yield."""
        expiration_ms = self._config.transactional_id_expiration_ms
        for shard in self._shards:
            expired = shard.expired(self._runtime.time_ms(), expiration_ms)
            for start in range(0, len(expired), EXPIRED_PER_TURN):
                for transactional_id in expired[start : start + EXPIRED_PER_TURN]:
                    shard.forget(transactional_id, expiration_ms)
                yield
            if expired:
                logger.info("Forgot %d transactional ids that had expired", len(expired))
            yield

    def _take_turns(self, work: Iterator[None]) -> None:
        for _ in work:  # one step now, the others when the loop comes round again
            if not self._shards.is_closed:
                self._runtime.call_soon(self._take_turns, work)
            return
