"""`kstore consumer-groups --reset-offsets`: where groups go on reading, as Kafka's tool moves it.

Only groups without members are moved. Partitions come from `--topic`, from what the group has
committed (`--all-topics`) or from the file; an offset outside the log is moved to its nearer end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import OffsetSpec

from kstore.cli import output
from kstore.cli.clients import Cluster
from kstore.cli.errors import CallError, CommandError, report, warn
from kstore.cli.group_description import committed_offsets, describe_by_name, list_groups, state_of
from kstore.cli.group_options import GroupOptions, ResetOptions
from kstore.cli.instants import parse_datetime_ms, parse_duration_ms
from kstore.cli.offset_plan import Plan, parse_plan, parse_topic, plan_lines
from kstore.cli.output import Column

__all__ = ["partitions_of", "reset_offsets"]

Partition = tuple[str, int]

_COLUMNS = (
    Column("group", "GROUP", 15),
    Column("topic", "TOPIC", 15),
    Column("partition", "PARTITION", 10),
    Column("new_offset", "NEW-OFFSET"),
)

_INACTIVE = ("Empty", "Dead")


def reset_offsets(cluster: Cluster, options: GroupOptions) -> int:
    """Plans, and with `--execute` commits, new offsets; gives the status, 1 if a group has members.

    Raises `CommandError`.
    """
    reset = options.reset
    target = _target(cluster, reset)
    from_file = _read_plan(options)
    names = sorted(set(options.groups))
    if options.all_groups:
        names = [str(row["group"]) for row in list_groups(cluster)]
    status = 0
    plans: dict[str, Plan] = {}
    for name, description in describe_by_name(cluster, names).items():
        state = "Dead" if description is None else state_of(description)
        if state not in _INACTIVE:
            report(
                f"offsets can only be reset if the group '{name}' is inactive,"
                f" but the current state is {state}"
            )
            status = 1
            continue
        if from_file is not None:
            if name not in from_file:
                report(f"no reset plan for group '{name}' in {reset.from_file}")
                status = 1
                continue
            _check_partitions(cluster, from_file[name])
            plans[name] = _clamp(cluster, from_file[name])
        else:
            plans[name] = target(name, _partitions(cluster, name, options))
        if reset.execute and plans[name]:
            _commit(cluster, name, plans[name])
    _print(plans, options)
    return status


def _read_plan(options: GroupOptions) -> Mapping[str, Plan] | None:
    file = options.reset.from_file
    if file is None:
        return None
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return parse_plan(lines, options.groups)
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"{file}: {error}") from None
    except CallError as error:
        raise CallError(f"{file}: {error}") from None


def _partitions(cluster: Cluster, group: str, options: GroupOptions) -> list[Partition]:
    """The partitions that the options name, all of them there. Raises `CommandError`."""
    if options.all_topics:
        chosen: Collection[Partition] = committed_offsets(cluster, [group])[group]
    else:
        chosen = partitions_of(cluster, options.topics)
    _check_partitions(cluster, chosen)
    return sorted(chosen)


def partitions_of(cluster: Cluster, topics: Collection[str]) -> set[Partition]:
    """The partitions of words like `t` and `t:0,1`. Raises `CommandError` for a missing topic."""
    known = cluster.metadata().topics
    chosen: set[Partition] = set()
    for word in topics:
        topic, partitions = parse_topic(word)
        if partitions is None:
            if topic not in known:
                raise CommandError(f"topic '{topic}' does not exist")
            partitions = [*known[topic].partitions]
        chosen.update((topic, partition) for partition in partitions)
    return chosen


def _check_partitions(cluster: Cluster, partitions: Collection[Partition]) -> None:
    known = cluster.metadata().topics
    missing, headless = [], []
    for topic, partition in sorted(partitions):
        facts = known[topic].partitions.get(partition) if topic in known else None
        if facts is None:
            missing.append(f"{topic}-{partition}")
        elif facts.leader < 0:
            headless.append(f"{topic}-{partition}")
    if missing:
        raise CommandError(f'the partitions "{",".join(missing)}" do not exist')
    if headless:
        raise CommandError(f'the partitions "{",".join(headless)}" have no leader')


def _target(
    cluster: Cluster, reset: ResetOptions
) -> Callable[[str, Collection[Partition]], dict[Partition, int]]:
    """What gives a group's partitions their new offsets."""
    earliest, latest = OffsetSpec.earliest, OffsetSpec.latest
    if reset.to_earliest:
        return lambda group, partitions: _offsets(cluster, partitions, earliest())  # type: ignore[no-untyped-call]
    if reset.to_latest:
        return lambda group, partitions: _offsets(cluster, partitions, latest())  # type: ignore[no-untyped-call]
    if reset.to_current:
        return lambda group, partitions: _current(cluster, group, partitions)
    if reset.to_offset is not None:
        offset = reset.to_offset
        return lambda group, partitions: _clamp(cluster, dict.fromkeys(partitions, offset))
    if reset.shift_by is not None:
        step = reset.shift_by
        return lambda group, partitions: _shifted(cluster, group, partitions, step)
    if reset.to_datetime is not None:
        moment_ms = parse_datetime_ms(reset.to_datetime)
    elif reset.by_duration is not None:
        moment_ms = time.time_ns() // 1_000_000 - parse_duration_ms(reset.by_duration)
    else:
        return lambda group, partitions: {}
    return lambda group, partitions: _at_time(cluster, partitions, moment_ms)


