"""DeleteRecords (key 21): move the start of partitions, so that the records before it are gone.

- v0-2; v1: throttle time. v2: flexible.

The start moves at once for readers. The reply leaves when files that lie wholly below it are
removed and the new start is on disk: it survives a kill. (Kafka removes files minutes later and
writes the start every minute; a kill in between brings records back.) What can't be written down is
answered KAFKA_STORAGE_ERROR, which makes clients try again. Left out: quotas (throttle time is 0)
and authorization, until there are users; the timeout, as there are no followers to wait for.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.broker.partition import Partition
from kstore.errors import ErrorCode, KafkaError
from kstore.log.log import Log
from kstore.runtime import Later
from kstore.wire.messages.delete_records import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

NO_LOW_WATERMARK = -1


def handle(
    request: DeleteRecordsRequest, context: RequestContext
) -> DeleteRecordsResponse | Later[DeleteRecordsResponse]:
    moved: list[tuple[Partition, DeleteRecordsPartitionResult]] = []
    response = DeleteRecordsResponse(
        topics=[
            DeleteRecordsTopicResult(
                name=topic.name,
                partitions=[
                    _move_start(topic.name, wanted, context, moved) for wanted in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
    if not moved:
        return response

    def kept(failed: set[Log]) -> DeleteRecordsResponse:
        for partition, result in moved:
            if partition.log in failed:
                _fail(result, ErrorCode.KAFKA_STORAGE_ERROR)
        return response

    return context.broker.keep_starts([partition for partition, _ in moved]).map(kept)


def _move_start(
    topic: str,
    wanted: DeleteRecordsPartition,
    context: RequestContext,
    moved: list[tuple[Partition, DeleteRecordsPartitionResult]],
) -> DeleteRecordsPartitionResult:
    result = DeleteRecordsPartitionResult(partition_index=wanted.partition_index)
    try:
        partition = context.broker.partitions.find(topic, wanted.partition_index)
        image = context.broker.image.topics.get(topic)
        if image is not None and image.internal:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION)
        result.low_watermark = partition.delete_records(wanted.offset)
    except KafkaError as error:
        return _fail(result, error.code)
    moved.append((partition, result))
    return result


def _fail(result: DeleteRecordsPartitionResult, code: ErrorCode) -> DeleteRecordsPartitionResult:
    result.low_watermark = NO_LOW_WATERMARK
    result.error_code = code
    return result


API = Api(ApiKey.DELETE_RECORDS, handle)
