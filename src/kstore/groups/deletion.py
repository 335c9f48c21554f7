"""Deleting committed offsets of a group: which of them nobody in the group still reads.

Kafka's `OffsetMetadataManager.deleteOffsets` and `ClassicGroup.isSubscribedToTopic`. On the loop.
"""

from __future__ import annotations

import logging
from collections.abc import Container

from kstore.coordinator.fields import MalformedRecordError, Reader
from kstore.coordinator.records import OffsetCommitRecord
from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupState, GroupStep
from kstore.groups.offsets import Offsets
from kstore.groups.values import DeleteOffsetsRequest, DeleteOffsetsResult

__all__ = ["delete_offsets"]

logger = logging.getLogger(__name__)

_CONSUMER = "consumer"


class _EveryTopic:
    """What a group reads of which nobody knows what it reads."""

    def __contains__(self, topic: object) -> bool:
        return True


def delete_offsets(
    group: ClassicGroup | None, offsets: Offsets, request: DeleteOffsetsRequest, step: GroupStep
) -> DeleteOffsetsResult:
    """Removes what may be removed; an offset that is not there is no error."""
    if group is None:
        return DeleteOffsetsResult(error=ErrorCode.GROUP_ID_NOT_FOUND)
    if group.state is not GroupState.EMPTY and group.protocol_type != _CONSUMER:
        return DeleteOffsetsResult(error=ErrorCode.NON_EMPTY_GROUP)
    subscribed = _subscribed_topics(group)
    there = {(topic, partition) for topic, partition, _ in offsets.of(group.group_id)}
    there.update(offsets.pending_of(group.group_id))
    errors = []
    for topic, partition in request.partitions:
        if topic in subscribed:
            errors.append(ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC)
            continue
        errors.append(ErrorCode.NONE)
        if (topic, partition) in there:
            step.append(OffsetCommitRecord(group.group_id, topic, partition, None))
    return DeleteOffsetsResult(errors=tuple(errors))


def _subscribed_topics(group: ClassicGroup) -> Container[str]:
    """The topics that the members read, every one if they can't be told."""
    if group.protocol_type != _CONSUMER or not group.members:
        return ()
    if group.protocol is None:
        return _EveryTopic()
    topics: set[str] = set()
    try:
        for member in group.members.values():
            topics.update(_topics(member.metadata(group.protocol)))
    except MalformedRecordError as error:
        logger.warning("Group %s: a subscription can't be read: %s", group.group_id, error)
        return _EveryTopic()
    return topics


def _topics(subscription: bytes) -> list[str]:
    """The topics of a ConsumerProtocolSubscription: all its versions begin with them."""
    reader = Reader(subscription)
    if reader.int16() < 0:
        raise MalformedRecordError("the version of a subscription is negative")
    return [reader.string() for _ in range(reader.count(2))]
