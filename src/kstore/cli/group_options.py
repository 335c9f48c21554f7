"""The options of `kstore consumer-groups`, as typer annotations and as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AllGroups",
    "AllTopics",
    "ByDuration",
    "Delete",
    "DeleteOffsets",
    "Describe",
    "DryRun",
    "Execute",
    "Export",
    "FromFile",
    "Group",
    "GroupOptions",
    "List",
    "Members",
    "Offsets",
    "ResetOffsets",
    "ResetOptions",
    "ShiftBy",
    "State",
    "Timeout",
    "ToCurrent",
    "ToDatetime",
    "ToEarliest",
    "ToLatest",
    "ToOffset",
    "Topic",
    "Type",
    "Verbose",
]

List = Annotated[bool, typer.Option("--list", help="List consumer groups.")]
Describe = Annotated[
    bool, typer.Option("--describe", help="Show offsets and lag, members or state.")
]
Delete = Annotated[bool, typer.Option("--delete", help="Delete groups with all their offsets.")]
ResetOffsets = Annotated[
    bool, typer.Option("--reset-offsets", help="Move the offsets of groups without members.")
]
DeleteOffsets = Annotated[
    bool, typer.Option("--delete-offsets", help="Delete a group's offsets of topics.")
]
Group = Annotated[list[str] | None, typer.Option("--group", help="A group; may be repeated.")]
AllGroups = Annotated[bool, typer.Option("--all-groups", help="All groups.")]
Topic = Annotated[
    list[str] | None,
    typer.Option(
        "--topic",
        metavar="TOPIC[:0,1,...]",
        help="A topic, or some of its partitions; may be repeated.",
    ),
]
AllTopics = Annotated[
    bool, typer.Option("--all-topics", help="All partitions that the group has offsets of.")
]
Offsets = Annotated[
    bool, typer.Option("--offsets", help="Describe partitions with offsets (the default).")
]
Members = Annotated[bool, typer.Option("--members", help="Describe members.")]
State = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="[STATES]",
        help="Describe the state; or list states, or only groups in some, with commas.",
    ),
]
Type = Annotated[
    str | None,
    typer.Option(
        "--type", metavar="[TYPES]", help="List types, or only groups of some, with commas."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Describe more.")]
Timeout = Annotated[
    int, typer.Option("--timeout", metavar="MS", help="How long to wait for answers.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the offsets (the default).")]
Execute = Annotated[bool, typer.Option("--execute", help="Commit the offsets.")]
Export = Annotated[bool, typer.Option("--export", help="Print the offsets as CSV.")]
ToOffset = Annotated[
    int | None, typer.Option("--to-offset", metavar="OFFSET", help="Reset to this offset.")
]
ToDatetime = Annotated[
    str | None,
    typer.Option(
        "--to-datetime",
        metavar="YYYY-MM-DDTHH:mm:SS.sss",
        help="Reset to the first record of that time or later; UTC, or with Z or ±hh:mm.",
    ),
]
ByDuration = Annotated[
    str | None,
    typer.Option(
        "--by-duration", metavar="PnDTnHnMnS", help="Reset to what arrived that long ago."
    ),
]
ToEarliest = Annotated[bool, typer.Option("--to-earliest", help="Reset to the first record.")]
ToLatest = Annotated[bool, typer.Option("--to-latest", help="Reset to the end.")]
ToCurrent = Annotated[
    bool, typer.Option("--to-current", help="Reset to the committed offset; else to the end.")
]
ShiftBy = Annotated[
    int | None,
    typer.Option("--shift-by", metavar="N", help="Shift the committed offset by N, or by -N."),
]
FromFile = Annotated[
    Path | None,
    typer.Option("--from-file", metavar="FILE", help="Reset to the offsets of a CSV file."),
]


@dataclass(frozen=True, slots=True)
class ResetOptions:
    """Where `--reset-offsets` moves offsets to; `None` is an option not given."""

    to_offset: int | None = None
    to_datetime: str | None = None
    by_duration: str | None = None
    to_earliest: bool = False
    to_latest: bool = False
    to_current: bool = False
    shift_by: int | None = None
    from_file: Path | None = None
    dry_run: bool = False
    execute: bool = False
    export: bool = False

    @property
    def scenarios(self) -> list[str]:
        """The options that say where to, of which there must be one."""
        given = {
            "--to-offset": self.to_offset is not None,
            "--to-datetime": self.to_datetime is not None,
            "--by-duration": self.by_duration is not None,
            "--to-earliest": self.to_earliest,
            "--to-latest": self.to_latest,
            "--to-current": self.to_current,
            "--shift-by": self.shift_by is not None,
            "--from-file": self.from_file is not None,
        }
        return [name for name, present in given.items() if present]


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """What one call of `kstore consumer-groups` asks for; `None` is an option not given."""

    groups: Sequence[str]
    all_groups: bool
    topics: Sequence[str]
    all_topics: bool
    members: bool
    offsets: bool
    state: str | None
    type: str | None
    verbose: bool
    reset: ResetOptions
    as_json: bool
