"""OffsetFetch (key 9): where a group has got to.

- v1: the oldest that is served; no error of the group, so every partition gets it. v2: an error of
  the group; null asks for all topics. v3: throttle time. v5: the leader epoch. v6: flexible.
  v7: `require_stable`. v8: several groups. v9: the groups of KIP-848. v10: topics by id.

Partitions without a committed offset get -1 and no error, also if the topic does not exist.
`require_stable` waits for commits that are being stored, and is answered UNSTABLE_OFFSET_COMMIT for
partitions of which an open transaction may have an offset committed.

Left out: quotas (throttle time is 0) and authorization, until there are users; member epochs of
KIP-848.
"""

from __future__ import annotations

from kstore.broker.api import Api
from kstore.broker.context import RequestContext
from kstore.errors import ErrorCode
from kstore.groups.values import FetchRequest, FetchResult, FetchTopic
from kstore.runtime import Later
from kstore.wire.messages.offset_fetch import (
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from kstore.wire.schema import ZERO_UUID
from kstore.wire.versions import ApiKey

__all__ = ["API"]


def handle(request: OffsetFetchRequest, context: RequestContext) -> Later[OffsetFetchResponse]:
    if context.api_version >= 8:
        answers = [_fetch(group, request.require_stable, context) for group in request.groups]
        return Later.all(answers).map(
            lambda done: OffsetFetchResponse(groups=[answer.result() for answer in done])
        )
    topics = None
    if request.topics is not None:
        topics = [
            OffsetFetchRequestTopics(name=topic.name, partition_indexes=topic.partition_indexes)
            for topic in request.topics
        ]
    alone = OffsetFetchRequestGroup(group_id=request.group_id, topics=topics)
    return _fetch(alone, request.require_stable, context).map(
        lambda answer: _response_for_one(answer, alone, context.api_version)
    )


def _fetch(
    wanted: OffsetFetchRequestGroup, require_stable: bool, context: RequestContext
) -> Later[OffsetFetchResponseGroup]:
    by_id = context.api_version >= 10
    topics: tuple[FetchTopic, ...] | None = None
    unknown: list[OffsetFetchResponseTopics] = []
    if wanted.topics is not None:
        known = []
        for topic in wanted.topics:
            name: str | None = topic.name
            if by_id:
                image = context.broker.image.topic_ids.get(topic.topic_id)
                name = None if image is None else image.name
            if name is None:
                unknown.append(_failed(topic, ErrorCode.UNKNOWN_TOPIC_ID))
            else:
                known.append(FetchTopic(name, tuple(topic.partition_indexes), topic.topic_id))
        topics = tuple(known)
    fetch = FetchRequest(wanted.group_id, topics, require_stable)
    return context.broker.groups.fetch_offsets(fetch).map(
        lambda result: _group(wanted.group_id, result, unknown, context)
    )


def _group(
    group_id: str,
    result: FetchResult,
    unknown: list[OffsetFetchResponseTopics],
    context: RequestContext,
) -> OffsetFetchResponseGroup:
    answer = OffsetFetchResponseGroup(group_id=group_id, error_code=result.error)
    if result.error is not ErrorCode.NONE:
        return answer
    for topic in result.topics:
        topic_id = topic.topic_id
        if context.api_version >= 10 and topic_id == ZERO_UUID:
            image = context.broker.image.topics.get(topic.topic)
            if image is None:
                continue  # of a topic that is gone, and this version can't name it
            topic_id = image.topic_id
        answer.topics.append(
            OffsetFetchResponseTopics(
                name=topic.topic,
                topic_id=topic_id,
                partitions=[
                    OffsetFetchResponsePartitions(
                        partition_index=offset.partition,
                        committed_offset=offset.offset,
                        committed_leader_epoch=offset.leader_epoch,
                        metadata=offset.metadata,
                        error_code=offset.error,
                    )
                    for offset in topic.offsets
                ],
            )
        )
    answer.topics.extend(unknown)
    return answer


def _failed(topic: OffsetFetchRequestTopics, error: ErrorCode) -> OffsetFetchResponseTopics:
    return OffsetFetchResponseTopics(
        name=topic.name,
        topic_id=topic.topic_id,
        partitions=[
            OffsetFetchResponsePartitions(
                partition_index=index, committed_offset=-1, metadata="", error_code=error
            )
            for index in topic.partition_indexes
        ],
    )


def _response_for_one(
    answer: OffsetFetchResponseGroup, wanted: OffsetFetchRequestGroup, version: int
) -> OffsetFetchResponse:
    """The shape of v1 to v7."""
    topics = answer.topics
    if version < 2 and answer.error_code != ErrorCode.NONE:
        error = ErrorCode(answer.error_code)
        topics = [_failed(topic, error) for topic in wanted.topics or ()]
    return OffsetFetchResponse(
        error_code=answer.error_code,
        topics=[
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartition(
                        partition_index=offset.partition_index,
                        committed_offset=offset.committed_offset,
                        committed_leader_epoch=offset.committed_leader_epoch,
                        metadata=offset.metadata,
                        error_code=offset.error_code,
                    )
                    for offset in topic.partitions
                ],
            )
            for topic in topics
        ],
    )


API = Api(ApiKey.OFFSET_FETCH, handle, overlaps=True)
