"""`kstore console-producer`: Kafka's kafka-console-producer.

Lines become records as they come; stdin is never held in memory, because a full queue is waited
for. Each record that could not be delivered is reported with the line it came from, and then the
status is 1. Keys choose partitions as Java's producer does (murmur2).

Kafka's default of `--timeout` (the producer's linger) is one second; ours is short, because what a
person types should be sent.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kstore.cli.errors import CallError, CommandError, report
from kstore.cli.line_reader import LineReader, ParsedLine, read_lines
from kstore.cli.options import CommandConfig
from kstore.cli.properties import parse_pairs, read_properties

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

__all__ = ["console_producer"]

_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")

_DEFAULT_READER = "LineMessageReader"

# How much longer than a record may live its answer is waited for at the end.
_REPORT_GRACE_S = 2.0

# The defaults of Kafka's tool, save for linger.ms and delivery.timeout.ms (120 s there): a broker
# that went away must not hold a pipe for minutes.
_DEFAULTS: Mapping[str, str] = {
    "acks": "-1",
    "batch.size": str(16 * 1024),
    "buffer.memory": str(32 * 1024 * 1024),
    "client.id": "console-producer",
    "delivery.timeout.ms": "30000",
    "linger.ms": "20",
    "max.request.size": str(1024 * 1024),
    "partitioner": "murmur2_random",
    "request.timeout.ms": "1500",
    "retries": "3",
    "retry.backoff.ms": "100",
    # How long a topic that is not there may take to appear (auto-creation) before records for it
    # fail; librdkafka would wait half a minute.
    "topic.metadata.propagation.max.ms": "5000",
}


def console_producer(
    topic: Annotated[str, typer.Option("--topic", help="The topic to send to.")],
    bootstrap_server: Annotated[
        str,
        typer.Option(
            "--bootstrap-server", "--broker-list", metavar="HOST:PORT", help="The broker to ask."
        ),
    ],
    reader_property: Annotated[
        list[str] | None,
        typer.Option(
            "--reader-property",
            "--property",
            metavar="KEY=VALUE",
            help="How lines are read: parse.key, key.separator, parse.headers, headers.delimiter, "
            "headers.separator, headers.key.separator, ignore.error, null.marker.",
        ),
    ] = None,
    reader_config: Annotated[
        Path | None, typer.Option("--reader-config", metavar="FILE", help="The same, in a file.")
    ] = None,
    command_property: Annotated[
        list[str] | None,
        typer.Option(
            "--command-property",
            "--producer-property",
            metavar="KEY=VALUE",
            help="A setting of the producer.",
        ),
    ] = None,
    command_config: CommandConfig = None,
    producer_config: Annotated[
        Path | None, typer.Option("--producer.config", hidden=True, metavar="FILE")
    ] = None,
    compression_codec: Annotated[
        str | None,
        typer.Option("--compression-codec", help="none, gzip (if no value), snappy, lz4, zstd."),
    ] = None,
    sync: Annotated[bool, typer.Option("--sync", help="Send records one at a time.")] = False,
    acks: Annotated[
        str | None, typer.Option("--request-required-acks", help="acks: 0, 1, -1 or all.")
    ] = None,
    request_timeout_ms: Annotated[
        int | None, typer.Option("--request-timeout-ms", help="request.timeout.ms")
    ] = None,
    retries: Annotated[
        int | None, typer.Option("--message-send-max-retries", help="retries")
    ] = None,
    retry_backoff_ms: Annotated[
        int | None, typer.Option("--retry-backoff-ms", help="retry.backoff.ms")
    ] = None,
    linger_ms: Annotated[int | None, typer.Option("--timeout", help="linger.ms")] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", help="batch.size")] = None,
    max_partition_memory_bytes: Annotated[
        int | None, typer.Option("--max-partition-memory-bytes", hidden=True)
    ] = None,
    max_memory_bytes: Annotated[
        int | None, typer.Option("--max-memory-bytes", help="buffer.memory")
    ] = None,
    max_block_ms: Annotated[
        int, typer.Option("--max-block-ms", help="How long to wait for a broker at the start.")
    ] = 60_000,
    metadata_expiry_ms: Annotated[
        int | None, typer.Option("--metadata-expiry-ms", help="metadata.max.age.ms")
    ] = None,
    socket_buffer_size: Annotated[
        int | None, typer.Option("--socket-buffer-size", help="send.buffer.bytes")
    ] = None,
    line_reader: Annotated[
        str, typer.Option("--line-reader", help="Only Kafka's LineMessageReader is known.")
    ] = _DEFAULT_READER,
) -> int:
    """Send each line of stdin to a topic, until its end."""
    if line_reader.rpartition(".")[2] != _DEFAULT_READER:
        raise CallError(f"--line-reader {line_reader}: there is only {_DEFAULT_READER}")
    if compression_codec is not None and compression_codec not in _CODECS:
        raise CallError(f"--compression-codec {compression_codec}: want {', '.join(_CODECS)}")
    if command_config is not None and producer_config is not None:
        raise CallError("--command-config and --producer.config cannot be specified together")
    reader = LineReader(read_properties(reader_config) | parse_pairs(reader_property))
    given = {
        "acks": acks,
        "batch.size": max_partition_memory_bytes if batch_size is None else batch_size,
        "buffer.memory": max_memory_bytes,
        "compression.type": compression_codec,
        "linger.ms": linger_ms,
        "metadata.max.age.ms": metadata_expiry_ms,
        "request.timeout.ms": request_timeout_ms,
        "retries": retries,
        "retry.backoff.ms": retry_backoff_ms,
        "send.buffer.bytes": socket_buffer_size,
    }
    settings = producer_settings(
        read_properties(command_config or producer_config) | parse_pairs(command_property), given
    )
    console = _Console(topic, sync=sync, delivery_s=int(settings["delivery.timeout.ms"]) / 1000)
    console.connect(bootstrap_server, settings, timeout_s=max_block_ms / 1000)
    return console.send_all(reader, sys.stdin.fileno())


def producer_settings(
    properties: Mapping[str, str], given: Mapping[str, str | int | None]
) -> dict[str, str]:
    """The producer's settings: an option that was given, else a property, else the default."""
    settings = {**_DEFAULTS, **properties}
    settings |= {name: str(value) for name, value in given.items() if value is not None}
    if settings["acks"] not in ("all", "-1", "0", "1"):
        raise CallError(f"acks={settings['acks']}: want all, -1, 0 or 1")
    sure = settings["acks"] in ("all", "-1") and settings["retries"] != "0"
    # As Java's producer: idempotent wherever the other settings allow it.
    settings.setdefault("enable.idempotence", "true" if sure else "false")
    if not settings["delivery.timeout.ms"].isdecimal():
        raise CallError(f"delivery.timeout.ms={settings['delivery.timeout.ms']}: want a number")
    return settings


