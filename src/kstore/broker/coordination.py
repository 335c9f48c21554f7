"""Where coordinators keep their records: the partitions of an internal topic.

Appends go through `Partition` like everybody's, and count once they are committed there.
Thread: the loop; `read_newest` reads in a worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from kstore._native.batch import BatchHeader
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.configs import Settings
from kstore.coordinator.runtime import InTransaction
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Appended, Origin
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    Record,
    batch_records,
    build_batch,
    parse_end_transaction_marker,
)
from kstore.metadata.topics import NewTopic
from kstore.runtime import Later, Runtime

__all__ = [
    "OFFSETS_TOPIC",
    "TRANSACTIONS_TOPIC",
    "CoordinatorTopic",
    "StoredRecords",
    "internal_topic",
]

log = logging.getLogger("kstore.broker")

OFFSETS_TOPIC = "__consumer_offsets"
TRANSACTIONS_TOPIC = "__transaction_state"

_KeyAndValue = tuple[bytes | None, bytes | None]


def internal_topic(name: str, settings: Settings, broker_count: int) -> NewTopic | None:
    """What a coordinator's topic is made as; None for any other topic.

    Kafka's default is 3 replicas; on fewer nodes it is what there is.
    """
    if name == OFFSETS_TOPIC:
        return NewTopic(
            name=name,
            partition_count=settings["offsets.topic.num.partitions"],
            replication_factor=min(settings["offsets.topic.replication.factor"], broker_count),
            configs={
                "cleanup.policy": "compact",
                "compression.type": "producer",
                "segment.bytes": str(settings["offsets.topic.segment.bytes"]),
            },
        )
    if name == TRANSACTIONS_TOPIC:
        replicas: int = settings["transaction.state.log.replication.factor"]
        return NewTopic(
            name=name,
            partition_count=settings["transaction.state.log.num.partitions"],
            replication_factor=min(replicas, broker_count),
            configs={
                "cleanup.policy": "compact",
                "compression.type": "uncompressed",
                "min.insync.replicas": str(settings["transaction.state.log.min.isr"]),
                "segment.bytes": str(settings["transaction.state.log.segment.bytes"]),
                "unclean.leader.election.enable": "false",
            },
        )
    return None


class StoredRecords(NamedTuple):
    """What a partition's log comes to.

    `newest` has the newest value of each key, oldest first. `undecided` has, by producer id, the
    records of transactions that are open: those that count if they are committed, and None in place
    of the value where something newer would stand above it all the same. Of two producers with the
    same key the one that wrote it later comes later.
    """

    newest: list[_KeyAndValue]
    undecided: dict[int, list[_KeyAndValue]]


class Coordinator(Protocol):
    """The side of a coordinator that its partitions are given to and taken from."""

    def begin_load(self, partition: int) -> None:
        """Says that the partition is going to be loaded, or unloaded."""

    def unload(self, partition: int) -> None:
        """Gives the partition away."""


class CoordinatorTopic:
    """The `TransactionalLog` of a coordinator, on its topic."""

    def __init__(self, runtime: Runtime, partitions: Partitions, topic: str) -> None:
        self._runtime = runtime
        self._partitions = partitions
        self._topic = topic

    def append(
        self,
        partition: int,
        records: list[tuple[bytes, bytes | None]],
        transaction: InTransaction | None = None,
    ) -> Later[int]:
        """Appends records as one batch; the offset behind it, once it is committed."""
        now_ms = self._runtime.time_ms()
        stored = [Record(0, now_ms, key, value, ()) for key, value in records]
        if transaction is None:
            batch = build_batch(stored)
            verification = None
        else:
            batch = build_batch(
                stored,
                producer_id=transaction.producer_id,
                producer_epoch=transaction.producer_epoch,
                transactional=True,
            )
            verification = transaction.verification
        return self._append(
            partition,
            lambda owner: owner.append(batch, now_ms, Origin.COORDINATOR, verification),
        )

    def append_marker(
        self,
        partition: int,
        marker: EndTransactionMarker,
        producer_id: int,
        producer_epoch: int,
        transaction_version: int,
    ) -> Later[int]:
        """Ends a transaction; the offset behind the marker, once it is committed."""
        now_ms = self._runtime.time_ms()
        return self._append(
            partition,
            lambda owner: owner.append_marker(
                marker, producer_id, producer_epoch, transaction_version, now_ms
            ),
        )

    def _append(self, partition: int, append: Callable[[Partition], Appended]) -> Later[int]:
        owner = self._partitions.get(self._topic, partition)
        if owner is None:
            return Later.failed(KafkaError(ErrorCode.NOT_COORDINATOR))
        try:
            appended = append(owner)
        except KafkaError as error:
            return Later.failed(error)
        return owner.when_committed(appended).map(lambda done: done.last_offset + 1)

    def load(
        self, partition: Partition, coordinator: Coordinator, take: Callable[[StoredRecords], None]
    ) -> Later[None]:
        """Has `take` give what a partition holds to its coordinator; never fails.

        What can't be read or taken is logged, and the partition has no coordinator then.
        """
        done: Later[None] = Later()

        def read(stored: Later[StoredRecords]) -> None:
            if self._partitions.get(partition.topic, partition.index) is partition:
                try:
                    take(stored.result())
                except Exception:  # whatever it is, the other partitions are to be served
                    coordinator.unload(partition.index)
                    log.exception(
                        "coordinator not loaded partition=%s-%d", partition.topic, partition.index
                    )
            done.complete(None)

        coordinator.begin_load(partition.index)
        self.read_newest(partition).then(read)
        return done

    def read_newest(self, partition: Partition) -> Later[StoredRecords]:
        """What the partition holds, as compaction would leave it.

        The rest would be read for nothing, and there may be millions. Nothing is appended to the
        partition meanwhile: its coordinator is not at work yet. Fails with KafkaError if the log
        has: that its records can't be read is not that there are none.
        """
        log = partition.log
        if log.failed is not None:
            return Later.failed(log.failed)
        if log.log_start_offset == log.log_end_offset:
            return Later.of(StoredRecords([], {}))

        def read() -> StoredRecords:
            reading = _Reading()
            for header, data in log.whole_batches():
                reading.take(header, data)
            return reading.done()

        return self._runtime.run_in_worker(read)


class _Reading:
    """Goes through the batches of a coordinator's partition.

    A transaction's records come into force with its marker, but stand where they were written: a
    record with a larger offset is newer than they are, also if it was there before the marker.
    """

    def __init__(self) -> None:
        self._newest: dict[bytes | None, tuple[int, bytes | None]] = {}
        self._open: dict[int, dict[bytes | None, tuple[int, bytes | None]]] = {}

    def take(self, header: BatchHeader, data: bytes) -> None:
        if header.is_control:
            marker = parse_end_transaction_marker(header, data) if header.producer_id >= 0 else None
            if marker is not None:
                ended = self._open.pop(header.producer_id, {})
                if marker.type is ControlType.COMMIT:
                    for key, (offset, value) in ended.items():
                        self._put(key, offset, value)
            return
        for record in batch_records(header, data):
            if header.is_transactional:
                pending = self._open.setdefault(header.producer_id, {})
                pending.pop(record.key, None)
                pending[record.key] = record.offset, record.value
                continue
            self._put(record.key, record.offset, record.value)
            if record.value is None:  # what is pending of it would bring it back
                for pending in self._open.values():
                    pending.pop(record.key, None)

    def _put(self, key: bytes | None, offset: int, value: bytes | None) -> None:
        if self._is_newer(key, offset):
            return
        self._newest.pop(key, None)
        self._newest[key] = offset, value

    def _is_newer(self, key: bytes | None, offset: int) -> bool:
        """Is what stands in force for `key` newer than a record at `offset`?"""
        return key in self._newest and self._newest[key][0] > offset

    def done(self) -> StoredRecords:
        still_open = [item for item in self._open.items() if item[1]]
        still_open.sort(key=lambda item: max(offset for offset, _ in item[1].values()))
        return StoredRecords(
            [(key, value) for key, (_, value) in self._newest.items()],
            {
                producer_id: [
                    (key, None if self._is_newer(key, offset) else value)
                    for key, (offset, value) in pending.items()
                ]
                for producer_id, pending in still_open
            },
        )
