"""A member of a classic group (Kafka's `ClassicGroupMember`).

Deadlines are monotonic milliseconds; infinity means that nothing is expected of the member.
Only `ClassicGroup` changes a member; on the loop.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from kstore.coordinator.records import StoredMember
from kstore.coordinator.runtime import Waiter
from kstore.groups.values import JoinResult, MemberDescription, SyncResult

__all__ = ["Member"]


class Member:
    """Who takes part in a group, with what it supports and what it waits for."""

    __slots__ = (
        "assignment",
        "client_host",
        "client_id",
        "deadline_ms",
        "instance_id",
        "is_new",
        "join_waiter",
        "member_id",
        "protocols",
        "rebalance_timeout_ms",
        "session_timeout_ms",
        "sync_waiter",
    )

    def __init__(
        self,
        member_id: str,
        instance_id: str | None,
        client_id: str,
        client_host: str,
        rebalance_timeout_ms: int,
        session_timeout_ms: int,
        protocols: tuple[tuple[str, bytes], ...],
        assignment: bytes = b"",
    ) -> None:
        self.member_id = member_id
        self.instance_id = instance_id
        self.client_id = client_id
        self.client_host = client_host
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.session_timeout_ms = session_timeout_ms
        self.protocols = protocols
        self.assignment = assignment
        self.join_waiter: Waiter[JoinResult] | None = None
        self.sync_waiter: Waiter[SyncResult] | None = None
        self.is_new = False
        self.deadline_ms = math.inf

    @classmethod
    def restored(cls, stored: StoredMember, protocol: str) -> Member:
        """The member of a stored generation; of its protocols only the chosen one is known."""
        return cls(
            stored.member_id,
            stored.instance_id,
            stored.client_id,
            stored.client_host,
            stored.rebalance_timeout_ms,
            stored.session_timeout_ms,
            ((protocol, stored.subscription),),
            stored.assignment,
        )

    def stored(self, protocol: str, assignment: bytes) -> StoredMember:
        """What a stored generation says of this member."""
        return StoredMember(
            self.member_id,
            self.instance_id,
            self.client_id,
            self.client_host,
            self.rebalance_timeout_ms,
            self.session_timeout_ms,
            self.metadata(protocol),
            assignment,
        )

    def described(self, protocol: str | None) -> MemberDescription:
        """This member for people; with its metadata if there is a chosen protocol."""
        return MemberDescription(
            self.member_id,
            self.instance_id,
            self.client_id,
            self.client_host,
            b"" if protocol is None else self.metadata(protocol),
            self.assignment,
        )

    @property
    def protocol_names(self) -> set[str]:
        return {name for name, _ in self.protocols}

    def metadata(self, protocol: str) -> bytes:
        """What the member said with `protocol`; empty if it does not support it."""
        for name, metadata in self.protocols:
            if name == protocol:
                return metadata
        return b""

    def vote(self, candidates: Collection[str]) -> str:
        """The member's most preferred protocol among `candidates`."""
        return next(name for name, _ in self.protocols if name in candidates)

    @property
    def is_excused(self) -> bool:
        """It waits for us, so no heartbeat is due; a new member must come back all the same."""
        return not self.is_new and (self.join_waiter is not None or self.sync_waiter is not None)
