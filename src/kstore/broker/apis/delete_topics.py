"""DeleteTopics (key 20): remove topics and their records.

- v1: the oldest that is served. v4: flexible. v5: error messages. v6: topics by id.

The topic is gone when the reply leaves: its name can be used again at once. Its files are renamed
to `-delete` and removed in a worker after `file.delete.delay.ms`.
"""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.metadata.topics import TopicResult
from kstore.runtime import Later
from kstore.wire.messages.delete_topics import (
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)
from kstore.wire.schema import ZERO_UUID
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: DeleteTopicsRequest, context: RequestContext
) -> DeleteTopicsResponse | Later[DeleteTopicsResponse]:
    keys = _keys(request, context)
    if not context.broker.delete_topic_enable:
        # Clients before v3 don't know TOPIC_DELETION_DISABLED.
        code = (
            ErrorCode.INVALID_REQUEST
            if context.api_version < 3
            else ErrorCode.TOPIC_DELETION_DISABLED
        )
        return DeleteTopicsResponse(
            responses=[_refused(key, code, "Topic deletion is disabled.") for key in keys]
        )
    counts = Counter(keys)
    single = [key for key in keys if counts[key] == 1 and key is not None]
    refused = [
        _refused(key, ErrorCode.INVALID_REQUEST, "Duplicate or missing topic name or id.")
        for key in counts
        if counts[key] > 1 or key is None
    ]

    def respond(results: list[TopicResult]) -> DeleteTopicsResponse:
        told = [
            _result(key, result, context.api_version)
            for key, result in zip(single, results, strict=True)
        ]
        return DeleteTopicsResponse(responses=told + refused)

    return context.broker.remove_topics(single).map(respond)


def _keys(request: DeleteTopicsRequest, context: RequestContext) -> list[str | UUID | None]:
    """Each topic as the client names it; None where it has neither name nor id, or both."""
    if context.api_version < 6:
        return list(request.topic_names)
    return [
        topic.name
        if topic.topic_id == ZERO_UUID
        else (topic.topic_id if topic.name is None else None)
        for topic in request.topics
    ]


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


def _refused(key: str | UUID | None, code: ErrorCode, message: str) -> DeletableTopicResult:
    told = DeletableTopicResult(name="", error_code=code, error_message=message)
    if isinstance(key, UUID):
        told.topic_id = key
        told.name = None
    elif key is not None:
        told.name = key
    return told


API = Api(ApiKey.DELETE_TOPICS, handle)
