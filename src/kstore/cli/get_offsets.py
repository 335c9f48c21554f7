"""`kstore get-offsets`: Kafka's kafka-get-offsets (`GetOffsetShell`).

Flags and texts are Kafka's. The offsets of tiered storage are asked for over
`kstore.cli.wire_client`, as confluent-kafka does not know them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kstore.cli import output
from kstore.cli.errors import CallError, CommandError, report
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.properties import read_properties
from kstore.cli.topics import INTERNAL_TOPICS, topic_pattern

if TYPE_CHECKING:
    from kstore.cli.clients import Cluster

__all__ = ["Filter", "get_offsets", "partition_filter"]

Filter = Callable[[str, int], bool]

# What --time may be besides milliseconds since the epoch, with the protocol's numbers.
_TIMES = {
    "latest": -1,
    "earliest": -2,
    "max-timestamp": -3,
    "earliest-local": -4,
    "latest-tiered": -5,
    "earliest-pending-upload": -6,
}
_TIERED_TIMES = (-4, -5, -6)
_INT64_MAX = 2**63 - 1

_RULE = re.compile(r"([^:,]*)(?::(?:([0-9]*)|(?:([0-9]*)-([0-9]*))))?")


def get_offsets(
    bootstrap_server: BootstrapServer,
    topic: Annotated[
        str | None, typer.Option("--topic", help="Only topics of this regular expression.")
    ] = None,
    partitions: Annotated[
        str | None, typer.Option("--partitions", metavar="0,1,...", help="Only these partitions.")
    ] = None,
    topic_partitions: Annotated[
        str | None,
        typer.Option(
            "--topic-partitions",
            metavar="T:1,T:0-3,T,T:5-,T:-3",
            help="Only these partitions of topics; a range does not include its end.",
        ),
    ] = None,
    time: Annotated[
        str,
        typer.Option(
            "--time",
            metavar="MS|WORD",
            help="The first offset at that time or later; or latest, earliest, max-timestamp,"
            " earliest-local, latest-tiered, earliest-pending-upload, which are -1 to -6 too.",
        ),
    ] = "latest",
    exclude_internal: Annotated[
        bool, typer.Option("--exclude-internal-topics", help="Leave Kafka's internal topics out.")
    ] = False,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Show an offset of each partition: the end, the start, or that of a time."""
    time_ms = _parse_time(time)
    keep = partition_filter(topic, partitions, topic_partitions)

    from kstore.cli.clients import Cluster

    cluster = Cluster(bootstrap_server, read_properties(command_config))
    chosen = [
        (name, index)
        for name, facts in cluster.metadata().topics.items()
        if not (exclude_internal and name in INTERNAL_TOPICS)
        for index in facts.partitions
        if keep(name, index)
    ]
    if not chosen:
        raise CommandError("no partition matches the options")
    # Kafka's order: by `topic-partition` as text.
    chosen.sort(key=lambda one: f"{one[0]}-{one[1]}")
    if time_ms in _TIERED_TIMES:
        from kstore.cli.tiered_offsets import tiered_offsets

        rows = tiered_offsets(cluster.servers, cluster.settings, chosen, time_ms)
    else:
        rows = _offsets(cluster, chosen, time_ms)
    if json:
        output.print_json(rows)
        return
    for row in rows:
        print(f"{row['topic']}:{row['partition']}:{row['offset']}")


def _parse_time(text: str) -> int:
    if text in _TIMES:
        return _TIMES[text]
    try:
        time_ms = int(text)
    except ValueError:
        time_ms = -100
    if not min(_TIMES.values()) <= time_ms <= _INT64_MAX:
        raise CallError(f"--time {text}: want milliseconds, or one of {', '.join(_TIMES)}")
    return time_ms


def partition_filter(
    topic: str | None, partitions: str | None, topic_partitions: str | None
) -> Filter:
    """Which partitions the options ask for. Raises `CallError`."""
    if topic_partitions is not None:
        if topic is not None or partitions is not None:
            raise CallError("--topic-partitions can't be used with --topic or --partitions")
        rules = [_rule(text) for text in topic_partitions.split(",")]
        return lambda name, index: any(rule(name, index) for rule in rules)
    names = topic_pattern(topic or ".*")
    try:
        indexes = {int(word) for word in partitions.split(",")} if partitions else set()
    except ValueError:
        raise CallError(f"--partitions {partitions}: want numbers with commas") from None
    return lambda name, index: (
        names.fullmatch(name) is not None and (not indexes or index in indexes)
    )


def _rule(text: str) -> Filter:
    """`TOPIC`, `TOPIC:1`, `TOPIC:0-3`, `TOPIC:5-` or `TOPIC:-3`; without TOPIC all topics."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise CallError(f"--topic-partitions {text}: want TOPIC, TOPIC:1 or TOPIC:0-3")
    names = topic_pattern(found[1] or ".*")
    if found[2]:
        first, end = int(found[2]), int(found[2]) + 1
    else:
        first, end = int(found[3] or 0), int(found[4] or 2**31 - 1)
    return lambda name, index: names.fullmatch(name) is not None and first <= index < end


def _offsets(cluster: Cluster, chosen: list[tuple[str, int]], time_ms: int) -> list[dict[str, Any]]:
    """A row for each partition that has such an offset."""
    from confluent_kafka import KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec

    from kstore.cli.clients import explain

    specs = {
        -1: OffsetSpec.latest,
        -2: OffsetSpec.earliest,
        -3: OffsetSpec.max_timestamp,
    }
    make = specs.get(time_ms)
    spec = make() if make is not None else OffsetSpec.for_timestamp(time_ms)  # type: ignore[no-untyped-call]
    asked = {TopicPartition(*key): spec for key in chosen}
    futures = cluster.admin.list_offsets(asked, request_timeout=cluster.timeout_s)
    rows = []
    for topic, partition in chosen:
        try:
            offset = cluster.outcome(futures[TopicPartition(topic, partition)]).offset
        except KafkaException as error:
            report(f"{topic}-{partition}: {explain(error.args[0])}")
            continue
        if offset >= 0:
            rows.append({"topic": topic, "partition": partition, "offset": offset})
    return rows
