"""What a cluster knows of consumer groups, as rows: listings, offsets and lag, members, state.

The rows are those of Kafka's `ConsumerGroupCommand`. What confluent-kafka does not ask for, the
epochs of groups of the new protocol (KIP-848), stays empty.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import ConsumerGroupDescription, MemberDescription, OffsetSpec

from kstore.cli import output
from kstore.cli.clients import Cluster, explain
from kstore.cli.errors import CallError, CommandError, report
from kstore.cli.group_options import GroupOptions
from kstore.cli.output import Column

__all__ = [
    "committed_offsets",
    "describe_by_name",
    "describe_groups",
    "list_groups",
    "state_of",
]

Row = dict[str, Any]
Partitions = tuple[str, int]

_STATES = {
    ConsumerGroupState.UNKNOWN: "Unknown",
    ConsumerGroupState.PREPARING_REBALANCING: "PreparingRebalance",
    ConsumerGroupState.COMPLETING_REBALANCING: "CompletingRebalance",
    ConsumerGroupState.STABLE: "Stable",
    ConsumerGroupState.DEAD: "Dead",
    ConsumerGroupState.EMPTY: "Empty",
}

_TYPES = {
    ConsumerGroupType.UNKNOWN: "Unknown",
    ConsumerGroupType.CONSUMER: "Consumer",
    ConsumerGroupType.CLASSIC: "Classic",
}

_REBALANCING = ("PreparingRebalance", "CompletingRebalance")

_OFFSET_COLUMNS = (
    Column("group", "GROUP", 15),
    Column("topic", "TOPIC", 15),
    Column("partition", "PARTITION", 10),
    Column("leader_epoch", "LEADER-EPOCH", 15),
    Column("current_offset", "CURRENT-OFFSET", 15),
    Column("log_end_offset", "LOG-END-OFFSET", 15),
    Column("lag", "LAG", 15),
    Column("consumer_id", "CONSUMER-ID", 15),
    Column("host", "HOST", 15),
    Column("client_id", "CLIENT-ID"),
)

_MEMBER_COLUMNS = (
    Column("group", "GROUP", 15),
    Column("consumer_id", "CONSUMER-ID", 15),
    Column("group_instance_id", "GROUP-INSTANCE-ID", 17),
    Column("host", "HOST", 15),
    Column("client_id", "CLIENT-ID", 15),
    Column("partitions", "#PARTITIONS", 15),
    Column("current_epoch", "CURRENT-EPOCH", 15),
    Column("current_assignment", "CURRENT-ASSIGNMENT", 20),
    Column("target_epoch", "TARGET-EPOCH", 15),
    Column("target_assignment", "TARGET-ASSIGNMENT", 20),
)

_STATE_COLUMNS = (
    Column("group", "GROUP", 15),
    Column("coordinator", "COORDINATOR (ID)", 25),
    Column("assignment_strategy", "ASSIGNMENT-STRATEGY", 20),
    Column("state", "STATE", 20),
    Column("group_epoch", "GROUP-EPOCH", 15),
    Column("target_assignment_epoch", "TARGET-ASSIGNMENT-EPOCH", 25),
    Column("members", "#MEMBERS"),
)

# Columns that only --verbose shows.
_VERBOSE = {
    "leader_epoch",
    "current_epoch",
    "current_assignment",
    "target_epoch",
    "target_assignment",
    "group_epoch",
    "target_assignment_epoch",
}


def list_groups(cluster: Cluster, *, states: str = "", types: str = "") -> list[Row]:
    """One row for each consumer group, by name; only those in the states and of the types named.

    Raises `CallError` for a state or type that there is not.
    """
    filters: dict[str, Any] = {}
    if states:
        filters["states"] = _named(states, _STATES, "state")
    if types:
        filters["types"] = _named(types, _TYPES, "type")
    found = cluster.wait(
        cluster.admin.list_consumer_groups(request_timeout=cluster.timeout_s, **filters)
    )
    for error in found.errors:
        raise CommandError(explain(error.args[0]))
    rows = [
        {"group": one.group_id, "type": _TYPES.get(one.type), "state": _STATES.get(one.state)}
        for one in found.valid
    ]
    return sorted(rows, key=lambda row: str(row["group"]))


def _named(text: str, names: Mapping[Any, str], what: str) -> set[Any]:
    by_name = {name.lower(): value for value, name in names.items() if name != "Unknown"}
    chosen = set()
    for word in text.split(","):
        value = by_name.get(word.strip().lower())
        if value is None:
            valid = ", ".join(name for name in names.values() if name != "Unknown")
            raise CallError(f"no {what} '{word.strip()}'; there are: {valid}")
        chosen.add(value)
    return chosen


def describe_groups(cluster: Cluster, options: GroupOptions) -> int:
    """Prints the groups; gives the status, 1 if one of them does not exist."""
    names = options.groups
    if options.all_groups:
        names = [row["group"] for row in list_groups(cluster)]
    described = describe_by_name(cluster, sorted(set(names)))
    known = {name: one for name, one in described.items() if one is not None}
    if options.members:
        rows = {name: member_rows(name, one) for name, one in known.items()}
        columns = _member_columns(rows.values())
    elif options.state is not None:
        rows = {name: [_state_row(name, one)] for name, one in known.items()}
        columns = _STATE_COLUMNS
    else:
        rows = _offset_rows_of(cluster, known)
        columns = _OFFSET_COLUMNS
    columns = tuple(one for one in columns if options.verbose or one.key not in _VERBOSE)
    if options.as_json:
        output.print_json(_json_row(row, options) for group in rows.values() for row in group)
    else:
        _print(known, rows, columns, even_empty=options.members)
    for name in described.keys() - known.keys():
        report(f"consumer group '{name}' does not exist")
    return 0 if known.keys() == described.keys() else 1


def describe_by_name(
    cluster: Cluster, names: Sequence[str]
) -> dict[str, ConsumerGroupDescription | None]:
    """What each group is; `None` for one that does not exist."""
    if not names:
        return {}
    futures = cluster.admin.describe_consumer_groups(list(names), request_timeout=cluster.timeout_s)
    found = {name: cluster.wait(futures[name]) for name in names}
    dead = ConsumerGroupState.DEAD
    return {name: None if one.state == dead else one for name, one in found.items()}


def _print(
    described: Mapping[str, ConsumerGroupDescription],
    rows: Mapping[str, list[Row]],
    columns: Sequence[Column],
    *,
    even_empty: bool,
) -> None:
    for name, group_rows in rows.items():
        state = state_of(described[name])
        sys.stdout.flush()
        if state == "Empty":
            print(f"\nConsumer group '{name}' has no active members.", file=sys.stderr)
        elif state in _REBALANCING:
            print(f"\nWarning: Consumer group '{name}' is rebalancing.", file=sys.stderr)
        sys.stderr.flush()
        if group_rows or even_empty:
            print()
            output.print_table(columns, group_rows)


def _json_row(row: Row, options: GroupOptions) -> Row:
    """A row for programs: all its keys, save those that only --verbose is asked for."""
    return {key: value for key, value in row.items() if options.verbose or key not in _VERBOSE}


def state_of(description: ConsumerGroupDescription) -> str:
    """The state's name, as Kafka's tool writes it."""
    return _STATES[ConsumerGroupState(description.state)]


def _offset_rows_of(
    cluster: Cluster, described: Mapping[str, ConsumerGroupDescription]
) -> dict[str, list[Row]]:
    committed = committed_offsets(cluster, described)
    wanted = {key for offsets in committed.values() for key in offsets}
    for one in described.values():
        wanted |= {key for member in one.members for key in _assigned(member)}
    ends = _log_end_offsets(cluster, wanted)
    return {name: offset_rows(name, described[name], committed[name], ends) for name in described}


def committed_offsets(
    cluster: Cluster, groups: Iterable[str]
) -> dict[str, dict[Partitions, TopicPartition]]:
    """What each group has committed, by partition. Raises `CommandError`."""
    futures = {
        name: cluster.admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(name)], request_timeout=cluster.timeout_s
        )[name]
        for name in groups
    }
    committed: dict[str, dict[Partitions, TopicPartition]] = {}
    for name, future in futures.items():
        found = cluster.wait(future).topic_partitions or ()
        committed[name] = {(one.topic, one.partition): one for one in found}
    return committed


def _log_end_offsets(cluster: Cluster, wanted: Iterable[Partitions]) -> dict[Partitions, int]:
    """The log end offset of each partition; partitions that can't be asked are left out."""
    asked = {
        TopicPartition(*key): OffsetSpec.latest()  # type: ignore[no-untyped-call]
        for key in sorted(wanted)
    }
    if not asked:
        return {}
    ends = {}
    futures = cluster.admin.list_offsets(asked, request_timeout=cluster.timeout_s)
    for partition, future in futures.items():
        try:
            ends[(partition.topic, partition.partition)] = cluster.outcome(future).offset
        except KafkaException:
            continue  # deleted, or without a leader: Kafka's tool shows such an end as `-`
    return ends


