"""`kstore consumer-groups`: Kafka's kafka-consumer-groups (`ConsumerGroupCommand`).

Flags, columns and texts are Kafka's. Differences: a member without partitions has a row in
`--describe` too, not only in `--describe --members`, so that idle consumers can be seen; what could
not be done is one line on stderr and status 1. Not there: `--validate-regex`, which asks Google's
RE2 and no broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kstore.cli import group_options as option
from kstore.cli import output
from kstore.cli.errors import CallError, warn
from kstore.cli.group_options import GroupOptions, ResetOptions
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.output import Column
from kstore.cli.properties import read_properties

if TYPE_CHECKING:
    from kstore.cli.clients import Cluster

__all__ = ["consumer_groups"]


def consumer_groups(
    bootstrap_server: BootstrapServer,
    list_: option.List = False,
    describe: option.Describe = False,
    delete: option.Delete = False,
    reset_offsets: option.ResetOffsets = False,
    delete_offsets: option.DeleteOffsets = False,
    group: option.Group = None,
    all_groups: option.AllGroups = False,
    topic: option.Topic = None,
    all_topics: option.AllTopics = False,
    offsets: option.Offsets = False,
    members: option.Members = False,
    state: option.State = None,
    type_: option.Type = None,
    verbose: option.Verbose = False,
    to_offset: option.ToOffset = None,
    to_datetime: option.ToDatetime = None,
    by_duration: option.ByDuration = None,
    to_earliest: option.ToEarliest = False,
    to_latest: option.ToLatest = False,
    to_current: option.ToCurrent = False,
    shift_by: option.ShiftBy = None,
    from_file: option.FromFile = None,
    dry_run: option.DryRun = False,
    execute: option.Execute = False,
    export: option.Export = False,
    timeout_ms: option.Timeout = 30_000,
    command_config: CommandConfig = None,
    json: Json = False,
) -> int:
    """List, describe or delete consumer groups, or reset or delete their offsets."""
    reset = ResetOptions(
        to_offset=to_offset,
        to_datetime=to_datetime,
        by_duration=by_duration,
        to_earliest=to_earliest,
        to_latest=to_latest,
        to_current=to_current,
        shift_by=shift_by,
        from_file=from_file,
        dry_run=dry_run,
        execute=execute,
        export=export,
    )
    options = GroupOptions(
        groups=group or (),
        all_groups=all_groups,
        topics=topic or (),
        all_topics=all_topics,
        members=members,
        offsets=offsets,
        state=state,
        type=type_,
        verbose=verbose,
        reset=reset,
        as_json=json,
    )
    given = {
        "--list": list_,
        "--describe": describe,
        "--delete": delete,
        "--reset-offsets": reset_offsets,
        "--delete-offsets": delete_offsets,
    }
    action = _action([name for name, present in given.items() if present])
    _check(action, options)

    from kstore.cli.clients import Cluster

    cluster = Cluster(
        bootstrap_server, read_properties(command_config), timeout_s=timeout_ms / 1000
    )
    return _run(action, cluster, options)


def _action(given: Sequence[str]) -> str:
    if len(given) != 1:
        raise CallError(
            "want exactly one of --list, --describe, --delete, --reset-offsets, --delete-offsets"
        )
    return given[0]


def _run(action: str, cluster: Cluster, options: GroupOptions) -> int:
    # Each action lies in a module of its own, so that only what is asked for is imported.
    match action:
        case "--list":
            _list(cluster, options)
            return 0
        case "--describe":
            from kstore.cli.group_description import describe_groups

            return describe_groups(cluster, options)
        case "--reset-offsets":
            from kstore.cli.offset_reset import reset_offsets

            return reset_offsets(cluster, options)
        case "--delete":
            from kstore.cli.group_deletion import delete_groups

            return delete_groups(cluster, options)
        case _:
            from kstore.cli.group_deletion import delete_offsets

            return delete_offsets(cluster, options)


def _check(action: str, options: GroupOptions) -> None:
    """Refuses options that don't go together, as Kafka's tool does."""
    reset = options.reset
    scoped = ("--describe", "--delete", "--reset-offsets")
    only_with: dict[str, tuple[object, tuple[str, ...]]] = {
        "--group": (options.groups, (*scoped, "--delete-offsets")),
        "--all-groups": (options.all_groups, scoped),
        "--topic": (options.topics, ("--reset-offsets", "--delete-offsets")),
        "--all-topics": (options.all_topics, ("--reset-offsets",)),
        "--members": (options.members, ("--describe",)),
        "--offsets": (options.offsets, ("--describe",)),
        "--verbose": (options.verbose, ("--describe",)),
        "--state": (options.state is not None, ("--list", "--describe")),
        "--type": (options.type is not None, ("--list",)),
        "--dry-run": (reset.dry_run, ("--reset-offsets",)),
        "--execute": (reset.execute, ("--reset-offsets",)),
        "--export": (reset.export, ("--reset-offsets",)),
        **dict.fromkeys(reset.scenarios, (True, ("--reset-offsets",))),
    }
    for name, (given, actions) in only_with.items():
        if given and action not in actions:
            raise CallError(f"{name} can't be used with {action}")
    if action in scoped and bool(options.groups) == options.all_groups:
        raise CallError(f"{action} takes one of --group and --all-groups")
    if action == "--delete-offsets" and not (len(options.groups) == 1 and options.topics):
        raise CallError("--delete-offsets takes one --group and --topic")
    if action == "--describe":
        _check_describe(options)
    if action == "--reset-offsets":
        _check_reset(options)


def _check_describe(options: GroupOptions) -> None:
    if options.state:
        raise CallError("--describe does not take a value for --state")
    if options.members + options.offsets + (options.state is not None) > 1:
        raise CallError("--describe takes at most one of --members, --offsets, --state")


def _check_reset(options: GroupOptions) -> None:
    reset = options.reset
    if reset.dry_run and reset.execute:
        raise CallError("--reset-offsets takes only one of --execute and --dry-run")
    if len(reset.scenarios) != 1:
        raise CallError(
            "--reset-offsets takes one of --to-earliest, --to-latest, --to-offset, --shift-by,"
            " --to-datetime, --by-duration, --to-current, --from-file"
        )
    if reset.from_file is None and not (options.topics or options.all_topics):
        raise CallError("--reset-offsets takes one of --all-topics and --topic")
    if not reset.dry_run and not reset.execute:
        warn("nothing is changed without --execute; --dry-run says so without this line")


def _list(cluster: Cluster, options: GroupOptions) -> None:
    from kstore.cli.group_description import list_groups

    rows = list_groups(cluster, states=options.state or "", types=options.type or "")
    columns = [Column("group", "GROUP", 25)]
    if options.type is not None:
        columns.append(Column("type", "TYPE", 20))
    if options.state is not None:
        columns.append(Column("state", "STATE", 20))
    shown: list[dict[str, Any]] = [
        {column.key: row[column.key] for column in columns} for row in rows
    ]
    if options.as_json:
        output.print_json(shown)
    elif len(columns) > 1:
        output.print_table(columns, shown)
    else:
        for row in shown:
            print(row["group"])