def _offsets(
    cluster: Cluster, partitions: Collection[Partition], spec: OffsetSpec
) -> dict[Partition, int]:
    """The offset that `spec` names in each partition. Raises `CommandError`."""
    if not partitions:
        return {}
    asked = {TopicPartition(*key): spec for key in partitions}
    futures = cluster.admin.list_offsets(asked, request_timeout=cluster.timeout_s)
    return {
        (one.topic, one.partition): cluster.wait(future).offset for one, future in futures.items()
    }


def _clamp(cluster: Cluster, wanted: Plan) -> dict[Partition, int]:
    """The offsets, each inside its log; a warning for each that was not."""
    starts = _offsets(cluster, wanted.keys(), OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    ends = _offsets(cluster, wanted.keys(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
    plan = {}
    for key, offset in wanted.items():
        plan[key] = max(min(offset, ends[key]), starts[key])
        if plan[key] != offset:
            than = "higher than latest" if offset > ends[key] else "lower than earliest"
            warn(f"new offset {offset} is {than} of {key[0]}-{key[1]}, it becomes {plan[key]}")
    return plan


def _shifted(
    cluster: Cluster, group: str, partitions: Collection[Partition], step: int
) -> dict[Partition, int]:
    committed = committed_offsets(cluster, [group])[group]
    for topic, partition in partitions:
        if (topic, partition) not in committed:
            raise CommandError(
                f"can't shift the offset of {topic}-{partition}: group '{group}' has none there"
            )
    return _clamp(cluster, {key: committed[key].offset + step for key in partitions})


def _current(
    cluster: Cluster, group: str, partitions: Collection[Partition]
) -> dict[Partition, int]:
    committed = committed_offsets(cluster, [group])[group]
    rest = [key for key in partitions if key not in committed]
    kept = {key: committed[key].offset for key in partitions if key in committed}
    return kept | _offsets(cluster, rest, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def _at_time(
    cluster: Cluster, partitions: Collection[Partition], moment_ms: int
) -> dict[Partition, int]:
    """The first offset at that time or later; the end where there is no such record."""
    # Negative times have meanings of their own in the protocol, and nothing is older than 1970.
    found = _offsets(cluster, partitions, OffsetSpec.for_timestamp(max(0, moment_ms)))
    behind = [key for key, offset in found.items() if offset < 0]
    for topic, partition in behind:
        warn(f"{topic}-{partition} has no record of that time or later, its end is taken")
    return found | _offsets(cluster, behind, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def _commit(cluster: Cluster, group: str, plan: Plan) -> None:
    offsets = [TopicPartition(*key, offset) for key, offset in sorted(plan.items())]
    request = [ConsumerGroupTopicPartitions(group, offsets)]
    futures = cluster.admin.alter_consumer_group_offsets(request, request_timeout=cluster.timeout_s)
    for one in cluster.wait(futures[group]).topic_partitions or ():
        if one.error is not None:
            raise CommandError(f"{one.topic}-{one.partition}: {one.error.str()}")


def _print(plans: Mapping[str, Plan], options: GroupOptions) -> None:
    rows = [
        {"group": group, "topic": topic, "partition": partition, "new_offset": offset}
        for group, plan in plans.items()
        for (topic, partition), offset in sorted(plan.items())
    ]
    if options.reset.export:
        print(plan_lines(plans, with_group=len(options.groups) != 1), end="")
    elif options.as_json:
        output.print_json(rows)
    else:
        print()
        output.print_table(_COLUMNS, rows)
