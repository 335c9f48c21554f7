"""WriteTxnMarkers (key 27): end transactions in partitions of this broker.

- v1: the oldest that is served, flexible. v2: the transaction version, from which follows how a
  marker's epoch compares to that of the records (KIP-1228).

Sent by the transaction coordinators of other brokers; our own writes without it. A marker that was
written before may be written again. A partition that is offline is answered KAFKA_STORAGE_ERROR,
and not, as Kafka does, that it is unknown. Left out: authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.coordinator.transaction_records import TopicPartition
from kstore.errors import ErrorCode
from kstore.runtime import Later
from kstore.wire.messages.write_txn_markers import (
    WritableTxnMarker,
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: WriteTxnMarkersRequest, context: RequestContext
) -> Later[WriteTxnMarkersResponse]:
    written = [_write(marker, context) for marker in request.markers]

    def respond(done: list[Later[dict[TopicPartition, ErrorCode]]]) -> WriteTxnMarkersResponse:
        by_producer: dict[int, dict[TopicPartition, ErrorCode]] = {}
        for marker, codes in zip(request.markers, done, strict=True):
            by_producer.setdefault(marker.producer_id, {}).update(codes.result())
        return WriteTxnMarkersResponse(
            markers=[
                WritableTxnMarkerResult(producer_id=producer_id, topics=_topics(codes))
                for producer_id, codes in by_producer.items()
                if codes
            ]
        )

    return Later.all(written).map(respond)


def _write(
    marker: WritableTxnMarker, context: RequestContext
) -> Later[dict[TopicPartition, ErrorCode]]:
    return context.broker.markers.write(
        marker.producer_id,
        marker.producer_epoch,
        marker.coordinator_epoch,
        marker.transaction_result,
        marker.transaction_version,
        [(topic.name, index) for topic in marker.topics for index in topic.partition_indexes],
    )


def _topics(codes: dict[TopicPartition, ErrorCode]) -> list[WritableTxnMarkerTopicResult]:
    topics: dict[str, WritableTxnMarkerTopicResult] = {}
    for (name, index), code in codes.items():
        result = topics.setdefault(name, WritableTxnMarkerTopicResult(name=name))
        result.partitions.append(
            WritableTxnMarkerPartitionResult(partition_index=index, error_code=code)
        )
    return list(topics.values())


API = Api(ApiKey.WRITE_TXN_MARKERS, handle)
