"""The commands besides `serve`, on typer.

Typer (0.29, with pydantic) takes some milliseconds for every option it is told of, so only the
command that is called is built; `kstore --help` is the one call that lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple, TypeVar

import typer

from kstore.cli.errors import CallError, CommandError

__all__ = ["COMMANDS", "Command", "call_with_words", "run_app"]

T = TypeVar("T")


class Command(NamedTuple):
    """One command: where its function lies, and what `kstore --help` says of it."""

    name: str
    function: str
    summary: str
    # Options that may stand without a value, with the value they then have (Kafka's tools allow it,
    # typer knows only options with a value and options without).
    bare_values: dict[str, str] = {}


COMMANDS = (
    Command("serve", "", "Run a broker."),
    Command("topics", "topics:topics", "Create, list, describe, alter or delete topics."),
    Command(
        "console-producer",
        "console_producer:console_producer",
        "Send each line of stdin to a topic.",
        {"--compression-codec": "gzip"},
    ),
    Command("console-consumer", "console_consumer:console_consumer", "Print records of a topic."),
    Command(
        "consumer-groups",
        "consumer_groups:consumer_groups",
        "List, describe or delete consumer groups; reset or delete their offsets.",
        {"--state": "", "--type": ""},
    ),
    Command("configs", "configs:configs", "Show or change configs of topics and brokers."),
    Command("get-offsets", "get_offsets:get_offsets", "Show the end or start of each partition."),
    Command(
        "delete-records", "delete_records:delete_records", "Delete records below given offsets."
    ),
    Command("log-dirs", "log_dirs:log_dirs", "Show data directories and their partitions."),
    Command(
        "broker-api-versions",
        "broker_api_versions:broker_api_versions",
        "Show which APIs each broker serves.",
    ),
    Command("features", "features:features", "Show the features of a cluster."),
    Command("transactions", "", "Show transactions and producers; end transactions that hang."),
    Command("dump-log", "dump_log:dump_log", "Print log segments and their indexes."),
    Command("check", "check:check", "Check a data directory, without changing it."),
    Command(
        "import", "imports:import_directories", "Take over the data directories of a Kafka node."
    ),
    Command("profile", "", "Say what compaction or retention would reclaim, without doing it."),
    Command("bench", "", "Measure a broker, or the embedded engine."),
    Command("aliases", "aliases:aliases", "Print aliases, so that kafka-topics means ours."),
    Command("version", "", "Print the version."),
)

# Typer has no public name for the base class of its call errors; it is the second ancestor of
# BadParameter, whether click is a package of its own or part of typer.
_TyperError: Any = typer.BadParameter.__mro__[2]

_HELP_WORDS = ("--help", "-h", "help")


def run_app(words: Sequence[str]) -> int:
    """Runs the command that `words` name; gives its status. Raises `CommandError`."""
    if not words or words[0] in _HELP_WORDS:
        _print_commands()
        return 0 if words else CallError.status
    for command in COMMANDS:
        if command.name == words[0] and command.function:
            return _run(command, [*complete_bare_options(words[1:], command.bare_values)])
    names = ", ".join(command.name for command in COMMANDS)
    raise CallError(f"no command '{words[0]}'; there are: {names}")


def complete_bare_options(words: Sequence[str], bare_values: dict[str, str]) -> list[str]:
    """Gives each option of `bare_values` that stands without a value the value it then has."""
    complete = []
    for index, word in enumerate(words):
        last = index + 1 == len(words)
        bare = word in bare_values and (last or words[index + 1].startswith("--"))
        complete.append(f"{word}={bare_values[word]}" if bare else word)
    return complete


def _run(command: Command, words: list[str]) -> int:
    module, _, name = command.function.partition(":")
    function: Callable[..., Any] = getattr(import_module(f"kstore.cli.{module}"), name)
    status = call_with_words(function, command.name, words)
    return status if isinstance(status, int) else 0


def call_with_words(function: Callable[..., T], name: str, words: Sequence[str]) -> T | int:
    """What `function`, a typer command, gives when called with these words; 0 after `--help`.

    `name` is the command's, after `kstore `. Raises `CommandError`.
    """
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, help=function.__doc__)(function)
    click_command = typer.main.get_command(app)
    try:
        given: T | int = click_command.main(
            [*words], prog_name=f"kstore {name}", standalone_mode=False
        )
    except _TyperError as error:
        failure = CallError if error.exit_code == CallError.status else CommandError
        raise failure(error.format_message()) from None
    return given


def _print_commands() -> None:
    print("Usage: kstore COMMAND [OPTIONS]\n")
    print("Kafka's tools, and a broker, in one command.\n\nCommands:")
    for command in COMMANDS:
        print(f"  {command.name:21}{command.summary}")
    print("\n`kstore COMMAND --help` lists the options of a command.")
