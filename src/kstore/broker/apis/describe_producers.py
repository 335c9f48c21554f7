"""DescribeProducers (key 61): the idempotent producers that partitions remember (KIP-664).

- v0, the only one.

Left out: quotas (throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.names import check_topic_name
from kstore.wire.messages.describe_producers import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicRequest,
    TopicResponse,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: DescribeProducersRequest, context: RequestContext) -> DescribeProducersResponse:
    return DescribeProducersResponse(topics=[_topic(topic, context) for topic in request.topics])


def _topic(topic: TopicRequest, context: RequestContext) -> TopicResponse:
    try:
        check_topic_name(topic.name)
        if topic.name not in context.broker.image.topics:
            raise KafkaError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                "This server does not host this topic-partition.",
            )
    except KafkaError as error:
        partitions = [
            PartitionResponse(
                partition_index=index, error_code=error.code, error_message=error.message
            )
            for index in topic.partition_indexes
        ]
    else:
        partitions = [_partition(topic.name, index, context) for index in topic.partition_indexes]
    return TopicResponse(name=topic.name, partitions=partitions)


def _partition(topic: str, index: int, context: RequestContext) -> PartitionResponse:
    answer = PartitionResponse(partition_index=index)
    try:
        log = context.broker.partitions.find(topic, index).log
        log.check_usable()
    except KafkaError as error:
        answer.error_code = error.code
    else:
        answer.active_producers = [
            ProducerState(
                producer_id=entry.producer_id,
                producer_epoch=entry.epoch,
                last_sequence=entry.last_sequence,
                last_timestamp=entry.timestamp_ms,
                coordinator_epoch=entry.coordinator_epoch,
                current_txn_start_offset=entry.transaction_first_offset,
            )
            for entry in log.producers.active()
        ]
    return answer


API = Api(ApiKey.DESCRIBE_PRODUCERS, handle)
