"""DeleteTopics (key 20): remove topics and their records.

- v1: the oldest that is served. v4: flexible. v5: error messages. v6: topics by id.

The topic is gone when the reply leaves: its name can be used again at once. Its files are renamed
to `-delete` and removed in a worker after `log.segment.delete.delay.ms`.
"""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.metadata.image import MetadataImage
from kstore.metadata.partitions import TopicResult
from kstore.runtime import Later
from kstore.wire.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)
from kstore.wire.schema import ZERO_UUID
from kstore.wire.versions import ApiKey

__all__ = ["API"]

Asked = tuple[str | None, UUID]
"""How a request names a topic: one of the two is to be given."""


def handle(
    request: DeleteTopicsRequest, context: RequestContext
) -> DeleteTopicsResponse | Later[DeleteTopicsResponse]:
    asked = _asked(request, context.api_version)
    if not context.broker.delete_topic_enable:
        # Clients before v3 don't know TOPIC_DELETION_DISABLED.
        code = (
            ErrorCode.INVALID_REQUEST
            if context.api_version < 3
            else ErrorCode.TOPIC_DELETION_DISABLED
        )
        return DeleteTopicsResponse(
            responses=[_refused(*topic, "Topic deletion is disabled.", code) for topic in asked]
        )
    keys, refused = _sort_out(asked, context.broker.image)

    def respond(results: list[TopicResult]) -> DeleteTopicsResponse:
        told = [
            _result(key, result, context.api_version)
            for key, result in zip(keys, results, strict=True)
        ]
        return DeleteTopicsResponse(responses=told + refused)

    return context.broker.remove_topics(keys).map(respond)


def _asked(request: DeleteTopicsRequest, version: int) -> list[Asked]:
    if version < 6:
        return [(name, ZERO_UUID) for name in request.topic_names]
    return [(topic.name, topic.topic_id) for topic in request.topics]


def _sort_out(
    asked: list[Asked], image: MetadataImage
) -> tuple[list[str | UUID], list[DeletableTopicResult]]:
    """The topics to delete, and answers for those that are named twice, or not properly."""
    keys: Counter[str | UUID] = Counter()
    refused = []
    for name, topic_id in asked:
        if name is None and topic_id == ZERO_UUID:
            refused.append(_refused(name, topic_id, "Neither topic name nor id were specified."))
        elif name is not None and topic_id != ZERO_UUID:
            refused.append(
                _refused(name, topic_id, "You may not specify both topic name and topic id.")
            )
        else:
            keys[topic_id if name is None else name] += 1
    single = {key for key, count in keys.items() if count == 1}
    for key in keys:
        topic = image.topics.get(key) if isinstance(key, str) else None
        if key not in single:
            if isinstance(key, str):
                refused.append(_refused(key, ZERO_UUID, "Duplicate topic name."))
            else:
                refused.append(_refused(None, key, "Duplicate topic id."))
        elif topic is not None and topic.topic_id in keys:
            single -= {key, topic.topic_id}
            message = "The provided topic name maps to an ID that was already supplied."
            refused.append(_refused(topic.name, topic.topic_id, message))
    return [key for key in keys if key in single], refused


def _result(key: str | UUID, result: TopicResult, version: int) -> DeletableTopicResult:
    told = DeletableTopicResult(name=result.name or None)
    if isinstance(key, UUID):
        told.topic_id = key
    elif result.topic is not None:
        told.topic_id = result.topic.topic_id
    if result.error is not None:
        told.error_code = result.error.code
        told.error_message = result.error.message
    if version < 6 and told.name is None:
        told.name = ""
    return told


def _refused(
    name: str | None,
    topic_id: UUID,
    message: str,
    code: ErrorCode = ErrorCode.INVALID_REQUEST,
) -> DeletableTopicResult:
    return DeletableTopicResult(
        name=name, topic_id=topic_id, error_code=code, error_message=message
    )


API = Api(ApiKey.DELETE_TOPICS, handle)