def offset_rows(
    group: str,
    description: ConsumerGroupDescription,
    committed: Mapping[Partitions, TopicPartition],
    ends: Mapping[Partitions, int],
) -> list[Row]:
    """Rows of one group: what members have, what nobody has, and members that have nothing."""

    def row(key: Partitions | None, member: MemberDescription | None) -> Row:
        topic, partition = key if key is not None else (None, None)
        offset = committed.get(key) if key is not None else None
        current = offset.offset if offset is not None and offset.offset >= 0 else None
        end = ends.get(key) if key is not None else None
        return {
            "group": group,
            "topic": topic,
            "partition": partition,
            "leader_epoch": offset.leader_epoch if offset is not None else None,
            "current_offset": current,
            "log_end_offset": end,
            "lag": None if current is None or end is None else end - current,
            "consumer_id": member.member_id if member is not None else None,
            "host": member.host if member is not None else None,
            "client_id": member.client_id if member is not None else None,
        }

    rows = []
    owned = set()
    for member in sorted(description.members, key=_most_partitions_first):
        for key in sorted(_assigned(member)):
            owned.add(key)
            rows.append(row(key, member))
    rows += [row(key, None) for key in sorted(committed.keys() - owned)]
    idle = [member for member in description.members if not _assigned(member)]
    rows += [row(None, member) for member in sorted(idle, key=lambda one: str(one.member_id))]
    return rows


