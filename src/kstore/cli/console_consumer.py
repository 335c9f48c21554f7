"""`kstore console-consumer`: Kafka's kafka-console-consumer.

Records go to stdout as they come, until `--max-messages`, `--timeout-ms`, SIGINT or SIGTERM, or
until nobody reads stdout any more; all of these are good ends. At the end stderr says how many
records were processed, in Kafka's words.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from typing import TYPE_CHECKING, Annotated

import typer

from kstore.cli.errors import CallError
from kstore.cli.options import BootstrapServer, CommandConfig
from kstore.cli.properties import parse_pairs, read_properties
from kstore.cli.record_format import RecordFormat, as_json

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from kstore.cli.clients import Watch
    from kstore.cli.consumption import Reader

__all__ = ["console_consumer"]

_DEFAULT_FORMATTER = "DefaultMessageFormatter"


@dataclass(frozen=True, slots=True)
class _Source:
    """What is to be read: a topic or a pattern; by a group, or one partition, or all of them."""

    topic: str | None
    include: str | None
    partition: int | None
    offset: str | None
    from_beginning: bool
    group: str | None


@dataclass(frozen=True, slots=True)
class _Limits:
    """When to stop: after so many records (-1: never), or after so many seconds without one."""

    max_messages: int
    timeout_s: float | None


def console_consumer(
    bootstrap_server: BootstrapServer,
    topic: Annotated[str | None, typer.Option("--topic", help="The topic to read.")] = None,
    include: Annotated[
        str | None, typer.Option("--include", help="Read the topics that this expression matches.")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start at the first record, not at the end.")
    ] = False,
    group: Annotated[str | None, typer.Option("--group", help="Read as member of a group.")] = None,
    max_messages: Annotated[
        int, typer.Option("--max-messages", help="Stop after so many records.")
    ] = -1,
    timeout_ms: Annotated[
        int, typer.Option("--timeout-ms", help="Stop when no record comes for so long.")
    ] = -1,
    partition: Annotated[
        int | None, typer.Option("--partition", help="Read one partition only.")
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option("--offset", help="Where to start in it: a number, earliest or latest."),
    ] = None,
    formatter_property: Annotated[
        list[str] | None,
        typer.Option(
            "--formatter-property",
            "--property",
            metavar="KEY=VALUE",
            help="How records are printed: print.timestamp, .partition, .offset, .epoch, .headers, "
            ".key, .value; key.separator, line.separator, headers.separator, null.literal; "
            "key.deserializer, value.deserializer, headers.deserializer.",
        ),
    ] = None,
    formatter_config: Annotated[
        Path | None,
        typer.Option("--formatter-config", metavar="FILE", help="The same, in a file."),
    ] = None,
    key_deserializer: Annotated[
        str | None, typer.Option("--key-deserializer", help="As key.deserializer.")
    ] = None,
    value_deserializer: Annotated[
        str | None, typer.Option("--value-deserializer", help="As value.deserializer.")
    ] = None,
    formatter: Annotated[
        str, typer.Option("--formatter", help="Only Kafka's DefaultMessageFormatter is known.")
    ] = _DEFAULT_FORMATTER,
    isolation_level: Annotated[
        str | None,
        typer.Option("--isolation-level", help="read_uncommitted (default) or read_committed."),
    ] = None,
    skip_message_on_error: Annotated[
        bool, typer.Option("--skip-message-on-error", help="Go on after what can't be printed.")
    ] = False,
    command_property: Annotated[
        list[str] | None,
        typer.Option(
            "--command-property",
            "--consumer-property",
            metavar="KEY=VALUE",
            help="A setting of the consumer.",
        ),
    ] = None,
    command_config: CommandConfig = None,
    consumer_config: Annotated[
        Path | None, typer.Option("--consumer.config", hidden=True, metavar="FILE")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print each record as one line of JSON.")
    ] = False,
) -> None:
    """Print records of a topic as they come."""
    if formatter.rpartition(".")[2] != _DEFAULT_FORMATTER:
        raise CallError(f"--formatter {formatter}: there is only {_DEFAULT_FORMATTER}")
    if command_config is not None and consumer_config is not None:
        raise CallError("--command-config and --consumer.config cannot be specified together")
    properties = read_properties(command_config or consumer_config) | parse_pairs(command_property)
    group = _group(group, properties)
    source = _Source(topic, include, partition, offset, from_beginning, group)
    _check(source)
    settings = consumer_settings(source, properties, isolation_level)
    format_properties = read_properties(formatter_config)
    format_properties |= {"key.deserializer": key_deserializer} if key_deserializer else {}
    format_properties |= {"value.deserializer": value_deserializer} if value_deserializer else {}
    record_format = RecordFormat(format_properties | parse_pairs(formatter_property))
    limits = _Limits(max_messages, timeout_ms / 1000 if timeout_ms >= 0 else None)
    line = as_json if json else record_format.line
    _consume(bootstrap_server, source, settings, limits, line, skip=skip_message_on_error)


def _group(group: str | None, properties: Mapping[str, str]) -> str | None:
    inside = properties.get("group.id")
    if group is not None and inside is not None and group != inside:
        raise CallError(f"--group {group} and group.id={inside} do not match")
    return group if group is not None else inside


def _check(source: _Source) -> None:
    """Refuses options that don't go together, as Kafka's tool does."""
    if (source.topic is None) == (source.include is None):
        raise CallError("want exactly one of --topic and --include")
    if source.partition is None:
        if source.offset is not None:
            raise CallError("--partition is required when --offset is specified")
        return
    if source.topic is None:
        raise CallError("--topic is required when --partition is specified")
    if source.group is not None:
        raise CallError("a group and --partition cannot be specified together")
    if source.from_beginning and source.offset is not None:
        raise CallError("--from-beginning and --offset cannot be specified together")
    where = (source.offset or "latest").lower()
    if where not in ("earliest", "latest") and not (where.isascii() and where.isdecimal()):
        raise CallError(
            f"--offset {source.offset}: want 'earliest', 'latest' or a non-negative number"
        )


def consumer_settings(
    source: _Source, properties: Mapping[str, str], isolation_level: str | None
) -> dict[str, str]:
    """The consumer's settings, with the defaults of Kafka's tool."""
    if isolation_level not in (None, "read_committed", "read_uncommitted"):
        raise CallError(
            f"--isolation-level {isolation_level}: want read_committed or read_uncommitted"
        )
    reset = properties.get("auto.offset.reset")
    if source.from_beginning and reset not in (None, "earliest"):
        raise CallError(f"--from-beginning and auto.offset.reset={reset} contradict each other")
    settings = {
        "allow.auto.create.topics": "true",
        "client.id": "console-consumer",
        "isolation.level": "read_uncommitted",
        "auto.offset.reset": "earliest" if source.from_beginning else "latest",
        "enable.auto.commit": "true" if source.group is not None else "false",
        # Offsets are stored once records are written, so that a commit never runs ahead of stdout.
        "enable.auto.offset.store": "false",
        **properties,
    }
    if isolation_level is not None:
        settings["isolation.level"] = isolation_level
    settings["group.id"] = source.group or f"console-consumer-{randrange(100_000)}"
    return settings


def _consume(
    servers: str,
    source: _Source,
    settings: Mapping[str, str],
    limits: _Limits,
    line: Callable[[Message], bytes],
    *,
    skip: bool,
) -> None:
    from confluent_kafka import Consumer

    from kstore.cli.clients import Watch, new_client
    from kstore.cli.consume_loop import ConsumeLoop, Printer, stopping_on_signals

    watch = Watch(servers)
    consumer = new_client(Consumer, servers, settings, watch)
    printer = Printer(line, sys.stdout.buffer, skip=skip)
    loop = ConsumeLoop(
        consumer,
        printer,
        max_messages=limits.max_messages,
        timeout_s=limits.timeout_s,
        in_group=source.group is not None,
    )
    try:
        with stopping_on_signals(loop.stop):
            loop.run(_reader(consumer, watch, source, settings["auto.offset.reset"]))
    finally:
        consumer.close()
        print(f"Processed a total of {printer.count} messages", file=sys.stderr, flush=True)


def _reader(consumer: Consumer, watch: Watch, source: _Source, reset: str) -> Reader:
    from kstore.cli.consume_loop import warn_once
    from kstore.cli.consumption import GroupReader, PartitionReader, TopicReader, logical_offset

    if source.topic is None:
        return GroupReader(consumer, watch, f"^({source.include})$")
    if source.group is not None:
        return GroupReader(consumer, watch, source.topic)
    if source.partition is None:
        return TopicReader(consumer, watch, source.topic, logical_offset(reset), warn_once())
    start = (source.offset or reset).lower()
    offset = int(start) if start.isdecimal() else logical_offset(start)
    return PartitionReader(consumer, watch, source.topic, source.partition, offset)
