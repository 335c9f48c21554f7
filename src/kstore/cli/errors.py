"""How a command fails: one line on stderr that starts with `kstore: `, and a status.

Status 1 is a failed operation, 2 a wrong call. No other exception of ours leaves a command.
"""

from __future__ import annotations

import sys

__all__ = ["CallError", "CommandError", "report", "warn"]


class CommandError(Exception):
    """The operation failed; the text is for a person and needs no traceback."""

    status = 1


class CallError(CommandError):
    """The command was called wrongly: an option missing, doubled, or with a bad value."""

    status = 2


def report(error: object) -> None:
    """Writes one error line to stderr; a text of several lines is joined."""
    lines = [line.strip() for line in str(error).splitlines()]
    text = "; ".join(line for line in lines if line)
    print(f"kstore: {text or type(error).__name__}", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Writes one line to stderr about something that did not stop the command."""
    print(f"kstore: warning: {text}", file=sys.stderr, flush=True)
