"""`kstore check`: is a data directory sound? Changes nothing; one line for each fault."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kstore.cli import output
from kstore.cli.errors import CallError
from kstore.cli.options import Json
from kstore.cli.output import Column
from kstore.cli.progress import Working

__all__ = ["check"]

_COLUMNS = (Column("file", "FILE"), Column("position", "POSITION"), Column("reason", "REASON"))


def check(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A data directory, or that of one partition.")
    ],
    json: Json = False,
) -> int:
    """Check a data directory that no broker is using; status 1 if there are faults."""
    from kstore.log.check import check as find_faults

    if not directory.is_dir():
        raise CallError(f"{directory} is no directory")
    with Working(f"checking {directory}"):
        faults = find_faults(directory)
    rows = [asdict(fault) for fault in faults]
    if json:
        output.print_json(rows)
    elif not faults:
        print(f"{directory}: no fault found")
    elif output.for_people():
        output.print_table(_COLUMNS, rows)
    else:
        for fault in faults:
            print(fault)
    return 1 if faults else 0
