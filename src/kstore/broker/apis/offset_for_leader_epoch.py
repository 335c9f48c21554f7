"""OffsetForLeaderEpoch (key 23): where an epoch of a partition ends.

- v2: the oldest that is served. v3: the replica's id. v4: flexible.

A consumer asks after a change of leader, to see whether the log it read was truncated.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import KafkaError
from kstore.wire.messages.offset_for_leader_epoch import (
    EpochEndOffset,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: OffsetForLeaderEpochRequest, context: RequestContext
) -> OffsetForLeaderEpochResponse:
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic,
                partitions=[_end(topic.topic, wanted, context) for wanted in topic.partitions],
            )
            for topic in request.topics
        ]
    )


def _end(topic: str, wanted: OffsetForLeaderPartition, context: RequestContext) -> EpochEndOffset:
    result = EpochEndOffset(partition=wanted.partition)
    try:
        partition = context.broker.partitions.find(topic, wanted.partition)
        partition.check_leader_epoch(wanted.current_leader_epoch)
        epoch, end_offset = partition.log.end_offset_for_epoch(wanted.leader_epoch)
    except KafkaError as error:
        result.error_code = error.code
    else:
        result.leader_epoch = epoch
        result.end_offset = end_offset
    return result


API = Api(ApiKey.OFFSET_FOR_LEADER_EPOCH, handle)