class _Console:
    """Sends lines to one topic and counts what was not delivered."""

    _producer: Producer

    def __init__(self, topic: str, *, sync: bool, delivery_s: float) -> None:
        self._topic = topic
        self._sync = sync
        self._wait_s = delivery_s + _REPORT_GRACE_S
        self._failed = 0

    def connect(self, servers: str, settings: Mapping[str, str], *, timeout_s: float) -> None:
        """Waits until a broker answers. Raises `CommandError`."""
        from confluent_kafka import KafkaError, Producer

        from kstore.cli.clients import Watch, explain, metadata, new_client

        watch = Watch(servers)
        self._producer = new_client(Producer, servers, settings, watch)
        found = metadata(self._producer, watch, topic=self._topic, timeout_s=timeout_s)
        error = found.topics[self._topic].error
        # A topic that is not there yet may be on its way: asking for it creates it.
        coming = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE)
        if error is not None and error.code() not in coming:
            raise CommandError(f"topic '{self._topic}': {explain(error)}")

    def send_all(self, reader: LineReader, file: int) -> int:
        """Sends the lines of a file descriptor to its end; gives the command's status."""
        prompting = sys.stdin.isatty() and sys.stdout.isatty()
        _prompt(prompting)
        try:
            for number, line in enumerate(read_lines(file, self._serve), start=1):
                self._send(reader.parse(line, number), number)
                if self._sync and self._failed:
                    break
                _prompt(prompting)
        finally:
            left = self._producer.flush(self._wait_s)
        if left:
            raise CommandError(f"{left} records were not answered in {self._wait_s:g} s")
        return 1 if self._failed else 0

    def _send(self, record: ParsedLine, number: int) -> None:
        from confluent_kafka import KafkaException

        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    on_delivery=partial(self._delivered, number),
                )
            except BufferError:
                self._producer.poll(0.1)  # the queue is full: wait for answers
            except KafkaException as error:
                self._delivered(number, error.args[0], None)
                return
            else:
                break
        if self._sync:
            self._producer.flush(self._wait_s)
        else:
            self._serve()

    def _serve(self) -> None:
        """Takes the answers that have come."""
        self._producer.poll(0)

    def _delivered(self, number: int, error: KafkaError | None, message: Message | None) -> None:
        if error is None:
            return
        from kstore.cli.clients import explain

        self._failed += 1
        report(f"line {number} was not delivered: {explain(error)}")


def _prompt(prompting: bool) -> None:
    if prompting:
        print(">", end="", flush=True)
