"""OffsetDelete (key 47): make a group forget offsets that it has committed.

- v0, the only one (KIP-496).

Partitions that don't exist get UNKNOWN_TOPIC_OR_PARTITION, those of a topic that a member of the
group reads GROUP_SUBSCRIBED_TO_TOPIC; the others are deleted all the same. Left out: quotas
(throttle time is 0) and authorization, until there are users.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.groups.values import DeleteOffsetsRequest, DeleteOffsetsResult
from kstore.metadata.image import MetadataImage
from kstore.runtime import Later
from kstore.wire.messages.offset_delete import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: OffsetDeleteRequest, context: RequestContext) -> Later[OffsetDeleteResponse]:
    response = OffsetDeleteResponse()
    pending: list[OffsetDeleteResponsePartition] = []
    existing: list[tuple[str, int]] = []
    for topic in request.topics:
        told = OffsetDeleteResponseTopic(name=topic.name)
        response.topics.append(told)
        for wanted in topic.partitions:
            answer = OffsetDeleteResponsePartition(partition_index=wanted.partition_index)
            told.partitions.append(answer)
            if _exists(topic.name, wanted.partition_index, context.broker.image):
                pending.append(answer)
                existing.append((topic.name, wanted.partition_index))
            else:
                answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    def deleted(result: DeleteOffsetsResult) -> OffsetDeleteResponse:
        if result.error is not ErrorCode.NONE:
            return OffsetDeleteResponse(error_code=result.error)
        for answer, error in zip(pending, result.errors, strict=True):
            answer.error_code = error
        return response

    deletion = DeleteOffsetsRequest(request.group_id, tuple(existing))
    return context.broker.groups.delete_offsets(deletion).map(deleted)


def _exists(topic: str, partition: int, image: MetadataImage) -> bool:
    found = image.topics.get(topic)
    return found is not None and 0 <= partition < len(found.partitions)


API = Api(ApiKey.OFFSET_DELETE, handle)
