"""The state of one classic group (Kafka's `ClassicGroup`): what is true, not what happens next.

Empty → PreparingRebalance (members gather) → CompletingRebalance (the leader's assignment is
awaited) → Stable → PreparingRebalance …; Empty again when nobody is left. What happens next is
decided by the functions in `join`, `sync`, `leave` and `rebalance`.

Invariants: every member is in `members`, a static one also in `instances`; a member that has only
been told its id is in `pending` and nowhere else; `awaiting_join_count` is the number of members
with a join waiter; the leader, if there is one, is a member; a generation never falls.
A waiter that is taken out of a member has a reply in the step. On the loop only.
"""

from __future__ import annotations

import enum
import logging
import math
from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

from kstore.coordinator.records import (
    GroupMetadata,
    GroupMetadataRecord,
    OffsetCommitRecord,
    PendingOffsetRecord,
)
from kstore.coordinator.runtime import Step, Waiter
from kstore.errors import ErrorCode
from kstore.groups.member import Member
from kstore.groups.values import JoinedMember, JoinRequest, JoinResult, SyncResult

__all__ = ["ClassicGroup", "GroupRecord", "GroupState", "GroupStep", "InitialRebalance"]

logger = logging.getLogger(__name__)

GroupRecord: TypeAlias = OffsetCommitRecord | PendingOffsetRecord | GroupMetadataRecord
GroupStep: TypeAlias = Step[GroupRecord]
InitialRebalance: TypeAlias = tuple[float, float]
"""Of a new group's first rebalance: the delay that runs, and how much may still be added."""


