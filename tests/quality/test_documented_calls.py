"""The calls of `kstore` that documents show: the commands and their options exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

from kstore.cli.app import COMMANDS
from kstore.cli.bench.app import BENCHMARKS
from kstore.cli.profile import PROFILES
from kstore.cli.serve import parser
from kstore.cli.transactions import COMMANDS as TRANSACTIONS
from tests.quality.tree import name_of, tracked_files

CODE = re.compile(r"^```.*?^```|`[^`]+`|^ {4,}\S[^\n]*$", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?<![\w./-])kstore ([a-z][a-z-]+)([^|`\n]*)")
OPTION = re.compile(r"(?<!\S)--[a-zA-Z-]+")


def calls(text: str) -> Iterator[tuple[str, set[str]]]:
    """The command and the options of each call in the code of a document."""
    for code in CODE.findall(text):
        for command, rest in CALL.findall(code.replace("\\\n", " ")):
            yield command, set(OPTION.findall(rest))


@cache
def options_of(command: str) -> set[str]:
    if command == "serve":
        return {word for one in parser()._actions for word in one.option_strings}
    functions: list[Callable[..., Any]]
    if command == "bench":
        functions = [one.options for one in BENCHMARKS]
    elif command == "transactions":
        functions = [*TRANSACTIONS.values()]
    elif command == "profile":
        functions = [*PROFILES.values()]
    else:
        (place,) = (one.function for one in COMMANDS if one.name == command)
        module, _, name = place.partition(":")
        functions = [getattr(import_module(f"kstore.cli.{module}"), name)] if name else []
    return {word for one in functions for word in typer_options(one)}


def typer_options(function: Callable[..., Any]) -> Iterator[str]:
    app = typer.Typer(add_completion=False)
    app.command()(function)
    for parameter in typer.main.get_command(app).params:
        yield from parameter.opts


def unknown(text: str) -> list[str]:
    names = {command.name for command in COMMANDS}
    found = []
    for command, options in calls(text):
        if command not in names:
            found.append(command)
        else:
            known = options_of(command) | {"--help"}
            found += [f"{command} {option}" for option in sorted(options - known)]
    return found


def documents() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".md"]


def test_every_call_that_is_shown_can_be_made() -> None:
    texts = {name_of(one): one.read_text(encoding="utf-8") for one in documents()}
    assert len([*calls(texts["docs/operations.md"])]) > 5
    assert {name: bad for name, text in texts.items() if (bad := unknown(text))} == {}


def test_a_wrong_call_is_caught() -> None:
    text = (
        "We say `kstore topics --lost`.\n\n    echo | kstore chek DIR\n    kstore serve --daemon\n"
    )
    assert unknown(text) == ["topics --lost", "chek", "serve --daemon"]
