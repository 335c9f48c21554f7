"""`kstore aliases`: shell aliases, so that Kafka's names for its tools mean ours.

`eval "$(kstore aliases)"` in a shell, or in the file it starts with, gives kafka-topics,
kafka-topics.sh and so on. Any shell with POSIX aliases reads them.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kstore.cli.errors import CallError

__all__ = ["TOOLS", "aliases"]

# Our commands that are tools of Kafka's; theirs are called kafka- before the same name.
TOOLS = (
    "broker-api-versions",
    "configs",
    "console-consumer",
    "console-producer",
    "consumer-groups",
    "delete-records",
    "dump-log",
    "features",
    "get-offsets",
    "log-dirs",
    "topics",
    "transactions",
)


def aliases(
    command: Annotated[
        str,
        typer.Option("--command", metavar="WORD", help="What runs kstore, if not `kstore`."),
    ] = "kstore",
) -> None:
    """Print shell aliases: eval "$(kstore aliases)" makes kafka-topics and so on mean ours."""
    if "'" in command or not command.strip():
        raise CallError(f"--command {command}: want a command without quotes")
    for name in TOOLS:
        for suffix in ("", ".sh"):
            print(f"alias kafka-{name}{suffix}='{command} {name}'")
