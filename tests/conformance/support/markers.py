"""Transactional batches and markers as raw requests, without a transaction coordinator.

The broker under test must not verify transactions with its coordinator: `UNVERIFIED`. Field names
are kio's.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import TIMEOUT_MS

__all__ = ["UNVERIFIED", "RawProducer", "marker_values", "write_markers"]

UNVERIFIED = {"transaction.partition.verification.enable": "false"}
TRANSACTIONAL = 0x10
LAST_UNVERIFIED_VERSION = 11  # of Produce: 12 adds the partition to the transaction, always


def marker_values(
    producer_id: int,
    epoch: int,
    topic: str,
    partitions: Collection[int],
    *,
    commit: bool,
    coordinator_epoch: int = 0,
    transaction_version: int = 0,
) -> dict[str, Any]:
    return {
        "producer_id": producer_id,
        "producer_epoch": epoch,
        "transaction_result": commit,
        "topics": [{"name": topic, "partition_indexes": list(partitions)}],
        "coordinator_epoch": coordinator_epoch,
        "transaction_version": transaction_version,
    }


def write_markers(
    client: RawClient, *markers: dict[str, Any], version: int = 1
) -> dict[int, dict[int, ErrorCode]]:
    """By producer and partition, what is answered."""
    reply = client.ask(ApiKey.WRITE_TXN_MARKERS, version, {"markers": list(markers)})
    return {
        marker.producer_id: {
            partition.partition_index: partition.error_code
            for topic in marker.topics
            for partition in topic.partitions
        }
        for marker in reply.markers
    }


class RawProducer:
    """A producer of one topic that makes up its id, and counts its sequences by partition."""

    def __init__(self, client: RawClient, topic: str, producer_id: int) -> None:
        self.client = client
        self.topic = topic
        self.producer_id = producer_id
        self.epoch = 0
        self.sequences: dict[int, int] = {}

    def batch(self, partition: int = 0, **options: Any) -> bytes:
        """One record, with the next sequence."""
        values: dict[str, Any] = {
            "attributes": TRANSACTIONAL,
            "producer_id": self.producer_id,
            "producer_epoch": self.epoch,
            "base_sequence": self.sequences.get(partition, 0),
        }
        return batch([record(value=b"transactional")], **(values | options))

    def send(
        self, partition: int = 0, *, version: int = LAST_UNVERIFIED_VERSION, **options: Any
    ) -> Any:
        """What the partition answers."""
        values = {
            "transactional_id": "made up",
            "acks": -1,
            "timeout": TIMEOUT_MS,
            "topic_data": [
                {
                    "name": self.topic,
                    "partition_data": [
                        {"index": partition, "records": self.batch(partition, **options)}
                    ],
                }
            ],
        }
        reply = self.client.ask(ApiKey.PRODUCE, version, values)
        answer = reply.responses[0].partition_responses[0]
        if answer.error_code is ErrorCode.none:
            self.sequences[partition] = self.sequences.get(partition, 0) + 1
        return answer

    def end(self, *partitions: int, commit: bool, version: int = 1) -> dict[int, ErrorCode]:
        """Writes markers as a coordinator of transaction version 1 does."""
        values = marker_values(
            self.producer_id, self.epoch, self.topic, partitions or (0,), commit=commit
        )
        return write_markers(self.client, values, version=version)[self.producer_id]
