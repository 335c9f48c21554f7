"""DescribeTopicPartitions (key 75): the partitions of topics, page by page (KIP-966).

- v0: the oldest.

Topics come in the order of their names. A reply holds as many partitions as the client wants, at
most `max.request.partition.size.limit`; where it ends, its cursor tells the next to ask for. There
are no eligible leader replicas beside those in sync. A partition whose data directory has failed
has no leader, and its replica is offline.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.authorized_operations import ALL_TOPIC_OPERATIONS
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.image import TopicImage
from kstore.metadata.names import check_topic_name, is_internal
from kstore.wire.messages.describe_topic_partitions import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    ResponseCursor,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]

NO_LEADER = -1


def handle(
    request: DescribeTopicPartitionsRequest, context: RequestContext
) -> DescribeTopicPartitionsResponse:
    topics = context.broker.image.topics
    named = {topic.name for topic in request.topics}
    names = named or set(topics)
    first = ""
    if request.cursor is not None:
        first = request.cursor.topic_name
        if request.cursor.partition_index < 0 or (named and first not in named):
            return _refused(request)
    limit = context.broker.settings["max.request.partition.size.limit"]
    left = max(min(limit, request.response_partition_limit), 1)
    response = DescribeTopicPartitionsResponse()
    for name in sorted(name for name in names if name >= first):
        if not left:
            response.next_cursor = ResponseCursor(topic_name=name, partition_index=0)
            break
        topic = topics.get(name)
        if topic is None:
            response.topics.append(_missing(name))
            continue
        start = request.cursor.partition_index if request.cursor and name == first else 0
        end = start + left
        response.topics.append(_described(topic, start, end, context))
        if end < len(topic.partitions):
            response.next_cursor = ResponseCursor(topic_name=name, partition_index=end)
            break
        left -= max(len(topic.partitions) - start, 0)
    return response


def _refused(request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse:
    """A cursor that can't be gone on from."""
    return DescribeTopicPartitionsResponse(
        topics=[
            DescribeTopicPartitionsResponseTopic(
                error_code=ErrorCode.INVALID_REQUEST, name=topic.name
            )
            for topic in request.topics
        ]
    )


def _missing(name: str) -> DescribeTopicPartitionsResponseTopic:
    code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    try:
        check_topic_name(name)
    except KafkaError as error:
        code = error.code
    return DescribeTopicPartitionsResponseTopic(
        error_code=code,
        name=name,
        is_internal=is_internal(name),
        topic_authorized_operations=ALL_TOPIC_OPERATIONS,
    )


def _described(
    topic: TopicImage, start: int, end: int, context: RequestContext
) -> DescribeTopicPartitionsResponseTopic:
    described = DescribeTopicPartitionsResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=topic.internal,
        topic_authorized_operations=ALL_TOPIC_OPERATIONS,
        partitions=[
            DescribeTopicPartitionsResponsePartition(
                partition_index=partition.index,
                leader_id=partition.leader,
                leader_epoch=partition.leader_epoch,
                replica_nodes=list(partition.replicas),
                isr_nodes=list(partition.isr),
                eligible_leader_replicas=[],
                last_known_elr=[],
            )
            for partition in topic.partitions[start:end]
        ],
    )
    for told in described.partitions:
        if context.broker.partitions.is_offline(topic.name, told.partition_index):
            told.leader_id = NO_LEADER
            told.leader_epoch += 1  # as the next leader's will be, after a start
            told.isr_nodes = []
            told.eligible_leader_replicas = told.last_known_elr = told.replica_nodes
            told.offline_replicas = told.replica_nodes
    return described


API = Api(ApiKey.DESCRIBE_TOPIC_PARTITIONS, handle)
