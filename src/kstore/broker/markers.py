"""Transaction markers on their way into the partitions that this broker leads.

The transaction coordinator and the WriteTxnMarkers API both write through here. A marker for
`__consumer_offsets` goes through the group coordinator, which has offsets to commit or to drop with
it. Thread: the loop. Source: Kafka's KafkaApis.handleWriteTxnMarkersRequest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from kstore.broker.coordination import OFFSETS_TOPIC
from kstore.broker.partitions import Partitions
from kstore.coordinator.transaction_records import TopicPartition
from kstore.errors import ErrorCode, KafkaError
from kstore.groups.coordinator import GroupCoordinator
from kstore.log.records import ControlType, EndTransactionMarker
from kstore.metadata.image import MetadataImage
from kstore.runtime import Later, Runtime

__all__ = ["PartitionMarkers"]


class PartitionMarkers:
    """Ends transactions in partitions; the `Markers` of the transaction coordinator."""

    def __init__(
        self,
        runtime: Runtime,
        partitions: Partitions,
        image: Callable[[], MetadataImage],
        groups: GroupCoordinator,
    ) -> None:
        self._runtime = runtime
        self._partitions = partitions
        self._image = image
        self._groups = groups

    def write(
        self,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        commit: bool,
        transaction_version: int,
        partitions: Collection[TopicPartition],
    ) -> Later[dict[TopicPartition, ErrorCode]]:
        """Writes a producer's marker to each of `partitions`; done when all are committed.

        Never fails: there is a code for each. UNKNOWN_TOPIC_OR_PARTITION is one that the cluster
        does not have; INVALID_PRODUCER_EPOCH and TRANSACTION_COORDINATOR_FENCED say that the marker
        comes too late. After any other error the marker may be written again.
        """
        kind = ControlType.COMMIT if commit else ControlType.ABORT
        marker = EndTransactionMarker(kind, coordinator_epoch)
        keys = list(partitions)
        written = [
            self._write(key, marker, producer_id, producer_epoch, transaction_version)
            for key in keys
        ]
        return Later.all(written).map(
            lambda done: {key: one.result() for key, one in zip(keys, done, strict=True)}
        )

    def _write(
        self,
        key: TopicPartition,
        marker: EndTransactionMarker,
        producer_id: int,
        producer_epoch: int,
        transaction_version: int,
    ) -> Later[ErrorCode]:
        topic, index = key
        if topic == OFFSETS_TOPIC:
            return self._groups.complete_transaction(
                index, marker, producer_id, producer_epoch, transaction_version
            ).map(_not_ready)
        partition = self._partitions.get(topic, index)
        if partition is None:
            return Later.of(self._missing(topic, index))
        try:
            appended = partition.append_marker(
                marker, producer_id, producer_epoch, transaction_version, self._runtime.time_ms()
            )
        except KafkaError as error:
            return Later.of(error.code)
        outcome: Later[ErrorCode] = Later()
        partition.when_committed(appended).then(lambda done: outcome.complete(_code(done.error)))
        return outcome

    def _missing(self, topic: str, index: int) -> ErrorCode:
        """Why a partition is not led here: it is offline, or about to be led, or does not exist."""
        if self._partitions.is_offline(topic, index):
            return ErrorCode.KAFKA_STORAGE_ERROR
        image = self._image().topics.get(topic)
        if image is None or not 0 <= index < len(image.partitions):
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        return ErrorCode.NOT_LEADER_OR_FOLLOWER


def _code(error: BaseException | None) -> ErrorCode:
    if error is None:
        return ErrorCode.NONE
    return error.code if isinstance(error, KafkaError) else ErrorCode.UNKNOWN_SERVER_ERROR


def _not_ready(code: ErrorCode) -> ErrorCode:
    """A transaction coordinator does not expect to be told of another coordinator."""
    if code in (
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.NOT_COORDINATOR,
    ):
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
    return code