class GroupState(enum.Enum):
    """States as Kafka's tools show them."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class ClassicGroup:
    """A group whose members agree on an assignment among themselves."""

    __slots__ = (
        "awaiting_join_count",
        "generation",
        "group_id",
        "initial_rebalance",
        "instances",
        "join_deadline_ms",
        "leader",
        "members",
        "new_member_added",
        "pending",
        "pending_sync",
        "previous_state",
        "protocol",
        "protocol_type",
        "state",
        "state_timestamp_ms",
        "support",
        "sync_deadline_ms",
    )

    def __init__(self, group_id: str, time_ms: int) -> None:
        self.group_id = group_id
        self.state = GroupState.EMPTY
        self.previous_state = GroupState.DEAD
        self.state_timestamp_ms = time_ms
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.generation = 0
        self.leader: str | None = None
        self.members: dict[str, Member] = {}
        self.instances: dict[str, str] = {}
        self.pending: dict[str, float] = {}
        self.pending_sync: set[str] = set()
        self.support: Counter[str] = Counter()
        self.awaiting_join_count = 0
        self.new_member_added = False
        self.initial_rebalance: InitialRebalance | None = None
        self.join_deadline_ms = math.inf
        self.sync_deadline_ms = math.inf

    @classmethod
    def restored(cls, group_id: str, stored: GroupMetadata) -> ClassicGroup:
        """The group as its newest record says: stable in that generation, or empty."""
        group = cls(group_id, stored.state_timestamp_ms)
        group.protocol_type = stored.protocol_type or None
        group.protocol = stored.protocol
        group.generation = stored.generation
        for member in stored.members:
            group._enter(Member.restored(member, stored.protocol or ""))
        group.leader = stored.leader if stored.leader in group.members else None
        if group.members:
            group.state = GroupState.STABLE
            group.leader = group.leader or next(iter(group.members))
        return group

    def metadata(self, assignments: Mapping[str, bytes]) -> GroupMetadata:
        """What is to be stored of this generation."""
        return GroupMetadata(
            protocol_type=self.protocol_type or "",
            generation=self.generation,
            protocol=self.protocol,
            leader=self.leader,
            state_timestamp_ms=self.state_timestamp_ms,
            members=tuple(
                member.stored(self.protocol or "", assignments[member.member_id])
                for member in self.members.values()
            ),
        )

    def assignments(self) -> dict[str, bytes]:
        """Everyone's present part."""
        return {member.member_id: member.assignment for member in self.members.values()}

    # What is true

    @property
    def all_joined(self) -> bool:
        """Nobody is missing in the join phase, not even a member that only knows its id."""
        return len(self.members) == self.awaiting_join_count and not self.pending

    @property
    def can_rebalance(self) -> bool:
        return self.state is not GroupState.PREPARING_REBALANCE

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest time that any member may take to come back."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def supports(self, protocol_type: str, protocols: tuple[tuple[str, bytes], ...]) -> bool:
        """Whether a member with these protocols fits to those who are there."""
        if self.state is GroupState.EMPTY:
            return bool(protocol_type and protocols)
        return self.protocol_type == protocol_type and any(
            self.support[name] == len(self.members) for name, _ in protocols
        )

    def member_error(self, member_id: str, instance_id: str | None, operation: str) -> ErrorCode:
        """Whether a request comes from a member: NONE, UNKNOWN_MEMBER_ID or FENCED_INSTANCE_ID."""
        if instance_id is not None:
            existing = self.instances.get(instance_id)
            if existing is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if existing != member_id:
                logger.info(
                    "Group %s: member %s with instance id %s is fenced by member %s during %s",
                    self.group_id,
                    member_id,
                    instance_id,
                    existing,
                    operation,
                )
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    def next_deadline_ms(self) -> float:
        """When something has to happen next, if nothing else happens."""
        return min(
            self.join_deadline_ms,
            self.sync_deadline_ms,
            min(self.pending.values(), default=math.inf),
            min((member.deadline_ms for member in self.members.values()), default=math.inf),
        )

    def joined(self, member: Member, *, skip_assignment: bool = False) -> JoinResult:
        """What `member` is told of the present generation; the leader also who the others are."""
        protocol = self.protocol or ""
        members: tuple[JoinedMember, ...] = ()
        if member.member_id == self.leader:
            members = tuple(
                JoinedMember(other.member_id, other.instance_id, other.metadata(protocol))
                for other in self.members.values()
            )
        return JoinResult(
            member_id=member.member_id,
            generation=self.generation,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            leader=self.leader or "",
            skip_assignment=skip_assignment,
            members=members,
        )

    # Members

    def add(self, member: Member, protocol_type: str, waiter: Waiter[JoinResult]) -> None:
        """Takes in a new member, whose join is answered when the join phase is over."""
        if not self.members:
            self.protocol_type = protocol_type
        self._enter(member)
        self.leader = self.leader or member.member_id
        self.pending.pop(member.member_id, None)
        self._set_join_waiter(member, waiter)

    def _enter(self, member: Member) -> None:
        self.members[member.member_id] = member
        self.support.update(member.protocol_names)
        if member.instance_id is not None:
            self.instances[member.instance_id] = member.member_id

    def update(
        self, member: Member, request: JoinRequest, waiter: Waiter[JoinResult], step: GroupStep
    ) -> None:
        """Notes what a member says of itself as it joins again, and that it waits.

        If it still waited in an earlier join (its connection broke), that one is answered:
        Kafka leaves it open, but here a reply that never comes would hold up its connection.
        """
        retry = JoinResult(error=ErrorCode.REBALANCE_IN_PROGRESS, member_id=member.member_id)
        self.answer_join(member, retry, step)
        self.describe_member(
            member, request.protocols, request.rebalance_timeout_ms, request.session_timeout_ms
        )
        self._set_join_waiter(member, waiter)

    def describe_member(
        self,
        member: Member,
        protocols: tuple[tuple[str, bytes], ...],
        rebalance_timeout_ms: int,
        session_timeout_ms: int,
    ) -> None:
        """Sets what a member says of itself."""
        self.support.subtract(member.protocol_names)
        member.protocols = protocols
        self.support.update(member.protocol_names)
        member.rebalance_timeout_ms = rebalance_timeout_ms
        member.session_timeout_ms = session_timeout_ms

    def remove(self, member_id: str, step: GroupStep) -> None:
        """Takes out a member, pending or not; whatever it waits for is UNKNOWN_MEMBER_ID."""
        self.pending.pop(member_id, None)
        self.pending_sync.discard(member_id)
        member = self.members.pop(member_id, None)
        if member is None:
            return
        unknown = ErrorCode.UNKNOWN_MEMBER_ID
        self.answer_join(member, JoinResult(error=unknown), step)
        self.answer_sync(member, SyncResult(error=unknown), step)
        self.support.subtract(member.protocol_names)
        if member.instance_id is not None:
            self.instances.pop(member.instance_id, None)
        if self.leader == member_id:
            self.leader = next(iter(self.members), None)

    def replace_instance(self, old_id: str, new_id: str, step: GroupStep) -> Member:
        """Gives a static member its new id; whoever still waits under the old one is fenced."""
        old = self.members.pop(old_id)
        fenced = ErrorCode.FENCED_INSTANCE_ID
        self.answer_join(old, JoinResult(error=fenced, member_id=old_id), step)
        self.answer_sync(old, SyncResult(error=fenced), step)
        member = Member(
            new_id,
            old.instance_id,
            old.client_id,
            old.client_host,
            old.rebalance_timeout_ms,
            old.session_timeout_ms,
            old.protocols,
            old.assignment,
        )
        self.support.subtract(old.protocol_names)
        self._enter(member)
        if self.leader == old_id:
            self.leader = new_id
        if old_id in self.pending_sync:
            # Kafka keeps the old id here, which costs the group a rebalance later on.
            self.pending_sync.discard(old_id)
            self.pending_sync.add(new_id)
        return member

    def expect_heartbeat(self, member: Member, step: GroupStep, after_ms: float = -1) -> None:
        """The member has to be heard of within its session timeout, or `after_ms`."""
        delay_ms = member.session_timeout_ms if after_ms < 0 else after_ms
        member.deadline_ms = step.now_ms + delay_ms
        step.wake_by(member.deadline_ms)

    # Waiters

    def _set_join_waiter(self, member: Member, waiter: Waiter[JoinResult] | None) -> None:
        self.awaiting_join_count += (waiter is not None) - (member.join_waiter is not None)
        member.join_waiter = waiter

    def answer_join(self, member: Member, result: JoinResult, step: GroupStep) -> None:
        """Answers the member's join, if it waits in one."""
        if member.join_waiter is not None:
            step.reply(member.join_waiter, result)
            self._set_join_waiter(member, None)

    def await_sync(self, member: Member, waiter: Waiter[SyncResult], step: GroupStep) -> None:
        """The member waits for its part; as in `update`, an earlier wait is answered."""
        self.answer_sync(member, SyncResult(error=ErrorCode.REBALANCE_IN_PROGRESS), step)
        member.sync_waiter = waiter

    def answer_sync(self, member: Member, result: SyncResult, step: GroupStep) -> bool:
        """Answers the member's sync; False if it does not wait in one."""
        if member.sync_waiter is None:
            return False
        step.reply(member.sync_waiter, result)
        member.sync_waiter = None
        return True

    def refuse_waiters(self, error: ErrorCode) -> None:
        """Refuses all who wait in this group, at once: it is not ours any more."""
        for member in self.members.values():
            for waiter in (member.join_waiter, member.sync_waiter):
                if waiter is not None:
                    waiter.refuse(error)
            self._set_join_waiter(member, None)
            member.sync_waiter = None

    # Generations

    def transition(self, state: GroupState, time_ms: int) -> None:
        self.previous_state = self.state
        self.state = state
        self.state_timestamp_ms = time_ms

    def elect_leader(self) -> bool:
        """Keeps the leader if it has joined again, else takes the first who has; False if none."""
        if self.leader is None:
            return False
        if self.members[self.leader].join_waiter is not None:
            return True
        for member in self.members.values():
            if member.join_waiter is not None:
                logger.info(
                    "Group %s: leader %s failed to join before the rebalance timeout; "
                    "member %s was elected",
                    self.group_id,
                    self.leader,
                    member.member_id,
                )
                self.leader = member.member_id
                return True
        return False

    def select_protocol(self) -> str:
        """The protocol that most members prefer among those that all support."""
        candidates = {name for name, count in self.support.items() if count == len(self.members)}
        votes = Counter(member.vote(candidates) for member in self.members.values())
        return votes.most_common(1)[0][0]

    def next_generation(self, time_ms: int) -> None:
        """Begins a generation with the members that are there."""
        self.generation += 1
        self.pending_sync.clear()
        if self.members:
            self.protocol = self.select_protocol()
            self.transition(GroupState.COMPLETING_REBALANCE, time_ms)
        else:
            self.protocol = None
            self.transition(GroupState.EMPTY, time_ms)