def _assigned(member: MemberDescription) -> list[Partitions]:
    return [(one.topic, one.partition) for one in member.assignment.topic_partitions]


def _most_partitions_first(member: MemberDescription) -> tuple[int, list[Partitions]]:
    assigned = sorted(_assigned(member))
    return -len(assigned), assigned


def member_rows(group: str, description: ConsumerGroupDescription) -> list[Row]:
    """One row for each member of a group."""
    return [
        {
            "group": group,
            "consumer_id": member.member_id,
            "group_instance_id": member.group_instance_id,
            "host": member.host,
            "client_id": member.client_id,
            "partitions": len(_assigned(member)),
            "current_epoch": None,
            "current_assignment": _by_topic(member.assignment.topic_partitions),
            "target_epoch": None,
            "target_assignment": _by_topic(
                member.target_assignment.topic_partitions if member.target_assignment else ()
            ),
        }
        for member in sorted(description.members, key=_most_partitions_first)
    ]


def _by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    by_topic: dict[str, list[int]] = {}
    for one in sorted(partitions, key=lambda one: (one.topic, one.partition)):
        by_topic.setdefault(one.topic, []).append(one.partition)
    return by_topic


def _member_columns(groups: Iterable[Sequence[Row]]) -> tuple[Column, ...]:
    """The member columns; the instance id only if a member has one."""
    static = any(row["group_instance_id"] for rows in groups for row in rows)
    return tuple(one for one in _MEMBER_COLUMNS if static or one.key != "group_instance_id")


def _state_row(group: str, description: ConsumerGroupDescription) -> Row:
    node = description.coordinator
    return {
        "group": group,
        "coordinator": f"{node.host}:{node.port}  ({node.id})",
        "assignment_strategy": description.partition_assignor or None,
        "state": state_of(description),
        "group_epoch": None,
        "target_assignment_epoch": None,
        "members": len(description.members),
    }
