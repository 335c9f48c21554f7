"""A coordinator on a manual clock and an in-memory log, and members that talk to it."""

from __future__ import annotations

from kstore.configs import GroupConfig
from kstore.coordinator.records import GroupMetadataRecord, OffsetCommitRecord, decode_record
from kstore.errors import ErrorCode
from kstore.groups.coordinator import GroupCoordinator
from kstore.groups.values import (
    CommitRequest,
    CommitResult,
    FetchRequest,
    FetchTopic,
    HeartbeatRequest,
    JoinRequest,
    JoinResult,
    LeaveRequest,
    LeaveResult,
    LeavingMember,
    OffsetToCommit,
    SyncRequest,
    SyncResult,
)
from kstore.runtime import Later
from kstore.testing.manual import ManualLog, ManualRuntime

SESSION_MS = 10_000
REBALANCE_MS = 60_000
DELAY_MS = 3_000
RANGE = (("range", b"subscription"),)


class World:
    """One coordinator with all its partitions loaded."""

    def __init__(self, **config: int) -> None:
        self.config = GroupConfig(
            **{"group_initial_rebalance_delay_ms": DELAY_MS, "offsets_topic_num_partitions": 1}
            | config
        )
        self.time = ManualRuntime()
        self.log = ManualLog()
        self.start()

    def start(self) -> None:
        """A coordinator that knows what the log says."""
        self.groups = GroupCoordinator(self.time, self.log, self.config)
        for partition in range(self.config.offsets_topic_num_partitions):
            self.groups.load(partition, self.log.records.get(partition, []))

    def restart(self) -> None:
        """The broker stops and comes again."""
        self.groups.close()
        self.start()

    def state(self, group_id: str = "g") -> str:
        return self.groups.describe_group(group_id).state

    def member(self, **options: object) -> Client:
        return Client(self, **options)  # type: ignore[arg-type]

    def records(self) -> list[OffsetCommitRecord | GroupMetadataRecord]:
        """All that was stored."""
        decoded = [decode_record(*pair) for pairs in self.log.records.values() for pair in pairs]
        return [r for r in decoded if isinstance(r, OffsetCommitRecord | GroupMetadataRecord)]

    def stable(self, count: int, **options: object) -> list[Client]:
        """A stable group of `count` members, the leader first."""
        members = [self.member(**options) for _ in range(count)]
        joins = [member.join() for member in members]
        self.time.advance(DELAY_MS * (2 if count > 1 else 1))
        for member, join in zip(members, joins, strict=True):
            member.take(join)
        members.sort(key=lambda member: not member.is_leader)
        for member in members:
            member.take_part(member.sync({m.member_id: b"part" for m in members}))
        assert self.state(members[0].group_id) == "Stable"
        return members


class Client:
    """A consumer's side of the protocol; it remembers its member id and generation."""

    def __init__(
        self,
        world: World,
        group_id: str = "g",
        instance_id: str | None = None,
        protocols: tuple[tuple[str, bytes], ...] = RANGE,
        session_timeout_ms: int = SESSION_MS,
        rebalance_timeout_ms: int = REBALANCE_MS,
        protocol_type: str = "consumer",
        member_id_required: bool = False,
        can_skip_assignment: bool = True,
    ) -> None:
        self.world = world
        self.group_id = group_id
        self.instance_id = instance_id
        self.protocols = protocols
        self.session_timeout_ms = session_timeout_ms
        self.rebalance_timeout_ms = rebalance_timeout_ms
        self.protocol_type = protocol_type
        self.member_id_required = member_id_required
        self.can_skip_assignment = can_skip_assignment
        self.member_id = ""
        self.generation = -1
        self.leader = ""
        self.assignment = b""

    @property
    def is_leader(self) -> bool:
        return self.leader == self.member_id

    def join(self, reason: str = "") -> Later[JoinResult]:
        return self.world.groups.join(
            JoinRequest(
                self.group_id,
                self.session_timeout_ms,
                self.rebalance_timeout_ms,
                self.protocol_type,
                self.protocols,
                self.member_id,
                self.instance_id,
                "client",
                "/127.0.0.1",
                reason,
                self.member_id_required,
                self.can_skip_assignment,
            )
        )

    def take(self, join: Later[JoinResult]) -> JoinResult:
        """Goes by the answer to a join, as a client does."""
        result = join.result()
        assert result.error is ErrorCode.NONE, result
        self.member_id, self.generation = result.member_id, result.generation
        self.leader = result.leader
        return result

    def sync(self, assignments: dict[str, bytes] | None = None) -> Later[SyncResult]:
        """The leader gives `assignments`, others nothing."""
        given = tuple((assignments or {}).items()) if self.is_leader else ()
        return self.world.groups.sync(
            SyncRequest(
                self.group_id,
                self.member_id,
                self.generation,
                self.instance_id,
                assignments=given,
            )
        )

    def take_part(self, sync: Later[SyncResult]) -> None:
        """Goes by the answer to a sync; leaves a wait open."""
        if sync.done:
            assert sync.result().error is ErrorCode.NONE
            self.assignment = sync.result().assignment

    def beat(self) -> ErrorCode:
        request = HeartbeatRequest(self.group_id, self.member_id, self.generation, self.instance_id)
        return self.world.groups.heartbeat(request).result()

    def leave(self) -> LeaveResult:
        leaving = LeavingMember(self.member_id, self.instance_id, "done")
        return self.world.groups.leave(LeaveRequest(self.group_id, (leaving,))).result()

    def commit(self, offset: int, topic: str = "topic", **options: object) -> ErrorCode:
        """Commits one offset of partition 0 of `topic`."""
        later = self.commit_later(offset, topic, **options)
        (error,) = later.result().errors
        return error

    def commit_later(
        self, offset: int, topic: str = "topic", **options: object
    ) -> Later[CommitResult]:
        return self.world.groups.commit_offsets(
            CommitRequest(
                self.group_id,
                (OffsetToCommit(topic, 0, offset, **options),),  # type: ignore[arg-type]
                self.member_id,
                self.generation,
                self.instance_id,
            )
        )

    def committed(self) -> int:
        """The committed offset of partition 0 of `topic`."""
        request = FetchRequest(self.group_id, (FetchTopic("topic", (0,)),))
        return self.world.groups.fetch_offsets(request).result().topics[0].offsets[0].offset
