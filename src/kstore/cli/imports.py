"""`kstore import`: takes over the data directories of a Kafka node, to be served by `kstore serve`.

Kafka's files stay as they are; ours are written beside them, last of all. The table says topic by
topic what will be served; what else a person should know goes to stderr.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kstore.cli import output
from kstore.cli.errors import CommandError, warn
from kstore.cli.options import Json
from kstore.cli.output import Column
from kstore.cli.progress import Working

if TYPE_CHECKING:
    from kstore.metadata.importing.plan import ImportPlan, TopicRow

__all__ = ["import_directories"]

_COLUMNS = (
    Column("topic", "TOPIC"),
    Column("topic_id", "TOPIC-ID"),
    Column("partitions", "PARTITIONS"),
    Column("served", "SERVED"),
    Column("size", "SIZE"),
    Column("read_only", "READ-ONLY"),
    Column("configs", "CONFIGS"),
    Column("note", "NOTE"),
)


def import_directories(
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="The data directories of one node: its log.dirs."),
    ],
    metadata_dir: Annotated[
        Path | None,
        typer.Option(
            "--metadata-dir", metavar="DIR", help="Its metadata.log.dir, if that is none of them."
        ),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Partitions that should be here but are not begin empty."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be served, and change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Take over the data directories of a Kafka node (KRaft, 3.7 to 4.3), which must not run."""
    from kstore.errors import StoreError
    from kstore.log.files import Files
    from kstore.metadata.importing.directories import locked_node
    from kstore.metadata.importing.plan import plan_import
    from kstore.metadata.importing.writing import write_import

    files = Files()
    try:
        with ExitStack() as held:
            with Working("reading what Kafka has written"):
                node = held.enter_context(locked_node(directories, metadata_dir, files))
                plan = plan_import(node)
            _show(plan, as_json=json)
            if plan.missing and not allow_missing:
                raise CommandError(
                    f"no directory of {_some(plan.missing)}; name all of the node's log.dirs, or "
                    "let them begin empty with --allow-missing"
                )
            if dry_run:
                return
            write_import(plan, files)
    except (StoreError, OSError) as error:
        raise CommandError(str(error)) from error
    if not json:
        print(f"imported; next: {_serve(plan, directories)}")


def _show(plan: ImportPlan, *, as_json: bool) -> None:
    rows = [_row(row) for row in plan.rows]
    if as_json:
        output.print_json(rows)
    else:
        output.print_table(_COLUMNS, rows)
    node = plan.node
    if node.metadata is None:
        warn(
            f"Kafka's metadata can't be read: {node.reason}. The topics will be read-only, and "
            "nothing of them is deleted or compacted"
        )
    for note in (*plan.notes, *(f"no directory of {name}" for name in plan.missing)):
        warn(note)


def _row(row: TopicRow) -> dict[str, Any]:
    from kstore.log.properties import format_uuid

    return {
        "topic": row.topic,
        "topic_id": row.topic_id and format_uuid(row.topic_id),
        "partitions": row.partitions,
        "served": row.served,
        "size": row.size,
        "read_only": row.read_only,
        "configs": dict(row.configs),
        "note": row.note,
    }


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _serve(plan: ImportPlan, directories: Sequence[Path]) -> str:
    """The command that serves what was imported."""
    words = ["kstore", "serve", "--data-dir", ",".join(map(str, directories))]
    if plan.node.metadata_directory != directories[0].absolute():
        words += ["--set", f"metadata.log.dir={plan.node.metadata_directory}"]
    if plan.node.node_id != 1:
        words += ["--set", f"node.id={plan.node.node_id}"]
    return f"{shlex.join(words)} (add --config with Kafka's server.properties for its defaults)"
