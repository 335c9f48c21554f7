"""LeaveGroup of a classic group, also of several members at once and of static members by name.

Kafka's `GroupMetadataManager.classicGroupLeaveToClassicGroup`. Decisions only: see
`kstore.coordinator.runtime`.
"""

from __future__ import annotations

import logging

from kstore.configs import GroupConfig
from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupState, GroupStep
from kstore.groups.rebalance import maybe_complete_join, prepare_or_complete
from kstore.groups.values import LeaveRequest, LeaveResult, LeavingMember, LeftMember

__all__ = ["leave"]

logger = logging.getLogger(__name__)


def leave(
    group: ClassicGroup | None, config: GroupConfig, request: LeaveRequest, step: GroupStep
) -> LeaveResult:
    """Takes the members out; if any was in, one rebalance follows for all of them."""
    members = tuple(
        LeftMember(leaving.member_id, leaving.instance_id, _leave_one(group, leaving, step))
        for leaving in request.members
    )
    left = [member.member_id for member in members if member.error is ErrorCode.NONE]
    if group is not None and left:
        if group.state in (GroupState.STABLE, GroupState.COMPLETING_REBALANCE):
            prepare_or_complete(group, config, step, f"members {left} have left")
        else:
            maybe_complete_join(group, step)
    return LeaveResult(members=members)


def _leave_one(group: ClassicGroup | None, leaving: LeavingMember, step: GroupStep) -> ErrorCode:
    if group is None:
        return ErrorCode.UNKNOWN_MEMBER_ID
    member_id = leaving.member_id
    if not member_id:  # an administrator removes a static member
        if leaving.instance_id not in group.instances:
            return ErrorCode.UNKNOWN_MEMBER_ID
        member_id = group.instances[leaving.instance_id]
    elif member_id not in group.pending:
        error = group.member_error(member_id, leaving.instance_id, "leave-group")
        if error is not ErrorCode.NONE:
            return error
    logger.info(
        "Group %s: member %s has left; client reason: %s",
        group.group_id,
        member_id,
        leaving.reason or "not provided",
    )
    group.remove(member_id, step)
    return ErrorCode.NONE
