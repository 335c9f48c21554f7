"""CreatePartitions (key 37): more partitions for topics that are there.

- v0: the oldest. v1: nothing new. v2: flexible. v3: THROTTLING_QUOTA_EXCEEDED may be answered.

All that are good are made in one transaction of the tree; their directories are made in a worker,
and the reply waits for both, so the new partitions can be written to at once.
"""

from __future__ import annotations

from collections import Counter

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.partitions import MorePartitions, TopicResult
from kstore.runtime import Later
from kstore.wire.messages.create_partitions import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: CreatePartitionsRequest, context: RequestContext
) -> Later[CreatePartitionsResponse]:
    counts = Counter(topic.name for topic in request.topics)
    refused = [
        _told(name, KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name."))
        for name, count in counts.items()
        if count > 1
    ]
    wanted = [_wanted(topic) for topic in request.topics if counts[topic.name] == 1]

    def respond(results: list[TopicResult]) -> CreatePartitionsResponse:
        made = [_told(result.name, result.error) for result in results]
        return CreatePartitionsResponse(results=refused + made)

    return context.broker.add_partitions(wanted, validate_only=request.validate_only).map(respond)


def _wanted(topic: CreatePartitionsTopic) -> MorePartitions:
    assignments = topic.assignments
    return MorePartitions(
        topic.name,
        topic.count,
        None if assignments is None else [tuple(one.broker_ids) for one in assignments],
    )


def _told(name: str, error: KafkaError | None) -> CreatePartitionsTopicResult:
    if error is None:
        return CreatePartitionsTopicResult(name=name)
    return CreatePartitionsTopicResult(
        name=name, error_code=error.code, error_message=error.message
    )


API = Api(ApiKey.CREATE_PARTITIONS, handle)
