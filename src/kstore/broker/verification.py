"""Asks the transaction coordinator before a partition takes the first batch of a transaction.

With transactions version 2 the batch itself adds its partition to the transaction (`adds`), with
version 1 the client has done so before, and it is only looked up (KIP-890). A transaction that is
open in the partition is not asked for again. Thread: the loop.

Source: Kafka's ReplicaManager.handleProduceAppend, AddPartitionsToTxnManager.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeAlias

from kstore.broker.partition import Partition
from kstore.configs import Settings
from kstore.coordinator.transaction_records import TopicPartition
from kstore.errors import ErrorCode, KafkaError
from kstore.log.producers import Verification
from kstore.runtime import Later, Runtime

__all__ = ["Coordinator", "Verdicts", "Verifier"]

Verdicts: TypeAlias = dict[TopicPartition, Verification | KafkaError]
"""What to show to the log, or why a batch must not be appended; nothing needs no verification."""


_ADDS = 2  # the transaction version of clients whose batches add their partitions


class Coordinator(Protocol):
    """What is asked of the transaction coordinator."""

    def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[TopicPartition],
        *,
        client_version: int,
    ) -> Later[dict[TopicPartition, ErrorCode]]:
        """Adds all of `partitions`, or none; a code for each. Never fails."""

    def verify_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        partitions: Collection[TopicPartition],
    ) -> dict[TopicPartition, ErrorCode]:
        """Which of `partitions` take part: a code for each."""


class Verifier:
    """Begins verifications and brings the coordinator's answers."""

    def __init__(
        self,
        runtime: Runtime,
        coordinator: Coordinator,
        settings: Callable[[], Settings],
    ) -> None:
        self._runtime = runtime
        self._coordinator = coordinator
        self._settings = settings

    def verify(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        sequences: Mapping[Partition, int],
        *,
        adds: bool,
        knows_abortable: bool,
    ) -> Later[Verdicts]:
        """For each partition the first sequence of the producer's batch, -1 for one without.

        `knows_abortable`: the client understands TRANSACTION_ABORTABLE. Never fails.
        """
        if not adds and not self._settings()["transaction.partition.verification.enable"]:
            return Later.of({})
        verdicts: Verdicts = {}
        begun: dict[TopicPartition, Verification] = {}
        now_ms = self._runtime.time_ms()
        for partition, sequence in sequences.items():
            key = (partition.topic, partition.index)
            try:
                verification = partition.log.producers.begin_verification(
                    producer_id, producer_epoch, sequence, adds=adds, now_ms=now_ms
                )
            except KafkaError as error:
                verdicts[key] = error
            else:
                if verification is not None:
                    begun[key] = verification
        if not begun:
            return Later.of(verdicts)

        def answered(codes: dict[TopicPartition, ErrorCode]) -> Verdicts:
            for key, verification in begun.items():
                code = codes[key]
                if code is ErrorCode.NONE:
                    verdicts[key] = verification
                else:
                    verdicts[key] = _refusal(code, knows_abortable=knows_abortable)
            return verdicts

        keys = list(begun)
        if not adds:
            return Later.of(
                answered(
                    self._coordinator.verify_partitions(
                        transactional_id, producer_id, producer_epoch, keys
                    )
                )
            )
        return self._coordinator.add_partitions(
            transactional_id, producer_id, producer_epoch, keys, client_version=_ADDS
        ).map(answered)

    def verify_produce(
        self,
        transactional_id: str,
        producer_id: int,
        producer_epoch: int,
        sequences: Mapping[Partition, int],
        *,
        adds: bool,
        knows_abortable: bool,
    ) -> Later[Verdicts]:
        """As `verify`, with the errors that a producer understands.

        While the producer's last transaction is still being ended, adding is tried again for a
        moment: the client would pause for longer.
        """
        settings = self._settings()
        pause_ms = settings["add.partitions.to.txn.retry.backoff.ms"]
        deadline_ms = self._runtime.monotonic_ms()
        if adds:
            deadline_ms += settings["add.partitions.to.txn.retry.backoff.max.ms"]
        outcome: Later[Verdicts] = Later()

        def ask() -> None:
            self.verify(
                transactional_id,
                producer_id,
                producer_epoch,
                sequences,
                adds=adds,
                knows_abortable=knows_abortable,
            ).then(answered)

        def answered(asked: Later[Verdicts]) -> None:
            if asked.error is not None:
                outcome.fail(asked.error)
            elif _ends_soon(asked.result()) and self._runtime.monotonic_ms() < deadline_ms:
                self._runtime.call_later(pause_ms, ask)
            else:
                outcome.complete(
                    {key: _for_producer(one, adds=adds) for key, one in asked.result().items()}
                )

        ask()
        return outcome


def _refusal(code: ErrorCode, *, knows_abortable: bool) -> KafkaError:
    if code is ErrorCode.PRODUCER_FENCED:
        return KafkaError(ErrorCode.INVALID_PRODUCER_EPOCH)
    if code is ErrorCode.TRANSACTION_ABORTABLE and not knows_abortable:
        return KafkaError(ErrorCode.INVALID_TXN_STATE)
    return KafkaError(code)


def _ends_soon(verdicts: Verdicts) -> bool:
    return any(
        isinstance(one, KafkaError) and one.code is ErrorCode.CONCURRENT_TRANSACTIONS
        for one in verdicts.values()
    )


_TRY_AGAIN = (
    ErrorCode.NETWORK_EXCEPTION,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_COORDINATOR,
)


def _for_producer(verdict: Verification | KafkaError, *, adds: bool) -> Verification | KafkaError:
    """The coordinator's error as one that makes a producer send its batch again, or give up."""
    if not isinstance(verdict, KafkaError):
        return verdict
    code = verdict.code
    if code in _TRY_AGAIN or (code is ErrorCode.CONCURRENT_TRANSACTIONS and not adds):
        return KafkaError(
            ErrorCode.NOT_ENOUGH_REPLICAS,
            "Unable to verify the partition has been added to the transaction. "
            f"Underlying error: {code.name}",
        )
    if code is ErrorCode.INVALID_TXN_STATE:
        return KafkaError(code, "Partition was not added to the transaction")
    return verdict
