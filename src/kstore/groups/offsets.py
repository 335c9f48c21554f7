"""Committed offsets: what is stored of them, and who may commit.

Kafka's `OffsetMetadataManager`. `Offsets` changes by replay only; a commit of a group that does
not exist, by no member, makes it exist (a "simple" group). An offset that is committed in a
transaction is pending until the marker. On the loop only.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from typing import TypeAlias

from kstore.configs import GroupConfig
from kstore.coordinator.pending import Pending
from kstore.coordinator.records import (
    NO_UUID,
    OffsetCommit,
    OffsetCommitRecord,
    PendingOffsetRecord,
)
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

_KEPT_ALIVE = (GroupState.STABLE, GroupState.PREPARING_REBALANCE)
_NOTHING: dict[str, dict[int, OffsetCommit]] = {}

Key: TypeAlias = tuple[str, str, int]
"""Group id, topic, partition."""


class Offsets:
    """The committed offsets of the groups of one partition, and the pending ones."""

    __slots__ = ("_groups", "_pending")

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, dict[int, OffsetCommit]]] = {}
        self._pending: Pending[Key, OffsetCommit] = Pending()

    def replay(self, record: OffsetCommitRecord) -> None:
        """Applies a stored record; no value removes the offset, and what becomes empty with it."""
        key = (record.group_id, record.topic, record.partition)
        if record.value is not None:
            self._pending.supersede(key)
            self._store(key, record.value)
            return
        self._pending.forget(key)
        topics = self._groups.get(record.group_id, _NOTHING)
        partitions = topics.get(record.topic)
        if partitions is None:
            return
        partitions.pop(record.partition, None)
        if not partitions:
            del topics[record.topic]
        if not topics:
            del self._groups[record.group_id]

    def replay_pending(self, record: PendingOffsetRecord) -> None:
        """Applies a stored record of an open transaction."""
        commit = record.commit
        key = (commit.group_id, commit.topic, commit.partition)
        self._pending.add(record.producer_id, key, commit.value)

    def end_transaction(self, producer_id: int, *, commit: bool) -> None:
        """Applies a stored marker: what was pending of the producer is committed, or dropped."""
        for key, value in self._pending.end(producer_id, commit=commit):
            self._store(key, value)

    def _store(self, key: Key, value: OffsetCommit) -> None:
        group_id, topic, partition = key
        topics = self._groups.setdefault(group_id, {})
        topics.setdefault(topic, {})[partition] = value

    def pending_of(self, group_id: str) -> list[tuple[str, int]]:
        """Topic and partition of the offsets of `group_id` that are pending."""
        return [(topic, index) for owner, topic, index in self._pending if owner == group_id]

    def of(self, group_id: str) -> Iterator[tuple[str, int, OffsetCommit]]:
        """Topic, partition and offset of all that `group_id` has committed."""
        for topic, partitions in self._groups.get(group_id, _NOTHING).items():
            for partition, offset in partitions.items():
                yield topic, partition, offset

    def removals(
        self, group_id: str, topic: str | None = None, topic_id: uuid.UUID = NO_UUID
    ) -> list[OffsetCommitRecord]:
        """Records that remove the group's offsets, also pending: all, or those of a deleted topic.

        An offset that was committed to another topic of that name stays.
        """
        committed = (
            (name, partition)
            for name, partition, offset in self.of(group_id)
            if topic is None or (name == topic and _same_topic(offset.topic_id, topic_id))
        )
        pending = (one for one in self.pending_of(group_id) if topic in (None, one[0]))
        return [
            OffsetCommitRecord(group_id, name, partition, None)
            for name, partition in dict.fromkeys((*committed, *pending))
        ]

    def groups_with(self, topic: str) -> list[str]:
        """The groups that have committed offsets of `topic`, or have them pending."""
        groups = [group_id for group_id, topics in self._groups.items() if topic in topics]
        pending = (group_id for group_id, name, _ in self._pending if name == topic)
        return list(dict.fromkeys((*groups, *pending)))

    def topics(self) -> set[str]:
        """The topics of which some group has committed offsets."""
        committed = {topic for topics in self._groups.values() for topic in topics}
        return committed | {topic for _, topic, _ in self._pending}

    def fetch(self, request: FetchRequest) -> FetchResult:
        """What is committed of what is asked for."""
        group_id = request.group_id
        topics = self._groups.get(group_id, _NOTHING)
        pending = self.pending_of(group_id) if request.require_stable else ()
        unstable = frozenset(pending)
        if request.topics is None:
            return FetchResult(
                topics=tuple(
                    FetchedTopic(
                        topic,
                        NO_UUID,
                        tuple(
                            _unstable(index)
                            if (topic, index) in unstable
                            else _fetched(index, offset)
                            for index, offset in partitions.items()
                        ),
                    )
                    for topic, partitions in topics.items()
                )
            )
        return FetchResult(
            topics=tuple(
                _fetch_topic(wanted, topics.get(wanted.topic), unstable)
                for wanted in request.topics
            )
        )


def _fetch_topic(
    wanted: FetchTopic,
    committed: dict[int, OffsetCommit] | None,
    unstable: frozenset[tuple[str, int]],
) -> FetchedTopic:
    offsets = []
    for partition in wanted.partitions:
        offset = None if committed is None else committed.get(partition)
        if (wanted.topic, partition) in unstable:
            offsets.append(_unstable(partition))
        elif offset is None or not _same_topic(offset.topic_id, wanted.topic_id):
            offsets.append(FetchedOffset(partition))
        else:
            offsets.append(_fetched(partition, offset))
    return FetchedTopic(wanted.topic, wanted.topic_id, tuple(offsets))


def _same_topic(one: uuid.UUID, other: uuid.UUID) -> bool:
    """A topic that was deleted and made again is another one, if both ids are known."""
    return one == other or NO_UUID in (one, other)


def _fetched(partition: int, offset: OffsetCommit) -> FetchedOffset:
    return FetchedOffset(partition, offset.offset, offset.leader_epoch, offset.metadata)


def _unstable(partition: int) -> FetchedOffset:
    return FetchedOffset(partition, error=ErrorCode.UNSTABLE_OFFSET_COMMIT)


def commit(
    group: ClassicGroup | None,
    config: GroupConfig,
    request: CommitRequest,
    waiter: Waiter[CommitResult],
    step: GroupStep,
) -> None:
    """Stores the offsets if the request comes from whom it may come.

    In a transaction the group's state does not matter, and members are not kept alive: the producer
    speaks for itself, and older ones don't say for which member.
    """
    transaction = request.transaction
    error = _commit_error(group, request)
    if error is not ErrorCode.NONE:
        step.reply(waiter, CommitResult((error,) * len(request.offsets)))
        return
    if group is None:
        logger.info("Group %s: created by a commit without members", request.group_id)
    elif transaction is None and group.state in _KEPT_ALIVE:
        group.expect_heartbeat(group.members[request.member_id], step)
    step.transaction = transaction
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
        record = OffsetCommitRecord(request.group_id, offset.topic, offset.partition, value)
        if transaction is None:
            step.append(record)
        else:
            step.append(PendingOffsetRecord(transaction.producer_id, record))
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
    in_transaction = request.transaction is not None
    if request.generation < 0 and not request.member_id and request.instance_id is None:
        # Nobody in particular, but the group has members.
        return ErrorCode.NONE if in_transaction else ErrorCode.UNKNOWN_MEMBER_ID
    error = group.member_error(request.member_id, request.instance_id, "offset-commit")
    if error is not ErrorCode.NONE:
        return error
    if request.generation != group.generation:
        return ErrorCode.ILLEGAL_GENERATION
    if group.state is GroupState.COMPLETING_REBALANCE and not in_transaction:
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE


def _java_length(text: str) -> int:
    """UTF-16 code units: what Kafka counts against `offset.metadata.max.bytes`."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
