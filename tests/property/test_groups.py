"""Any order of joins, syncs, leaves, heartbeats, commits, failures and restarts comes to rest.

After every step: replaying the log gives what is stored; a group that rests is what is stored of
it; at most one leader, and it is a member; a generation falls in a restart only, and never what
is stored of it. At the end everybody who waits is answered once time passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kstore.coordinator.records import GroupMetadata
from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupState
from kstore.groups.shard import Shard
from kstore.groups.values import LeaveRequest, LeavingMember
from kstore.runtime import Later
from tests.unit.groups.support import DELAY_MS, REBALANCE_MS, SESSION_MS, Client, World

PROTOCOLS = st.sampled_from(
    [
        (("range", b"1"),),
        (("range", b"2"),),
        (("sticky", b"1"), ("range", b"1")),
        (("range", b"1"), ("sticky", b"1")),
    ]
)


CLIENTS = st.integers(0, 4)


class Groups(RuleBasedStateMachine):
    """Five clients of one group, each with at most one request under way, as real ones are."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(group_max_size=4)
        self.clients = [
            self.world.member(instance_id=instance, member_id_required=needs_id)
            for instance, needs_id in [
                (None, True),
                (None, True),
                (None, False),
                ("i-1", False),
                ("i-1", False),
            ]
        ]
        self.waiting: dict[Client, tuple[Later[Any], Callable[[Any], None]]] = {}
        self.answers: list[Later[Any]] = []
        self.generation = 0
        self.stored_generation = 0
        self.unstored = False

    # What a client does with an answer

    def ask(self, client: Client, later: Later[Any], take: Callable[[Any], None]) -> None:
        self.waiting[client] = (later, take)
        self.answers.append(later)
        self.settle()

    def settle(self) -> None:
        """Lets clients go by the answers that have come."""
        for client, (later, take) in list(self.waiting.items()):
            if later.done:
                del self.waiting[client]
                take(later.result())

    def joined(self, client: Client) -> Callable[[Any], None]:
        def take(result: Any) -> None:
            if result.error is ErrorCode.NONE:
                client.member_id, client.generation = result.member_id, result.generation
                client.leader = result.leader
            elif result.error is ErrorCode.MEMBER_ID_REQUIRED:
                client.member_id = result.member_id
            elif result.error is not ErrorCode.REBALANCE_IN_PROGRESS:
                client.member_id, client.generation = "", -1

        return take

    # Rules

    def start_join(self, client: Client) -> None:
        if client not in self.waiting:
            self.ask(client, client.join(), self.joined(client))

    def start_sync(self, client: Client) -> None:
        if client in self.waiting or not client.member_id:
            return
        described = self.world.groups.describe_group("g")
        parts = {member.member_id: member.member_id.encode() for member in described.members}
        self.ask(client, client.sync(parts), lambda result: None)

    @rule(who=CLIENTS)
    def join(self, who: int) -> None:
        self.start_join(self.clients[who])

    @rule(who=CLIENTS, protocols=PROTOCOLS, skips=st.booleans())
    def change_and_join(
        self, who: int, protocols: tuple[tuple[str, bytes], ...], skips: bool
    ) -> None:
        client = self.clients[who]
        client.protocols, client.can_skip_assignment = protocols, skips
        self.start_join(client)

    @rule(who=st.sets(CLIENTS))
    def join_together(self, who: set[int]) -> None:
        """What makes generations: some join, those that must a second time, and time passes."""
        for index in [*who, *who]:
            self.start_join(self.clients[index])
        self.pass_time(2 * DELAY_MS)

    @rule(who=CLIENTS)
    def sync(self, who: int) -> None:
        self.start_sync(self.clients[who])

    @rule()
    def sync_together(self) -> None:
        for client in self.clients:
            self.start_sync(client)

    @rule(who=CLIENTS)
    def beat(self, who: int) -> None:
        client = self.clients[who]
        if client not in self.waiting and not self.world.log.held_count:
            client.beat()

    @rule(who=CLIENTS)
    def start_again(self, who: int) -> None:
        """The client's process dies and comes again; what it waited for is answered to nobody."""
        client = self.clients[who]
        self.waiting.pop(client, None)
        client.member_id, client.generation, client.leader = "", -1, ""

    @rule(who=CLIENTS)
    def leave(self, who: int) -> None:
        client = self.clients[who]
        if client not in self.waiting:
            leaving = (LeavingMember(client.member_id, client.instance_id),)
            later = self.world.groups.leave(LeaveRequest("g", leaving))
            self.ask(client, later, lambda result: None)

    @rule(who=CLIENTS, offset=st.integers(0, 9))
    def commit(self, who: int, offset: int) -> None:
        client = self.clients[who]
        if client not in self.waiting:
            self.ask(client, client.commit_later(offset), lambda result: None)

    @rule(ms=st.sampled_from([1, DELAY_MS, SESSION_MS // 2, SESSION_MS, REBALANCE_MS]))
    def pass_time(self, ms: int) -> None:
        self.world.time.advance(ms)
        self.settle()

    @rule()
    def delete(self) -> None:
        later = self.world.groups.delete_group("g")

        def deleted(answer: Later[ErrorCode]) -> None:
            if answer.result() is ErrorCode.NONE:
                self.generation = self.stored_generation = 0
                self.unstored = False

        later.then(deleted)

    @rule()
    def hold_appends(self) -> None:
        self.world.log.hold = True

    @rule(fails=st.booleans())
    def go_on(self, fails: bool) -> None:
        """What was being stored is stored, or the first of it is not."""
        self.world.log.hold = False
        if fails and self.world.log.held_count:
            self.unstored = True
            self.world.log.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS)
        while self.world.log.held_count:
            self.world.log.commit_next()
        self.settle()

    @rule()
    def restart(self) -> None:
        self.go_on(fails=False)
        self.world.restart()
        self.settle()
        self.generation = self.stored_generation
        self.unstored = False

    # Invariants

    @property
    def shard(self) -> Shard:
        return self.world.groups._shards.get(0)

    @invariant()
    def replay_gives_what_is_stored(self) -> None:
        other = World(group_max_size=4)
        other.log.records = self.world.log.records
        other.start()
        replayed = other.groups._shards.get(0)
        assert replayed.stored == self.shard.stored
        assert replayed.offsets._groups == self.shard.offsets._groups

    @invariant()
    def the_group_is_whole(self) -> None:
        group = self.shard.groups.get("g")
        if group is None:
            return
        assert group.leader is None or group.leader in group.members
        assert bool(group.members) == (group.leader is not None)
        assert not set(group.pending) & set(group.members)
        assert group.awaiting_join_count == sum(
            member.join_waiter is not None for member in group.members.values()
        )
        assert {
            name: group.members[owner].instance_id for name, owner in group.instances.items()
        } == {name: name for name in group.instances}
        for name, count in group.support.items():
            assert count == sum(name in m.protocol_names for m in group.members.values())
        if group.state is not GroupState.EMPTY and not self.world.log.held_count:
            assert self.world.time.timer_count > 0

    @invariant()
    def generations_never_fall(self) -> None:
        group = self.shard.groups.get("g")
        if group is not None and not self.world.log.held_count:
            assert group.generation >= self.generation
            self.generation = group.generation
        stored = self.shard.stored.get("g")
        if stored is not None:
            assert stored.generation >= self.stored_generation
            self.stored_generation = stored.generation

    @invariant()
    def a_group_that_rests_is_what_is_stored(self) -> None:
        group = self.shard.groups.get("g")
        stored = self.shard.stored.get("g")
        if group is None or self.world.log.held_count or self.unstored:
            return
        if group.state is GroupState.STABLE or (group.state is GroupState.EMPTY and stored):
            assert stored is not None
            assert _timeless(group.metadata(group.assignments())) == _timeless(stored)
            restored = ClassicGroup.restored("g", stored)
            assert (restored.state, restored.leader) == (group.state, group.leader)

    def teardown(self) -> None:
        """Given time, the group comes to rest and nobody waits."""
        self.go_on(fails=False)
        for _ in range(8):
            self.pass_time(REBALANCE_MS)
        assert all(answer.done for answer in self.answers)
        assert self.world.state() in ("Empty", "Dead")
        assert self.world.time.timer_count == 0


def _timeless(metadata: GroupMetadata) -> tuple[object, ...]:
    return (
        metadata.protocol_type,
        metadata.generation,
        metadata.protocol,
        metadata.leader,
        metadata.members,
    )


TestGroups = Groups.TestCase
TestGroups.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
