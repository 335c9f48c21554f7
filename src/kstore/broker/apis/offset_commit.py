"""OffsetCommit (key 8): where a group has got to, kept in `__consumer_offsets`.

- v2: the oldest that is served; a retention time of the client's own, until v4. v3: throttle time.
  v6: the leader epoch of the last record. v7: group.instance.id. v8: flexible. v9: the groups of
  KIP-848; GROUP_ID_NOT_FOUND may be answered. v10: topics by id.

Offsets of partitions that don't exist get UNKNOWN_TOPIC_OR_PARTITION (by id: UNKNOWN_TOPIC_ID), the
others are committed all the same.

Left out: quotas (throttle time is 0) and authorization, until there are users; member epochs of
KIP-848.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.groups.values import CommitRequest, CommitResult, OffsetToCommit
from kstore.metadata.image import TopicImage
from kstore.runtime import Later
from kstore.wire.messages.offset_commit import (
    OffsetCommitRequest,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(
    request: OffsetCommitRequest, context: RequestContext
) -> OffsetCommitResponse | Later[OffsetCommitResponse]:
    response = OffsetCommitResponse()
    offsets: list[OffsetToCommit] = []
    pending: list[OffsetCommitResponsePartition] = []
    for topic in request.topics:
        partitions: list[OffsetCommitResponsePartition] = []
        response.topics.append(
            OffsetCommitResponseTopic(
                name=topic.name, topic_id=topic.topic_id, partitions=partitions
            )
        )
        image, unknown = _find(topic, context)
        for wanted in topic.partitions:
            answer = OffsetCommitResponsePartition(partition_index=wanted.partition_index)
            partitions.append(answer)
            if image is None or not 0 <= wanted.partition_index < len(image.partitions):
                answer.error_code = unknown
                continue
            pending.append(answer)
            offsets.append(
                OffsetToCommit(
                    topic=image.name,
                    partition=wanted.partition_index,
                    offset=wanted.committed_offset,
                    leader_epoch=wanted.committed_leader_epoch,
                    metadata=wanted.committed_metadata or "",
                    topic_id=image.topic_id,
                )
            )
    if not offsets:
        return response
    commit = CommitRequest(
        group_id=request.group_id,
        offsets=tuple(offsets),
        member_id=request.member_id,
        generation=request.generation_id_or_member_epoch,
        instance_id=request.group_instance_id,
        retention_ms=request.retention_time_ms,
        knows_group_id_not_found=context.api_version >= 9,
    )

    def committed(result: CommitResult) -> OffsetCommitResponse:
        for answer, error in zip(pending, result.errors, strict=True):
            answer.error_code = error
        return response

    return context.broker.groups.commit_offsets(commit).map(committed)


def _find(
    topic: OffsetCommitRequestTopic, context: RequestContext
) -> tuple[TopicImage | None, ErrorCode]:
    """The topic, and the error of partitions that it has not."""
    image = context.broker.image
    if context.api_version < 10:
        return image.topics.get(topic.name), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    found = image.topic_ids.get(topic.topic_id)
    if found is None:
        return None, ErrorCode.UNKNOWN_TOPIC_ID
    return found, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


API = Api(ApiKey.OFFSET_COMMIT, handle, overlaps=True)
