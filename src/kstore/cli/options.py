"""Options that several commands share, as typer annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["BootstrapServer", "CommandConfig", "Json"]

BootstrapServer = Annotated[
    str,
    typer.Option(
        "--bootstrap-server", metavar="HOST:PORT", help="The broker to ask, or several with commas."
    ),
]
CommandConfig = Annotated[
    Path | None,
    typer.Option("--command-config", metavar="FILE", help="Properties file for the client."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print rows as JSON, with the column names in snake case.")
]
