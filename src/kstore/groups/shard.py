"""The groups of one partition of `__consumer_offsets`.

What is stored (`stored`, `offsets`) changes by replay only, so that replaying the log gives it
again; what lives (`groups`) is made from it at load and changes by decisions. Invariant: a group
that rests (Stable, Empty) is what its newest record says, unless that could not be stored.
On the loop only.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias

from kstore.configs import GroupConfig
from kstore.coordinator.records import (
    GroupMetadata,
    GroupMetadataRecord,
    OffsetCommitRecord,
    PendingOffsetRecord,
    UnknownRecord,
    decode_record,
)
from kstore.coordinator.runtime import (
    CoordinatorRuntime,
    TransactionalLog,
    Waiter,
    coordinator_error,
)
from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupRecord, GroupState, GroupStep
from kstore.groups.join import Join
from kstore.groups.offsets import Offsets
from kstore.groups.rebalance import prepare, wake
from kstore.groups.values import FetchRequest, FetchResult, JoinRequest, JoinResult
from kstore.log.records import ControlType, EndTransactionMarker
from kstore.runtime import Later, Runtime

__all__ = ["Shard", "StoredPair"]

logger = logging.getLogger(__name__)

StoredPair: TypeAlias = tuple[bytes | None, bytes | None]
"""Key and value as they stand in the log."""


class Shard:
    """Groups, their stored generations and their offsets."""

    def __init__(
        self,
        partition: int,
        runtime: Runtime,
        log: TransactionalLog,
        config: GroupConfig,
        new_uuid: Callable[[], uuid.UUID],
    ) -> None:
        self.partition = partition
        self.config = config
        self.groups: dict[str, ClassicGroup] = {}
        self.stored: dict[str, GroupMetadata] = {}
        self.offsets = Offsets()
        self.events: CoordinatorRuntime[GroupRecord] = CoordinatorRuntime(
            runtime, log, partition, self._replay, self._wake
        )
        self._runtime = runtime
        self._log = log
        self._new_uuid = new_uuid

    def load(
        self, records: Iterable[StoredPair], undecided: Mapping[int, Iterable[StoredPair]]
    ) -> None:
        """Makes the groups from the partition's log, and expects their members' heartbeats.

        Of each key only the last record counts, so only that one is decoded. `undecided` are the
        records of open transactions, by producer id. Raises `MalformedRecordError`.
        """
        newest: dict[bytes | None, bytes | None] = {}
        for key, value in records:
            newest.pop(key, None)
            newest[key] = value
        unknown = 0
        for key, value in newest.items():
            record = decode_record(key, value)
            if isinstance(record, UnknownRecord):
                unknown += 1
            else:
                self._replay(record)
        for producer_id, pairs in undecided.items():
            for key, value in pairs:
                record = decode_record(key, value)
                if isinstance(record, OffsetCommitRecord):
                    self._replay(PendingOffsetRecord(producer_id, record))
        for group_id, stored in self.stored.items():
            self.groups[group_id] = ClassicGroup.restored(group_id, stored)
            self.events.run(group_id, partial(self._loaded, group_id))
        if newest:
            logger.info(
                "Loaded %d groups of partition %d; %d records of other kinds of groups left alone",
                len(self.groups),
                self.partition,
                unknown,
            )

    def _loaded(self, group_id: str, step: GroupStep) -> None:
        group = self.groups[group_id]
        for member in group.members.values():
            group.expect_heartbeat(member, step)
        if len(group.members) > self.config.group_max_size:
            reason = f"loaded with {len(group.members)} members, more than group.max.size"
            prepare(group, self.config, step, reason)

    def unload(self, error: ErrorCode) -> None:
        """Refuses all who wait; the shard is of no use afterwards."""
        self.events.close(error)
        for group in self.groups.values():
            group.refuse_waiters(error)

    def _replay(self, record: GroupRecord) -> None:
        if isinstance(record, PendingOffsetRecord):
            self.offsets.replay_pending(record)
            self._see(record.commit)
        elif isinstance(record, OffsetCommitRecord):
            self.offsets.replay(record)
            self._see(record)
        elif record.value is not None:
            self.stored[record.group_id] = record.value
        else:
            self.stored.pop(record.group_id, None)
            self.groups.pop(record.group_id, None)

    def _see(self, commit: OffsetCommitRecord) -> None:
        if commit.value is not None and commit.group_id not in self.groups:
            self._create(commit.group_id)

    def _create(self, group_id: str) -> ClassicGroup:
        group = self.groups[group_id] = ClassicGroup(group_id, self._runtime.time_ms())
        return group

    def _wake(self, group_id: str, step: GroupStep) -> None:
        group = self.groups.get(group_id)
        if group is not None:
            wake(group, self.config, step)

    def join(self, request: JoinRequest, waiter: Waiter[JoinResult], step: GroupStep) -> None:
        """Decides a join; a member without an id may make the group exist."""
        group = self.groups.get(request.group_id)
        is_new = group is None
        if group is None:
            if request.member_id:
                unknown = ErrorCode.UNKNOWN_MEMBER_ID
                step.reply(waiter, JoinResult(error=unknown, member_id=request.member_id))
                return
            group = self._create(request.group_id)
        Join(group, self.config, request, waiter, step, self._new_uuid).decide()
        if is_new and not step.records:
            self._store_new(group, step)

    def _store_new(self, group: ClassicGroup, step: GroupStep) -> None:
        """Makes a new group known to the log, in the empty form that Kafka gives it."""

        def failed(step: GroupStep, error: ErrorCode) -> None:
            del self.groups[group.group_id]
            group.refuse_waiters(error)

        empty = GroupMetadata("", 0, None, None, group.state_timestamp_ms, ())
        step.append(GroupMetadataRecord(group.group_id, empty), failed=failed)

    def fetch_offsets(self, request: FetchRequest) -> FetchResult:
        """What a group has committed; offsets that outlived their group's removal don't count."""
        offsets = self.offsets if request.group_id in self.groups else Offsets()
        return offsets.fetch(request)

    def complete_transaction(
        self,
        marker: EndTransactionMarker,
        producer_id: int,
        producer_epoch: int,
        transaction_version: int,
    ) -> Later[ErrorCode]:
        """Stores a marker, and commits or drops what is pending of its producer.

        It concerns many groups, so it is in no group's lane: appends are committed in their order,
        and those of the transaction were made before.
        """
        outcome: Later[ErrorCode] = Later()

        def written(appended: Later[int]) -> None:
            if appended.error is not None:
                outcome.complete(coordinator_error(appended.error))
                return
            commit = marker.type is ControlType.COMMIT
            self.offsets.end_transaction(producer_id, commit=commit)
            outcome.complete(ErrorCode.NONE)

        self._log.append_marker(
            self.partition, marker, producer_id, producer_epoch, transaction_version
        ).then(written)
        return outcome

    def delete(self, group_id: str, step: GroupStep) -> ErrorCode:
        """Removes an empty group with its offsets."""
        group = self.groups.get(group_id)
        if group is None:
            return ErrorCode.GROUP_ID_NOT_FOUND
        if group.state is not GroupState.EMPTY:
            return ErrorCode.NON_EMPTY_GROUP
        for removal in self.offsets.removals(group_id):
            step.append(removal)
        step.append(GroupMetadataRecord(group_id, None))
        return ErrorCode.NONE

    def forget_topic(self, group_id: str, topic: str, topic_id: uuid.UUID, step: GroupStep) -> None:
        """Removes the group's offsets of a topic that was deleted."""
        for removal in self.offsets.removals(group_id, topic, topic_id):
            step.append(removal)
