"""Transaction markers on their way into the partitions that this broker leads. Thread: the loop."""

from __future__ import annotations

from collections.abc import Callable, Collection

from kstore.broker.partitions import Partitions
from kstore.coordinator.transaction_records import TopicPartition
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Origin
from kstore.log.records import ControlType, EndTransactionMarker, build_end_transaction_marker
from kstore.metadata.image import MetadataImage
from kstore.runtime import Later, Runtime
from kstore.transactions.values import PartitionErrors

__all__ = ["PartitionMarkers"]


class PartitionMarkers:
    """Ends transactions in partitions; see `transactions.values.Markers`."""

    def __init__(
        self, runtime: Runtime, partitions: Partitions, image: Callable[[], MetadataImage]
    ) -> None:
        self._runtime = runtime
        self._partitions = partitions
        self._image = image

    def write(
        self,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        commit: bool,
        transaction_version: int,
        partitions: Collection[TopicPartition],
    ) -> Later[PartitionErrors]:
        now_ms = self._runtime.time_ms()
        kind = ControlType.COMMIT if commit else ControlType.ABORT
        batch = build_end_transaction_marker(
            EndTransactionMarker(kind, coordinator_epoch),
            producer_id=producer_id,
            producer_epoch=producer_epoch,
            timestamp_ms=now_ms,
        )
        keys = list(partitions)
        written = [self._write(key, batch, now_ms) for key in keys]
        return Later.all(written).map(
            lambda done: {key: one.result() for key, one in zip(keys, done, strict=True)}
        )

    def _write(self, key: TopicPartition, batch: bytes, now_ms: int) -> Later[ErrorCode]:
        topic, index = key
        partition = self._partitions.get(topic, index)
        if partition is None:
            return Later.of(self._missing(topic, index))
        try:
            appended = partition.append(batch, now_ms, Origin.COORDINATOR)
        except KafkaError as error:
            return Later.of(error.code)
        outcome: Later[ErrorCode] = Later()
        partition.when_committed(appended).then(
            lambda done: outcome.complete(
                ErrorCode.NONE if done.error is None else ErrorCode.KAFKA_STORAGE_ERROR
            )
        )
        return outcome

    def _missing(self, topic: str, index: int) -> ErrorCode:
        """Why a partition is not led here: it is offline, or about to be led, or does not exist."""
        image = self._image().topics.get(topic)
        if image is None or not 0 <= index < len(image.partitions):
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
