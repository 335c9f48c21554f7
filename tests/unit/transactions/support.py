"""A transaction coordinator on a manual clock and an in-memory log, with partitions that obey."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection

from kstore.configs import TransactionConfig
from kstore.coordinator.transaction_records import (
    TopicPartition,
    Transaction,
    TransactionRecord,
    decode_transaction_record,
)
from kstore.errors import ErrorCode, KafkaError
from kstore.runtime import Later
from kstore.testing.manual import ManualLog, ManualRuntime
from kstore.transactions.coordinator import TransactionCoordinator
from kstore.transactions.values import PartitionErrors, ProducerIdAndEpoch, ProducerResult

TIMEOUT_MS = 60_000
ABORT_INTERVAL_MS = 10_000
A, B = ("a", 0), ("b", 1)

Written = tuple[int, int, int, bool, int, frozenset[TopicPartition]]


class ManualMarkers:
    """`Markers` that are written at once, unless `hold` is set: then `write_next` says when.

    `errors` are what partitions answer instead; each answer is used up.
    """

    def __init__(self) -> None:
        self.written: list[Written] = []
        self.errors: dict[TopicPartition, deque[ErrorCode]] = {}
        self.hold = False
        self._held: deque[tuple[Later[PartitionErrors], PartitionErrors]] = deque()

    def write(
        self,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        commit: bool,
        transaction_version: int,
        partitions: Collection[TopicPartition],
    ) -> Later[PartitionErrors]:
        self.written.append(
            (
                producer_id,
                producer_epoch,
                coordinator_epoch,
                commit,
                transaction_version,
                frozenset(partitions),
            )
        )
        answer = {partition: self._answer(partition) for partition in partitions}
        later: Later[PartitionErrors] = Later()
        if self.hold:
            self._held.append((later, answer))
        else:
            later.complete(answer)
        return later

    def _answer(self, partition: TopicPartition) -> ErrorCode:
        errors = self.errors.get(partition)
        return errors.popleft() if errors else ErrorCode.NONE

    def write_next(self) -> None:
        """Answers the oldest call that waits."""
        later, answer = self._held.popleft()
        later.complete(answer)


class World:
    """One coordinator with all its partitions loaded."""

    def __init__(self, version: int = 2, **config: int) -> None:
        self.config = TransactionConfig(
            **{"transaction_state_log_num_partitions": 1} | config  # type: ignore[arg-type]
        )
        self.version = version
        self.time = ManualRuntime()
        self.log = ManualLog()
        self.markers = ManualMarkers()
        self.ids = itertools.count(1000)
        self.no_ids = False
        self.coordinator_epoch = 0
        self.start()

    def next_id(self) -> Later[int]:
        if self.no_ids:
            return Later.failed(KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE))
        return Later.of(next(self.ids))

    def start(self) -> None:
        """A coordinator that knows what the log says."""
        self.transactions = TransactionCoordinator(
            self.time, self.log, self.markers, self.next_id, self.config, lambda: self.version
        )
        self.coordinator_epoch += 1
        for partition in range(self.config.transaction_state_log_num_partitions):
            records = self.log.records.get(partition, [])
            self.transactions.load(partition, records, self.coordinator_epoch)

    def restart(self) -> None:
        """The broker stops and comes again."""
        self.transactions.close()
        self.start()

    def state(self, transactional_id: str = "t") -> str:
        return self.transactions.describe(transactional_id).state

    def records(self) -> list[Transaction | None]:
        """All that was stored."""
        decoded = [
            decode_transaction_record(*pair)
            for pairs in self.log.records.values()
            for pair in pairs
        ]
        return [record.value for record in decoded if isinstance(record, TransactionRecord)]

    def last(self) -> Transaction:
        """What was stored last."""
        record = self.records()[-1]
        assert record is not None
        return record

    def store(self, value: Transaction, transactional_id: str = "t") -> None:
        """Puts a record into the log and starts anew with it."""
        self.log.records.setdefault(0, []).append(
            TransactionRecord(transactional_id, value).encode()
        )
        self.restart()


class Producer:
    """A producer's side of the protocol; it remembers who it is."""

    def __init__(self, world: World, transactional_id: str = "t", *, version: int = 2) -> None:
        self.world = world
        self.transactional_id = transactional_id
        self.version = version
        self.producer_id = -1
        self.epoch = -1

    def init_later(
        self, timeout_ms: int = TIMEOUT_MS, expected: ProducerIdAndEpoch | None = None
    ) -> Later[ProducerResult]:
        return self.world.transactions.init_producer_id(self.transactional_id, timeout_ms, expected)

    def init(
        self, timeout_ms: int = TIMEOUT_MS, expected: ProducerIdAndEpoch | None = None
    ) -> ErrorCode:
        return self.take(self.init_later(timeout_ms, expected).result())

    def take(self, result: ProducerResult) -> ErrorCode:
        """Goes by an answer, as a client does."""
        if result.error is ErrorCode.NONE and result.producer_id >= 0:
            self.producer_id, self.epoch = result.producer_id, result.producer_epoch
        return result.error

    @property
    def current(self) -> ProducerIdAndEpoch:
        return ProducerIdAndEpoch(self.producer_id, self.epoch)

    def add_later(self, *partitions: TopicPartition) -> Later[PartitionErrors]:
        return self.world.transactions.add_partitions(
            self.transactional_id,
            self.producer_id,
            self.epoch,
            partitions,
            client_version=self.version,
        )

    def add(self, *partitions: TopicPartition) -> ErrorCode:
        """One error for all of them."""
        (error,) = set(self.add_later(*partitions).result().values())
        return error

    def verify(self, *partitions: TopicPartition) -> PartitionErrors:
        return self.world.transactions.verify_partitions(
            self.transactional_id, self.producer_id, self.epoch, partitions
        )

    def end_later(self, commit: bool) -> Later[ProducerResult]:
        return self.world.transactions.end(
            self.transactional_id,
            self.producer_id,
            self.epoch,
            commit,
            client_version=self.version,
        )

    def commit(self) -> ErrorCode:
        return self.take(self.end_later(True).result())

    def abort(self) -> ErrorCode:
        return self.take(self.end_later(False).result())


def started(world: World, transactional_id: str = "t", *, version: int = 2) -> Producer:
    """A producer that may begin transactions."""
    producer = Producer(world, transactional_id, version=version)
    assert producer.init() is ErrorCode.NONE
    return producer
