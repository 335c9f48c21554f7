"""Rebalances of a classic group: how one begins, when its join phase ends, what time does.

Kafka's `GroupMetadataManager`: prepareRebalance, completeClassicGroupJoin and the expirations.
Every rebalance is logged with its reason. Decisions only: see `kstore.coordinator.runtime`.
"""

from __future__ import annotations

import logging
import math

from kstore.configs import GroupConfig
from kstore.coordinator.records import GroupMetadataRecord
from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupState, GroupStep
from kstore.groups.values import SyncResult

__all__ = [
    "complete_join",
    "maybe_complete_join",
    "prepare",
    "prepare_or_complete",
    "reset_assignments",
    "wake",
]

logger = logging.getLogger(__name__)

_MEMBER, _JOIN, _SYNC = range(3)


def prepare_or_complete(
    group: ClassicGroup, config: GroupConfig, step: GroupStep, reason: str
) -> None:
    """Begins a rebalance, or goes on with the one that runs."""
    if group.can_rebalance:
        prepare(group, config, step, reason)
    else:
        maybe_complete_join(group, step)


def prepare(group: ClassicGroup, config: GroupConfig, step: GroupStep, reason: str) -> None:
    """Begins a rebalance: members are to join again within the rebalance timeout.

    The first one of a group waits `group.initial.rebalance.delay.ms` for more members instead.
    """
    if group.state is GroupState.COMPLETING_REBALANCE:
        reset_assignments(group, ErrorCode.REBALANCE_IN_PROGRESS, step)
    group.pending_sync.clear()
    initial = group.state is GroupState.EMPTY
    group.transition(GroupState.PREPARING_REBALANCE, step.time_ms)
    logger.info(
        "Preparing to rebalance group %s, old generation %d: %s",
        group.group_id,
        group.generation,
        reason,
    )
    if initial:
        delay_ms = config.group_initial_rebalance_delay_ms
        remaining_ms = max(group.rebalance_timeout_ms - delay_ms, 0)
        group.initial_rebalance = (delay_ms, remaining_ms)
        _set_join_deadline(group, step, delay_ms)
    elif group.all_joined:
        complete_join(group, step)
    else:
        _set_join_deadline(group, step, group.rebalance_timeout_ms)


def maybe_complete_join(group: ClassicGroup, step: GroupStep) -> None:
    """Ends the join phase if everyone is there; a first rebalance always takes its delay."""
    if (
        group.state is GroupState.PREPARING_REBALANCE
        and group.previous_state is not GroupState.EMPTY
        and group.all_joined
    ):
        complete_join(group, step)


def complete_join(group: ClassicGroup, step: GroupStep) -> None:
    """Ends the join phase: dynamic members that are not there are out, the others are answered.

    If static members alone are left and none has come back, it waits for one more timeout.
    """
    group.join_deadline_ms = math.inf
    group.initial_rebalance = None
    absent = [
        member.member_id
        for member in group.members.values()
        if member.join_waiter is None and member.instance_id is None
    ]
    for member_id in absent:
        group.remove(member_id, step)
    if absent:
        logger.info("Group %s: removed members that have not joined: %s", group.group_id, absent)
    if not group.elect_leader() and group.members:
        logger.warning(
            "Group %s could not complete its rebalance: no member has joined", group.group_id
        )
        _set_join_deadline(group, step, group.rebalance_timeout_ms)
        return
    group.next_generation(step.time_ms)
    if group.state is GroupState.EMPTY:
        logger.info("Group %s with generation %d is now empty", group.group_id, group.generation)
        # If this can't be stored, the group is empty all the same: after a restart the members
        # of the last stored generation will be expected, and time out.
        step.append(GroupMetadataRecord(group.group_id, group.metadata({})))
        return
    logger.info(
        "Group %s: generation %d has %d members, leader %s, protocol %s",
        group.group_id,
        group.generation,
        len(group.members),
        group.leader,
        group.protocol,
    )
    for member in group.members.values():
        group.answer_join(member, group.joined(member), step)
        group.expect_heartbeat(member, step)
        member.is_new = False
        group.pending_sync.add(member.member_id)
    group.sync_deadline_ms = step.now_ms + group.rebalance_timeout_ms
    step.wake_by(group.sync_deadline_ms)


