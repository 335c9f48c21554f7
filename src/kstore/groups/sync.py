"""SyncGroup and Heartbeat of a classic group.

Kafka's `GroupMetadataManager`: classicGroupSyncToClassicGroup, classicGroupHeartbeatTo….
Decisions only: see `kstore.coordinator.runtime`.
"""

from __future__ import annotations

import logging

from kstore.configs import GroupConfig
from kstore.coordinator.records import GroupMetadataRecord
from kstore.coordinator.runtime import Waiter
from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupState, GroupStep
from kstore.groups.rebalance import prepare_or_complete, reset_assignments
from kstore.groups.values import HeartbeatRequest, SyncRequest, SyncResult

__all__ = ["heartbeat", "sync"]

logger = logging.getLogger(__name__)


def sync(
    group: ClassicGroup | None,
    config: GroupConfig,
    request: SyncRequest,
    waiter: Waiter[SyncResult],
    step: GroupStep,
) -> None:
    """Gives a member its part: at once in a stable group, else when the leader's has come.

    The leader's request stores the generation; the group is stable once that is committed.
    """
    error = _sync_error(group, request)
    if group is None or error is not ErrorCode.NONE:
        step.reply(waiter, SyncResult(error=error))
        return
    member = group.members[request.member_id]
    group.pending_sync.discard(request.member_id)
    if group.state is GroupState.STABLE:
        step.reply(waiter, _part(group, member.assignment))
        return
    group.await_sync(member, waiter, step)
    if group.leader == request.member_id:
        _store_assignments(group, config, request, step)


def _sync_error(group: ClassicGroup | None, request: SyncRequest) -> ErrorCode:
    if group is None:
        return ErrorCode.UNKNOWN_MEMBER_ID
    error = group.member_error(request.member_id, request.instance_id, "sync-group")
    if error is not ErrorCode.NONE:
        return error
    if request.generation != group.generation:
        return ErrorCode.ILLEGAL_GENERATION
    if request.protocol_type not in (None, group.protocol_type) or request.protocol not in (
        None,
        group.protocol,
    ):
        return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    if group.state is GroupState.PREPARING_REBALANCE:
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE


def _part(group: ClassicGroup, assignment: bytes) -> SyncResult:
    return SyncResult(
        protocol_type=group.protocol_type, protocol=group.protocol, assignment=assignment
    )


def _store_assignments(
    group: ClassicGroup, config: GroupConfig, request: SyncRequest, step: GroupStep
) -> None:
    given = dict(request.assignments)
    missing = [member_id for member_id in group.members if member_id not in given]
    if missing:
        logger.warning(
            "Group %s: the leader has assigned nothing to %s in generation %d",
            group.group_id,
            missing,
            group.generation,
        )
    assignments = {member_id: given.get(member_id, b"") for member_id in group.members}
    logger.info(
        "Group %s: assignment received from leader %s for generation %d of %d members",
        group.group_id,
        request.member_id,
        group.generation,
        len(group.members),
    )

    def committed(step: GroupStep) -> None:
        group.transition(GroupState.STABLE, step.time_ms)
        for member in group.members.values():
            member.assignment = assignments[member.member_id]
            if group.answer_sync(member, _part(group, member.assignment), step):
                # It may have been excused from heartbeats while it waited.
                group.expect_heartbeat(member, step)

    def failed(step: GroupStep, error: ErrorCode) -> None:
        reset_assignments(group, error, step)
        reason = f"{error.name} when storing the assignment of leader {request.member_id}"
        prepare_or_complete(group, config, step, reason)

    record = GroupMetadataRecord(group.group_id, group.metadata(assignments))
    step.append(record, committed, failed)


def heartbeat(group: ClassicGroup | None, request: HeartbeatRequest, step: GroupStep) -> ErrorCode:
    """Notes a sign of life; REBALANCE_IN_PROGRESS asks the member to join again."""
    if group is None:
        return ErrorCode.UNKNOWN_MEMBER_ID
    error = group.member_error(request.member_id, request.instance_id, "heartbeat")
    if error is not ErrorCode.NONE:
        return error
    if request.generation != group.generation:
        return ErrorCode.ILLEGAL_GENERATION
    group.expect_heartbeat(group.members[request.member_id], step)
    if group.state is GroupState.PREPARING_REBALANCE:
        return ErrorCode.REBALANCE_IN_PROGRESS
    return ErrorCode.NONE
