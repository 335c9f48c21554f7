"""Committed offsets: what is stored of them, and who may commit.

Kafka's `OffsetMetadataManager`. `Offsets` changes by replay only; a commit of a group that does
not exist, by no member, makes it exist (a "simple" group). Transactional commits come with
transactions. On the loop only.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator

from kstore.configs import GroupConfig
from kstore.coordinator.records import NO_UUID, OffsetCommit, OffsetCommitRecord
from kstore.coordinator.runtime import Waiter
from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupState, GroupStep
from kstore.groups.values import (
    CommitRequest,
    CommitResult,
    FetchedOffset,
    FetchedTopic,
    FetchRequest,
    FetchResult,
    FetchTopic,
)

__all__ = ["Offsets", "commit"]

logger = logging.getLogger(__name__)

_NOTHING: dict[str, dict[int, OffsetCommit]] = {}


class Offsets:
    """The committed offsets of the groups of one partition."""

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, dict[int, OffsetCommit]]] = {}

    def replay(self, record: OffsetCommitRecord) -> None:
        """Applies a stored record; no value removes the offset, and what becomes empty with it."""
        if record.value is not None:
            topics = self._groups.setdefault(record.group_id, {})
            topics.setdefault(record.topic, {})[record.partition] = record.value
            return
        topics = self._groups.get(record.group_id, _NOTHING)
        partitions = topics.get(record.topic)
        if partitions is None:
            return
        partitions.pop(record.partition, None)
        if not partitions:
            del topics[record.topic]
        if not topics:
            del self._groups[record.group_id]

    def of(self, group_id: str) -> Iterator[tuple[str, int, OffsetCommit]]:
        """Topic, partition and offset of all that `group_id` has committed."""
        for topic, partitions in self._groups.get(group_id, _NOTHING).items():
            for partition, offset in partitions.items():
                yield topic, partition, offset

    def removals(
        self, group_id: str, topic: str | None = None, topic_id: uuid.UUID = NO_UUID
    ) -> list[OffsetCommitRecord]:
        """Records that remove the group's offsets: all, or those of a deleted topic.

        An offset that was committed to another topic of that name stays.
        """
        return [
            OffsetCommitRecord(group_id, name, partition, None)
            for name, partition, offset in self.of(group_id)
            if topic is None or (name == topic and _same_topic(offset.topic_id, topic_id))
        ]

    def groups_with(self, topic: str) -> list[str]:
        """The groups that have committed offsets of `topic`."""
        return [group_id for group_id, topics in self._groups.items() if topic in topics]

    def topics(self) -> set[str]:
        """The topics of which some group has committed offsets."""
        return {topic for topics in self._groups.values() for topic in topics}

    def fetch(self, request: FetchRequest) -> FetchResult:
        """What is committed of what is asked for."""
        topics = self._groups.get(request.group_id, _NOTHING)
        if request.topics is None:
            return FetchResult(
                topics=tuple(
                    FetchedTopic(
                        topic,
                        NO_UUID,
                        tuple(_fetched(index, offset) for index, offset in partitions.items()),
                    )
                    for topic, partitions in topics.items()
                )
            )
        return FetchResult(
            topics=tuple(
                _fetch_topic(wanted, topics.get(wanted.topic)) for wanted in request.topics
            )
        )


def _fetch_topic(wanted: FetchTopic, committed: dict[int, OffsetCommit] | None) -> FetchedTopic:
    offsets = []
    for partition in wanted.partitions:
        offset = None if committed is None else committed.get(partition)
        if offset is None or not _same_topic(offset.topic_id, wanted.topic_id):
            offsets.append(FetchedOffset(partition))
        else:
            offsets.append(_fetched(partition, offset))
    return FetchedTopic(wanted.topic, wanted.topic_id, tuple(offsets))


def _same_topic(one: uuid.UUID, other: uuid.UUID) -> bool:
    """A topic that was deleted and made again is another one, if both ids are known."""
    return one == other or NO_UUID in (one, other)


def _fetched(partition: int, offset: OffsetCommit) -> FetchedOffset:
    return FetchedOffset(partition, offset.offset, offset.leader_epoch, offset.metadata)


def commit(
    group: ClassicGroup | None,
    config: GroupConfig,
    request: CommitRequest,
    waiter: Waiter[CommitResult],
    step: GroupStep,
) -> None:
    """Stores the offsets if the request comes from whom it may come."""
    error = _commit_error(group, request)
    if error is not ErrorCode.NONE:
        step.reply(waiter, CommitResult((error,) * len(request.offsets)))
        return
    if group is None:
        logger.info("Group %s: created by a commit without members", request.group_id)
    elif group.state in (GroupState.STABLE, GroupState.PREPARING_REBALANCE):
        group.expect_heartbeat(group.members[request.member_id], step)
    expire_ms = -1 if request.retention_ms == -1 else step.time_ms + request.retention_ms
    errors = []
    for offset in request.offsets:
        if _java_length(offset.metadata) > config.offset_metadata_max_bytes:
            errors.append(ErrorCode.OFFSET_METADATA_TOO_LARGE)
            continue
        errors.append(ErrorCode.NONE)
        value = OffsetCommit(
            offset.offset,
            offset.leader_epoch,
            offset.metadata,
            step.time_ms,
            expire_ms,
            offset.topic_id,
        )
        step.append(OffsetCommitRecord(request.group_id, offset.topic, offset.partition, value))
    step.reply(waiter, CommitResult(tuple(errors)))


def _commit_error(group: ClassicGroup | None, request: CommitRequest) -> ErrorCode:
    if group is None:
        if request.generation < 0:
            return ErrorCode.NONE
        if request.knows_group_id_not_found:
            return ErrorCode.GROUP_ID_NOT_FOUND
        return ErrorCode.ILLEGAL_GENERATION
    if request.generation < 0 and group.state is GroupState.EMPTY:
        return ErrorCode.NONE
    if request.generation < 0 and not request.member_id and request.instance_id is None:
        return ErrorCode.UNKNOWN_MEMBER_ID  # nobody in particular, but the group has members
    error = group.member_error(request.member_id, request.instance_id, "offset-commit")
    if error is not ErrorCode.NONE:
        return error
    if request.generation != group.generation:
        return ErrorCode.ILLEGAL_GENERATION
    if group.state is GroupState.COMPLETING_REBALANCE:
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE


def _java_length(text: str) -> int:
    """UTF-16 code units: what Kafka counts against `offset.metadata.max.bytes`."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