def reset_assignments(group: ClassicGroup, error: ErrorCode, step: GroupStep) -> None:
    """Takes back everyone's part; those who wait for it are told `error`."""
    for member in group.members.values():
        member.assignment = b""
        if group.answer_sync(member, SyncResult(error=error), step):
            group.expect_heartbeat(member, step)


def _set_join_deadline(group: ClassicGroup, step: GroupStep, delay_ms: float) -> None:
    group.join_deadline_ms = step.now_ms + delay_ms
    step.wake_by(group.join_deadline_ms)


def wake(group: ClassicGroup, config: GroupConfig, step: GroupStep) -> None:
    """Acts on the deadlines that have passed, the oldest first, and asks for the next wake."""
    now_ms = step.now_ms
    due = [
        (member.deadline_ms, _MEMBER, member.member_id)
        for member in group.members.values()
        if member.deadline_ms <= now_ms
    ]
    due += [(at_ms, _MEMBER, name) for name, at_ms in group.pending.items() if at_ms <= now_ms]
    due += [(group.join_deadline_ms, _JOIN, ""), (group.sync_deadline_ms, _SYNC, "")]
    for at_ms, kind, member_id in sorted(due):
        if at_ms > now_ms:
            break
        # What happened for an older deadline may have moved this one.
        if kind == _MEMBER:
            _expire_member(group, config, step, member_id)
        elif kind == _JOIN and group.join_deadline_ms <= now_ms:
            _join_deadline_passed(group, step)
        elif kind == _SYNC and group.sync_deadline_ms <= now_ms:
            _expire_pending_sync(group, config, step)
    step.wake_by(group.next_deadline_ms())


def _expire_member(
    group: ClassicGroup, config: GroupConfig, step: GroupStep, member_id: str
) -> None:
    if group.pending.get(member_id, math.inf) <= step.now_ms:
        logger.info("Group %s: pending member %s has not come back", group.group_id, member_id)
        group.remove(member_id, step)
        if group.state is GroupState.PREPARING_REBALANCE and group.all_joined:
            complete_join(group, step)
        return
    member = group.members.get(member_id)
    if member is None or member.deadline_ms > step.now_ms:
        return
    if member.is_excused:
        member.deadline_ms = math.inf  # set again with the answer that it waits for
        return
    logger.info("Group %s: member %s has failed", group.group_id, member_id)
    group.remove(member_id, step)
    if group.state in (GroupState.STABLE, GroupState.COMPLETING_REBALANCE):
        reason = f"removing member {member_id} on heartbeat expiration"
        prepare_or_complete(group, config, step, reason)
    elif group.state is GroupState.PREPARING_REBALANCE and group.all_joined:
        complete_join(group, step)


def _join_deadline_passed(group: ClassicGroup, step: GroupStep) -> None:
    if group.initial_rebalance is not None and group.new_member_added:
        delay_ms, remaining_ms = group.initial_rebalance
        if remaining_ms:
            # More members have come during the delay: give the next ones time, too.
            group.new_member_added = False
            next_delay_ms = min(delay_ms, remaining_ms)
            group.initial_rebalance = (next_delay_ms, max(remaining_ms - delay_ms, 0))
            _set_join_deadline(group, step, next_delay_ms)
            return
    complete_join(group, step)


def _expire_pending_sync(group: ClassicGroup, config: GroupConfig, step: GroupStep) -> None:
    group.sync_deadline_ms = math.inf
    late = sorted(group.pending_sync)
    if not late:
        return
    for member_id in late:
        group.remove(member_id, step)
    prepare(group, config, step, f"removing {late} on pending sync request expiration")
