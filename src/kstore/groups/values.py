"""What the group coordinator is asked and what it answers.

Frozen values, not wire messages: `broker/apis` translates, and turns what a version of a message
can say into the switches below. Times are in milliseconds. Any thread.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from kstore.coordinator.records import NO_UUID
from kstore.coordinator.runtime import InTransaction
from kstore.errors import ErrorCode

__all__ = [
    "CommitRequest",
    "CommitResult",
    "DeleteOffsetsRequest",
    "DeleteOffsetsResult",
    "FetchRequest",
    "FetchResult",
    "FetchTopic",
    "FetchedOffset",
    "FetchedTopic",
    "GroupDescription",
    "GroupListing",
    "HeartbeatRequest",
    "JoinRequest",
    "JoinResult",
    "JoinedMember",
    "LeaveRequest",
    "LeaveResult",
    "LeavingMember",
    "LeftMember",
    "MemberDescription",
    "OffsetToCommit",
    "SyncRequest",
    "SyncResult",
]

NONE = ErrorCode.NONE


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """A member that wants to be part of the next generation.

    `protocols` are names and metadata, the preferred one first; the metadata is opaque to us.
    """

    group_id: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]
    member_id: str = ""
    instance_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    reason: str = ""
    member_id_required: bool = False
    """A new member is first only told its id (JoinGroup v4+, KIP-394)."""
    can_skip_assignment: bool = False
    """A leader that comes back can be told to keep the assignment (v9+, KIP-814)."""


@dataclass(frozen=True, slots=True)
class JoinedMember:
    """A member as the leader sees it."""

    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinResult:
    """The generation a member has joined; `members` for the leader only."""

    error: ErrorCode = NONE
    member_id: str = ""
    generation: int = -1
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    skip_assignment: bool = False
    members: tuple[JoinedMember, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """A member that asks for its part; the leader's carries everyone's."""

    group_id: str
    member_id: str
    generation: int
    instance_id: str | None = None
    protocol_type: str | None = None
    protocol: str | None = None
    assignments: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class SyncResult:
    """A member's part of the generation."""

    error: ErrorCode = NONE
    protocol_type: str | None = None
    protocol: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, slots=True)
class HeartbeatRequest:
    """A member's sign of life."""

    group_id: str
    member_id: str
    generation: int
    instance_id: str | None = None


@dataclass(frozen=True, slots=True)
class LeavingMember:
    """Who leaves: by member id, or a static member by its instance id alone."""

    member_id: str
    instance_id: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeaveRequest:
    """Members that leave a group at once."""

    group_id: str
    members: tuple[LeavingMember, ...]


@dataclass(frozen=True, slots=True)
class LeftMember:
    """What became of one of them."""

    member_id: str
    instance_id: str | None
    error: ErrorCode = NONE


@dataclass(frozen=True, slots=True)
class LeaveResult:
    """What became of a `LeaveRequest`."""

    error: ErrorCode = NONE
    members: tuple[LeftMember, ...] = ()


@dataclass(frozen=True, slots=True)
class OffsetToCommit:
    """An offset for one partition; `metadata` is kept as it is."""

    topic: str
    partition: int
    offset: int
    leader_epoch: int = -1
    metadata: str = ""
    topic_id: uuid.UUID = NO_UUID


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """Offsets to be committed, by a member or (generation -1) by anyone if the group is empty."""

    group_id: str
    offsets: tuple[OffsetToCommit, ...]
    member_id: str = ""
    generation: int = -1
    instance_id: str | None = None
    retention_ms: int = -1
    """How long the client wants them kept (OffsetCommit v2 to v4); -1 leaves it to the broker."""
    knows_group_id_not_found: bool = False
    """The client understands GROUP_ID_NOT_FOUND (OffsetCommit v9+)."""
    transaction: InTransaction | None = None
    """The offsets count once the transaction is committed (TxnOffsetCommit)."""


@dataclass(frozen=True, slots=True)
class CommitResult:
    """One error per offset of the request, in its order."""

    errors: tuple[ErrorCode, ...]


@dataclass(frozen=True, slots=True)
class DeleteOffsetsRequest:
    """Committed offsets to forget: `partitions` are (topic, partition)."""

    group_id: str
    partitions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class DeleteOffsetsResult:
    """The group's error, or one for each partition asked for."""

    error: ErrorCode = NONE
    errors: tuple[ErrorCode, ...] = ()


@dataclass(frozen=True, slots=True)
class FetchTopic:
    """Partitions of a topic whose offsets are wanted; a zero topic id fits any."""

    topic: str
    partitions: tuple[int, ...]
    topic_id: uuid.UUID = NO_UUID


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """Which committed offsets of a group are wanted; `topics` None means all.

    With `require_stable`, none of which an open transaction may have another one committed.
    """

    group_id: str
    topics: tuple[FetchTopic, ...] | None
    require_stable: bool = False


@dataclass(frozen=True, slots=True)
class FetchedOffset:
    """The committed offset of one partition; -1 if there is none, or UNSTABLE_OFFSET_COMMIT."""

    partition: int
    offset: int = -1
    leader_epoch: int = -1
    metadata: str = ""
    error: ErrorCode = NONE


@dataclass(frozen=True, slots=True)
class FetchedTopic:
    """Committed offsets of one topic."""

    topic: str
    topic_id: uuid.UUID
    offsets: tuple[FetchedOffset, ...]


@dataclass(frozen=True, slots=True)
class FetchResult:
    """Committed offsets of a group."""

    error: ErrorCode = NONE
    topics: tuple[FetchedTopic, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupListing:
    """A line in the list of groups."""

    group_id: str
    protocol_type: str
    state: str
    group_type: str


@dataclass(frozen=True, slots=True)
class MemberDescription:
    """A member for people; `metadata` only while the group is stable."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class GroupDescription:
    """A group for people. One that does not exist is "Dead", with GROUP_ID_NOT_FOUND."""

    group_id: str
    error: ErrorCode = NONE
    error_message: str | None = None
    state: str = ""
    protocol_type: str = ""
    protocol: str = ""
    members: tuple[MemberDescription, ...] = ()
