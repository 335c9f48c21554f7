"""`kstore console-consumer`: Kafka's kafka-console-consumer.

Records go to stdout as they come, until `--max-messages`, `--timeout-ms`, SIGINT or SIGTERM, or
until nobody reads stdout any more; all of these are good ends. At the end stderr says how many
records were processed, in Kafka's words.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from types import FrameType
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from kstore.cli.errors import CallError, CommandError, warn
from kstore.cli.options import BootstrapServer, CommandConfig
from kstore.cli.output import discard_stdout
from kstore.cli.properties import parse_pairs, read_properties
from kstore.cli.record_format import RecordFormat, as_json

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message

    from kstore.cli.clients import Watch
    from kstore.cli.consumption import Reader

__all__ = ["console_consumer"]

_DEFAULT_FORMATTER = "DefaultMessageFormatter"

# How long one wait for a record lasts, and so how late an interrupt can be seen.
_POLL_S = 0.2

# How many records are taken together once the first has come.
_BATCH_COUNT = 500

# How long a group may take to give us partitions before --timeout-ms counts anyway.
_JOIN_S = 30.0


@dataclass(frozen=True, slots=True)
class _Source:
    """What is to be read: a topic or a pattern; by a group, or one partition, or all of them."""

    topic: str | None
    include: str | None
    partition: int | None
    offset: str | None
    from_beginning: bool
    group: str | None


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
    printer = _Printer(
        as_json if json else record_format.line, sys.stdout.buffer, skip=skip_message_on_error
    )
    timeout_s = timeout_ms / 1000 if timeout_ms >= 0 else None
    _consume(bootstrap_server, source, settings, printer, max_messages, timeout_s)


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
    printer: _Printer,
    max_messages: int,
    timeout_s: float | None,
) -> None:
    from confluent_kafka import Consumer

    from kstore.cli.clients import Watch, new_client

    watch = Watch(servers)
    consumer = new_client(Consumer, servers, settings, watch)
    in_group = source.group is not None
    loop = _Loop(consumer, printer, max_messages, timeout_s, in_group=in_group)
    try:
        with _stopping_on_signals(loop.stop):
            loop.run(_reader(consumer, watch, source, settings["auto.offset.reset"]))
    finally:
        consumer.close()
        print(f"Processed a total of {printer.count} messages", file=sys.stderr, flush=True)


def _reader(consumer: Consumer, watch: Watch, source: _Source, reset: str) -> Reader:
    from kstore.cli.consumption import (
        GroupReader,
        PartitionReader,
        TopicReader,
        logical_offset,
    )

    if source.topic is None:
        return GroupReader(consumer, watch, f"^({source.include})$")
    if source.group is not None:
        return GroupReader(consumer, watch, source.topic)
    if source.partition is None:
        return TopicReader(consumer, watch, source.topic, logical_offset(reset), _warn_once())
    start = (source.offset or reset).lower()
    offset = int(start) if start.isdecimal() else logical_offset(start)
    return PartitionReader(consumer, watch, source.topic, source.partition, offset)


def _warn_once() -> Callable[[str], None]:
    said = set()

    def say(text: str) -> None:
        if text not in said:
            said.add(text)
            warn(text)

    return say


@contextmanager
def _stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call `stop` while the block runs."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Loop:
    """Polls until told to stop, or until enough was read or nothing came for too long."""

    def __init__(
        self,
        consumer: Consumer,
        printer: _Printer,
        max_messages: int,
        timeout_s: float | None,
        *,
        in_group: bool,
    ) -> None:
        self._in_group = in_group
        self._consumer = consumer
        self._printer = printer
        self._max_messages = max_messages
        self._timeout_s = timeout_s
        self._stopped = False
        self._warn = _warn_once()

    def stop(self) -> None:
        self._stopped = True

    def run(self, reader: Reader) -> None:
        """Reads and prints. Raises `CommandError` for what reading on can't mend."""
        reader.start()
        joined_by = time.monotonic() + _JOIN_S
        quiet_since = time.monotonic()
        while not self._stopped and self._wanted() > 0:
            message = self._consumer.poll(self._patience(quiet_since))
            now = time.monotonic()
            if message is None:
                reader.idle()
                if not reader.started and now < joined_by:
                    quiet_since = now
                if self._timeout_s is not None and now - quiet_since >= self._timeout_s:
                    return
                continue
            rest = self._consumer.consume(min(self._wanted(), _BATCH_COUNT) - 1, 0)
            if not self._print_all([message, *rest]):
                return
            quiet_since = time.monotonic()

    def _wanted(self) -> int:
        if self._max_messages < 0:
            return _BATCH_COUNT
        return self._max_messages - self._printer.count

    def _patience(self, quiet_since: float) -> float:
        if self._timeout_s is None:
            return _POLL_S
        left = quiet_since + self._timeout_s - time.monotonic()
        return min(max(left, 0), _POLL_S)

    def _print_all(self, messages: list[Message]) -> bool:
        """Prints records; false if nobody reads them any more."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            else:
                self._complain(error)
        if self._printer.write(records):
            self._store(records)
            return True
        print("Unable to write to standard out, closing consumer.", file=sys.stderr)
        return False

    def _store(self, records: list[Message]) -> None:
        """Marks records for the group's next commit, now that they are written."""
        from confluent_kafka import KafkaError, KafkaException

        if not self._in_group:
            return
        for last in {(one.topic(), one.partition()): one for one in records}.values():
            try:
                self._consumer.store_offsets(message=last)
            except KafkaException as error:
                # The partition was taken from us since; its next owner reads the records again.
                if error.args[0].code() != KafkaError._STATE:
                    raise

    def _complain(self, error: KafkaError) -> None:
        from confluent_kafka import KafkaError

        from kstore.cli.clients import explain

        if error.retriable() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._warn(explain(error))
        else:
            raise CommandError(explain(error))


class _Printer:
    """Writes records to stdout and counts them."""

    def __init__(self, line: Callable[[Message], bytes], out: BinaryIO, *, skip: bool) -> None:
        self.count = 0
        self._line = line
        self._out = out
        self._skip = skip

    def write(self, messages: list[Message]) -> bool:
        """Writes and flushes; false if the reader of stdout has gone.

        Raises `CommandError` for a record that can't be printed, unless those are skipped.
        """
        try:
            for message in messages:
                self.count += 1
                self._out.write(self._text(message))
            self._out.flush()
        except BrokenPipeError:
            discard_stdout()
            return False
        return True

    def _text(self, message: Message) -> bytes:
        try:
            return self._line(message)
        except ValueError as error:
            where = f"{message.topic()}-{message.partition()} at offset {message.offset()}"
            if not self._skip:
                raise CommandError(f"{where}: {error}") from None
            warn(f"skipped {where}: {error}")
            return b""
