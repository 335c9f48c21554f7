"""`kstore consumer-groups`: Kafka's kafka-consumer-groups, `--list` and `--describe`.

Flags, columns and texts are Kafka's. One difference: a member without partitions has a row in
`--describe` too, not only in `--describe --members`, so that idle consumers can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kstore.cli import output
from kstore.cli.errors import CallError
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.output import Column
from kstore.cli.properties import read_properties

if TYPE_CHECKING:
    from kstore.cli.clients import Cluster

__all__ = ["consumer_groups"]


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """What one call of `kstore consumer-groups` asks for; `None` is an option not given."""

    groups: Sequence[str]
    all_groups: bool
    members: bool
    offsets: bool
    state: str | None
    type: str | None
    verbose: bool
    as_json: bool


def consumer_groups(
    bootstrap_server: BootstrapServer,
    list_: Annotated[bool, typer.Option("--list", help="List consumer groups.")] = False,
    describe: Annotated[
        bool, typer.Option("--describe", help="Show offsets and lag, members or state.")
    ] = False,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group; may be repeated.")
    ] = None,
    all_groups: Annotated[bool, typer.Option("--all-groups", help="All groups.")] = False,
    offsets: Annotated[
        bool, typer.Option("--offsets", help="Describe partitions with offsets (the default).")
    ] = False,
    members: Annotated[bool, typer.Option("--members", help="Describe members.")] = False,
    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            metavar="[STATES]",
            help="Describe the state; or list states, or only groups in some, with commas.",
        ),
    ] = None,
    type_: Annotated[
        str | None,
        typer.Option(
            "--type", metavar="[TYPES]", help="List types, or only groups of some, with commas."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Describe more.")] = False,
    timeout_ms: Annotated[
        int, typer.Option("--timeout", metavar="MS", help="How long to wait for answers.")
    ] = 30_000,
    command_config: CommandConfig = None,
    json: Json = False,
) -> int:
    """List consumer groups, or describe their offsets, members and state."""
    options = GroupOptions(
        groups=group or (),
        all_groups=all_groups,
        members=members,
        offsets=offsets,
        state=state,
        type=type_,
        verbose=verbose,
        as_json=json,
    )
    if list_ == describe:
        raise CallError("want exactly one of --list and --describe")
    _check(options, listing=list_)

    from kstore.cli.clients import Cluster

    settings = read_properties(command_config)
    cluster = Cluster(bootstrap_server, settings, timeout_s=timeout_ms / 1000)
    if list_:
        _list(cluster, options)
        return 0

    from kstore.cli.group_description import describe_groups

    return describe_groups(cluster, options)


def _check(options: GroupOptions, *, listing: bool) -> None:
    """Refuses options that don't go together, as Kafka's tool does."""
    if listing:
        given = {
            "--group": options.groups,
            "--all-groups": options.all_groups,
            "--members": options.members,
            "--offsets": options.offsets,
            "--verbose": options.verbose,
        }
        for name, value in given.items():
            if value:
                raise CallError(f"{name} can't be used with --list")
        return
    if options.type is not None:
        raise CallError("--type can't be used with --describe")
    if options.state:
        raise CallError("--describe does not take a value for --state")
    if bool(options.groups) == options.all_groups:
        raise CallError("--describe takes one of --group and --all-groups")
    if options.members + options.offsets + (options.state is not None) > 1:
        raise CallError("--describe takes at most one of --members, --offsets, --state")


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
