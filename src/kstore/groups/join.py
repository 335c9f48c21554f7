"""JoinGroup of a classic group: who is let in, and whether that means a rebalance.

Kafka's `GroupMetadataManager.classicGroupJoinToClassicGroup` and what it calls. Decisions only:
see `kstore.coordinator.runtime`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from kstore.configs import GroupConfig
from kstore.coordinator.records import GroupMetadataRecord
from kstore.coordinator.runtime import Waiter
from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupState, GroupStep
from kstore.groups.member import Member
from kstore.groups.rebalance import maybe_complete_join, prepare, prepare_or_complete
from kstore.groups.values import JoinRequest, JoinResult

__all__ = ["Join"]

logger = logging.getLogger(__name__)

_NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000  # Kafka's classicGroupNewMemberJoinTimeoutMs, not a setting


class Join:
    """One JoinGroup being decided."""

    __slots__ = ("config", "group", "new_uuid", "request", "step", "waiter")

    def __init__(
        self,
        group: ClassicGroup,
        config: GroupConfig,
        request: JoinRequest,
        waiter: Waiter[JoinResult],
        step: GroupStep,
        new_uuid: Callable[[], uuid.UUID],
    ) -> None:
        self.group = group
        self.config = config
        self.request = request
        self.waiter = waiter
        self.step = step
        self.new_uuid = new_uuid

    def decide(self) -> None:
        """Lets the member in, or says why not."""
        request, group = self.request, self.group
        if not self._has_room():
            group.remove(request.member_id, self.step)
            self._refuse(ErrorCode.GROUP_MAX_SIZE_REACHED, "")
        elif not group.supports(request.protocol_type, request.protocols):
            self._refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, request.member_id)
        elif request.member_id:
            self._join_with_id()
        elif request.instance_id is not None:
            self._join_new_static(request.instance_id)
        else:
            self._join_new_dynamic()

    def _has_room(self) -> bool:
        group, limit = self.group, self.config.group_max_size
        if group.state is GroupState.EMPTY:
            return True
        member = group.members.get(self.request.member_id)
        if group.state is GroupState.PREPARING_REBALANCE:
            # Those who wait already stay; counting them, not the members, means that of a group
            # that has become too large the last to join again are sent away.
            is_waiting = member is not None and member.join_waiter is not None
            return is_waiting or group.awaiting_join_count < limit
        return member is not None or len(group.members) < limit

    def _refuse(self, error: ErrorCode, member_id: str) -> None:
        self.step.reply(self.waiter, JoinResult(error=error, member_id=member_id))

    @property
    def _client_reason(self) -> str:
        return f"client reason: {self.request.reason or 'not provided'}"

    # A member without an id

    def _join_new_static(self, instance_id: str) -> None:
        group = self.group
        new_id = f"{instance_id}-{self.new_uuid()}"
        old_id = group.instances.get(instance_id)
        if old_id is None:
            logger.info(
                "Group %s: static member %s joins as %s", group.group_id, instance_id, new_id
            )
            self._add(new_id)
        else:
            logger.info(
                "Group %s: static member %s is back in state %s, %s replaces %s",
                group.group_id,
                instance_id,
                group.state.value,
                new_id,
                old_id,
            )
            self._replace(instance_id, old_id, new_id)

    def _join_new_dynamic(self) -> None:
        group = self.group
        new_id = f"{self.request.client_id}-{self.new_uuid()}"
        if not self.request.member_id_required:
            logger.info("Group %s: member joins as %s", group.group_id, new_id)
            self._add(new_id)
            return
        logger.info("Group %s: new member is to join as %s", group.group_id, new_id)
        deadline_ms = self.step.now_ms + self.request.session_timeout_ms
        group.pending[new_id] = deadline_ms
        self.step.wake_by(deadline_ms)
        self._refuse(ErrorCode.MEMBER_ID_REQUIRED, new_id)

    # A member with an id

    def _join_with_id(self) -> None:
        request, group = self.request, self.group
        if request.member_id in group.pending:
            if request.instance_id is None:
                logger.info("Group %s: pending member %s joins", group.group_id, request.member_id)
                self._add(request.member_id)
            else:  # pending members are never static: Kafka, too, has no better answer
                self._refuse(ErrorCode.UNKNOWN_SERVER_ERROR, request.member_id)
            return
        error = group.member_error(request.member_id, request.instance_id, "join-group")
        if error is not ErrorCode.NONE:
            self._refuse(error, request.member_id)
            return
        member = group.members[request.member_id]
        state = group.state
        if state is GroupState.PREPARING_REBALANCE:
            self._update(member, f"member {member.member_id} is joining during {state.value}")
        elif state is GroupState.STABLE and group.leader == member.member_id:
            # A leader may see changes (new partitions) that members' metadata don't show.
            self._update(member, f"leader {member.member_id} is joining during {state.value}")
        elif member.protocols != request.protocols:
            self._update(
                member, f"updating metadata of member {member.member_id} during {state.value}"
            )
        else:
            # Nothing new: the member has missed our answer, or a follower asks again.
            self.step.reply(self.waiter, group.joined(member))

    def _update(self, member: Member, reason: str) -> None:
        self.group.update(member, self.request, self.waiter, self.step)
        self._rebalance(reason)

    def _add(self, member_id: str) -> None:
        request, group = self.request, self.group
        member = Member(
            member_id,
            request.instance_id,
            request.client_id,
            request.client_host,
            request.rebalance_timeout_ms,
            request.session_timeout_ms,
            request.protocols,
        )
        member.is_new = True
        if (
            group.state is GroupState.PREPARING_REBALANCE
            and group.previous_state is GroupState.EMPTY
        ):
            group.new_member_added = True
        group.add(member, request.protocol_type, self.waiter)
        # A new member can't send heartbeats yet, and if its client has gone we don't see it:
        # its join times out, so that retries don't fill the group with dead members.
        group.expect_heartbeat(member, self.step, _NEW_MEMBER_JOIN_TIMEOUT_MS)
        self._rebalance(f"adding new member {member_id} with instance id {request.instance_id}")

    def _rebalance(self, reason: str) -> None:
        prepare_or_complete(self.group, self.config, self.step, f"{reason}; {self._client_reason}")

    # A static member that is back

    def _replace(self, instance_id: str, old_id: str, new_id: str) -> None:
        group, step = self.group, self.step
        leader_before = group.leader
        member = group.replace_instance(old_id, new_id, step)
        group.expect_heartbeat(member, step)
        told_before = (member.protocols, member.rebalance_timeout_ms, member.session_timeout_ms)
        group.update(member, self.request, self.waiter, step)
        if group.state is GroupState.COMPLETING_REBALANCE:
            # The leader may be assigning a part to the old id at this moment.
            prepare(
                group,
                self.config,
                step,
                f"updating metadata of static member {new_id} with instance id {instance_id}; "
                f"{self._client_reason}",
            )
            return
        if group.state is not GroupState.STABLE:
            maybe_complete_join(group, step)
            return
        if group.select_protocol() != group.protocol:
            self._rebalance(f"static member {new_id} ({instance_id}) changes the group's protocol")
            return

        def committed(step: GroupStep) -> None:
            is_leader = group.leader == new_id
            result = group.joined(member, skip_assignment=is_leader)
            if not self.request.can_skip_assignment:
                # To an older client the leader is who it was: it must not assign again.
                result = JoinResult(
                    member_id=new_id,
                    generation=group.generation,
                    protocol_type=group.protocol_type,
                    protocol=group.protocol,
                    leader=leader_before or "",
                )
            group.answer_join(member, result, step)

        def failed(step: GroupStep, error: ErrorCode) -> None:
            group.answer_join(member, JoinResult(error=error, generation=group.generation), step)
            group.describe_member(member, *told_before)
            old = group.replace_instance(new_id, old_id, step)
            group.expect_heartbeat(old, step)

        record = GroupMetadataRecord(group.group_id, group.metadata(group.assignments()))
        step.append(record, committed, failed)
