"""Groups for people: one line each, or everything (Kafka's listGroups and describeGroups)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from kstore.errors import ErrorCode
from kstore.groups.classic import ClassicGroup, GroupState
from kstore.groups.values import GroupDescription, GroupListing

__all__ = ["describe", "listed"]

_CLASSIC = "classic"


def listed(
    groups: Iterable[ClassicGroup], states: Collection[str], types: Collection[str]
) -> Iterator[GroupListing]:
    """The groups whose state and type are among those given, in any case; empty means all.

    A state or type that does not exist fits no group.
    """
    wanted_states = {state.strip().lower() for state in states}
    if types and _CLASSIC not in {name.lower() for name in types}:
        return
    for group in groups:
        if not wanted_states or group.state.value.lower() in wanted_states:
            yield GroupListing(
                group.group_id, group.protocol_type or "", group.state.value, _CLASSIC
            )


def describe(group_id: str, group: ClassicGroup | None) -> GroupDescription:
    """A group with its members; their metadata only while it is stable."""
    if group is None:
        return GroupDescription(
            group_id,
            ErrorCode.GROUP_ID_NOT_FOUND,
            f"Group {group_id} not found.",
            GroupState.DEAD.value,
        )
    protocol = group.protocol if group.state is GroupState.STABLE else None
    return GroupDescription(
        group_id,
        state=group.state.value,
        protocol_type=group.protocol_type or "",
        protocol=protocol or "",
        members=tuple(member.described(protocol) for member in group.members.values()),
    )
