"""The group coordinator's door: requests in, `Later`s of results out.

It checks what needs no group, finds the group's shard, and hands the rest to the shard's events,
which are decided in order for each group. Answers never fail: an error is part of the result,
as in Kafka's `GroupCoordinatorService`. Every call is made on the loop.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from functools import partial
from typing import TypeVar

from kstore.configs import GroupConfig
from kstore.coordinator import partitioning
from kstore.coordinator.records import NO_UUID
from kstore.coordinator.runtime import TransactionalLog, Waiter
from kstore.coordinator.shards import Shards
from kstore.errors import ErrorCode
from kstore.groups.classic import GroupStep
from kstore.groups.deletion import delete_offsets
from kstore.groups.describe import describe, listed
from kstore.groups.leave import leave
from kstore.groups.offsets import commit
from kstore.groups.shard import Shard, StoredPair
from kstore.groups.sync import heartbeat, sync
from kstore.groups.values import (
    CommitRequest,
    CommitResult,
    DeleteOffsetsRequest,
    DeleteOffsetsResult,
    FetchRequest,
    FetchResult,
    GroupDescription,
    GroupListing,
    HeartbeatRequest,
    JoinRequest,
    JoinResult,
    LeaveRequest,
    LeaveResult,
    SyncRequest,
    SyncResult,
)
from kstore.log.records import EndTransactionMarker
from kstore.runtime import Later, Runtime

__all__ = ["GroupCoordinator"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class GroupCoordinator:
    """Coordinates the groups of those partitions of `__consumer_offsets` that are loaded here.

    A group of another partition is answered NOT_COORDINATOR, one whose partition is being loaded
    COORDINATOR_LOAD_IN_PROGRESS, any after `close` COORDINATOR_NOT_AVAILABLE.
    """

    def __init__(self, runtime: Runtime, log: TransactionalLog, config: GroupConfig) -> None:
        self._runtime = runtime
        self._log = log
        self._config = config
        self._shards: Shards[Shard] = Shards()
        self._new_uuid = uuid.uuid4

    # Partitions

    def partition_for(self, group_id: str) -> int:
        """The partition of `__consumer_offsets` that `group_id` belongs to."""
        return partitioning.partition_for(group_id, self._config.offsets_topic_num_partitions)

    @property
    def loaded_partitions(self) -> list[int]:
        """The partitions whose groups are coordinated here."""
        return self._shards.partitions

    @property
    def is_loading(self) -> bool:
        """Whether some partition is being loaded: what can be said of all groups is not all."""
        return self._shards.is_loading

    def begin_load(self, partition: int) -> None:
        """Says that `load` will follow, or `unload`; clients are asked to try again meanwhile."""
        self._shards.begin_load(partition)

    def load(
        self,
        partition: int,
        records: Iterable[StoredPair],
        undecided: Mapping[int, Iterable[StoredPair]] = {},
    ) -> None:
        """Takes over a partition; `records` are keys and values of its log, oldest first.

        `undecided` are those of transactions that are still open, by producer id; one without a
        value no longer counts, as a later one of its key does.

        Groups go on in the generation that they were in, and their members' session timeouts
        begin anew. Raises `MalformedRecordError`; the partition is not loaded then.
        """
        shard = Shard(partition, self._runtime, self._log, self._config, self._new_uuid)
        self._shards.load(partition, shard, lambda: shard.load(records, undecided))

    def unload(self, partition: int) -> None:
        """Gives a partition away; who waits in its groups is told NOT_COORDINATOR."""
        self._shards.unload(partition)

    def close(self) -> None:
        """Gives all partitions away, and takes no request any more."""
        self._shards.close()

    def _run(
        self, group_id: str, waiter: Waiter[T], decide: Callable[[Shard, GroupStep], None]
    ) -> Later[T]:
        """Has the group's shard decide an event that `waiter` wants answered."""
        partition = self.partition_for(group_id)
        shard = self._shards.get(partition)
        if shard is None:
            waiter.refuse(self._shards.absent(partition))
        else:
            shard.events.run(group_id, partial(decide, shard), waiter)
        return waiter

    # Membership

    def join(self, request: JoinRequest) -> Later[JoinResult]:
        """JoinGroup. Answered when the join phase is over: up to the rebalance timeout."""
        error = self._join_error(request)
        if error is not ErrorCode.NONE:
            return Later.of(JoinResult(error=error, member_id=request.member_id))
        waiter = Waiter(lambda error: JoinResult(error=error))
        return self._run(
            request.group_id, waiter, lambda shard, step: shard.join(request, waiter, step)
        )

    def _join_error(self, request: JoinRequest) -> ErrorCode:
        if not request.group_id:
            return ErrorCode.INVALID_GROUP_ID
        lowest_ms = self._config.group_min_session_timeout_ms
        highest_ms = self._config.group_max_session_timeout_ms
        if not lowest_ms <= request.session_timeout_ms <= highest_ms:
            return ErrorCode.INVALID_SESSION_TIMEOUT
        return ErrorCode.NONE

    def sync(self, request: SyncRequest) -> Later[SyncResult]:
        """SyncGroup. Answered when the leader's assignment is stored."""
        if not request.group_id:
            return Later.of(SyncResult(error=ErrorCode.INVALID_GROUP_ID))
        waiter = Waiter(lambda error: SyncResult(error=error))

        def decide(shard: Shard, step: GroupStep) -> None:
            sync(shard.groups.get(request.group_id), shard.config, request, waiter, step)

        return self._run(request.group_id, waiter, decide)

    def heartbeat(self, request: HeartbeatRequest) -> Later[ErrorCode]:
        """Heartbeat. REBALANCE_IN_PROGRESS asks the member to join again.

        While its group is being loaded a member is told that all is well, as in Kafka.
        """
        if not request.group_id:
            return Later.of(ErrorCode.INVALID_GROUP_ID)
        partition = self.partition_for(request.group_id)
        if self._shards.absent(partition) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            return Later.of(ErrorCode.NONE)
        waiter: Waiter[ErrorCode] = Waiter(lambda error: error)

        def decide(shard: Shard, step: GroupStep) -> None:
            step.reply(waiter, heartbeat(shard.groups.get(request.group_id), request, step))

        return self._run(request.group_id, waiter, decide)

    def leave(self, request: LeaveRequest) -> Later[LeaveResult]:
        """LeaveGroup, of one or several members."""
        if not request.group_id:
            return Later.of(LeaveResult(error=ErrorCode.INVALID_GROUP_ID))
        waiter = Waiter(lambda error: LeaveResult(error=error))

        def decide(shard: Shard, step: GroupStep) -> None:
            group = shard.groups.get(request.group_id)
            step.reply(waiter, leave(group, shard.config, request, step))

        return self._run(request.group_id, waiter, decide)

    # Offsets: the empty group id is as good as any other, as in Kafka

    def commit_offsets(self, request: CommitRequest) -> Later[CommitResult]:
        """OffsetCommit, or TxnOffsetCommit. Answered when the offsets are stored."""
        waiter = Waiter(lambda error: CommitResult((error,) * len(request.offsets)))

        def decide(shard: Shard, step: GroupStep) -> None:
            commit(shard.groups.get(request.group_id), shard.config, request, waiter, step)

        return self._run(request.group_id, waiter, decide)

    def fetch_offsets(self, request: FetchRequest) -> Later[FetchResult]:
        """OffsetFetch: what is committed now, or (`require_stable`) after what is under way.

        A group that does not exist has no offsets; that is no error.
        """
        if request.require_stable:
            waiter = Waiter(lambda error: FetchResult(error=error))
            return self._run(
                request.group_id,
                waiter,
                lambda shard, step: step.reply(waiter, shard.fetch_offsets(request)),
            )
        partition = self.partition_for(request.group_id)
        shard = self._shards.get(partition)
        if shard is None:
            return Later.of(FetchResult(error=self._shards.absent(partition)))
        return Later.of(shard.fetch_offsets(request))

    def complete_transaction(
        self,
        partition: int,
        marker: EndTransactionMarker,
        producer_id: int,
        producer_epoch: int,
        transaction_version: int,
    ) -> Later[ErrorCode]:
        """Ends a producer's transaction in a partition of `__consumer_offsets`."""
        shard = self._shards.get(partition)
        if shard is None:
            return Later.of(self._shards.absent(partition))
        return shard.complete_transaction(marker, producer_id, producer_epoch, transaction_version)

    def delete_offsets(self, request: DeleteOffsetsRequest) -> Later[DeleteOffsetsResult]:
        """OffsetDelete. Offsets of topics that members of the group read stay."""
        if not request.group_id:
            return Later.of(DeleteOffsetsResult(error=ErrorCode.INVALID_GROUP_ID))
        waiter = Waiter(lambda error: DeleteOffsetsResult(error=error))

        def decide(shard: Shard, step: GroupStep) -> None:
            group = shard.groups.get(request.group_id)
            step.reply(waiter, delete_offsets(group, shard.offsets, request, step))

        return self._run(request.group_id, waiter, decide)

    def forget_topic(self, topic: str, topic_id: uuid.UUID = NO_UUID) -> None:
        """Removes all groups' offsets of a topic that was deleted.

        So that a topic made again under its name is not read from an old position.
        """
        for shard in self._shards:
            _forget_topic(shard, topic, topic_id)

    def forget_missing_topics(self, partition: int, existing: Container[str]) -> None:
        """Removes a loaded partition's offsets of topics that are no more: what `forget_topic` did
        not come to, as the broker was killed or the partition being loaded."""
        shard = self._shards.get(partition)
        assert shard is not None
        for topic in shard.offsets.topics():
            if topic not in existing:
                logger.info("Removing offsets of topic %s, which does not exist.", topic)
                _forget_topic(shard, topic, NO_UUID)

    # Groups

    def delete_group(self, group_id: str) -> Later[ErrorCode]:
        """Removes an empty group and its offsets."""
        waiter: Waiter[ErrorCode] = Waiter(lambda error: error)
        return self._run(
            group_id,
            waiter,
            lambda shard, step: step.reply(waiter, shard.delete(group_id, step)),
        )

    def list_groups(
        self, states: Collection[str] = (), types: Collection[str] = ()
    ) -> list[GroupListing]:
        """The groups that are coordinated here, by state and type (in any case; empty: all)."""
        return [
            listing
            for shard in self._shards
            for listing in listed(shard.groups.values(), states, types)
        ]

    def describe_group(self, group_id: str) -> GroupDescription:
        """A group with its members."""
        partition = self.partition_for(group_id)
        shard = self._shards.get(partition)
        if shard is None:
            return GroupDescription(group_id, self._shards.absent(partition))
        return describe(group_id, shard.groups.get(group_id))


def _forget_topic(shard: Shard, topic: str, topic_id: uuid.UUID) -> None:
    for group_id in shard.offsets.groups_with(topic):
        shard.events.run(group_id, partial(shard.forget_topic, group_id, topic, topic_id))
