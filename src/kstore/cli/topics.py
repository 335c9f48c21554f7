"""`kstore topics`: Kafka's kafka-topics (`TopicCommand`), by confluent-kafka's admin client.

Flags and texts are Kafka's. Not there: the reassignments that Kafka's tool shows while partitions
move.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from kstore.cli import output
from kstore.cli.errors import CallError, CommandError, warn
from kstore.cli.options import BootstrapServer, CommandConfig, Json
from kstore.cli.properties import read_properties

if TYPE_CHECKING:
    from kstore.cli.clients import Cluster

__all__ = ["INTERNAL_TOPICS", "TopicOptions", "matching_topics", "topic_pattern", "topics"]

INTERNAL_TOPICS = {"__consumer_offsets", "__transaction_state", "__share_group_state"}

_INT16_MAX = 2**15 - 1
_INT32_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class TopicOptions:
    """What one call of `kstore topics` asks for; `None` is an option that was not given."""

    topic: str | None = None
    topic_id: str | None = None
    partitions: int | None = None
    replication_factor: int | None = None
    replica_assignment: str | None = None
    configs: Sequence[str] = ()
    if_exists: bool = False
    if_not_exists: bool = False
    exclude_internal: bool = False
    topics_with_overrides: bool = False
    under_replicated: bool = False
    unavailable: bool = False
    under_min_isr: bool = False
    at_min_isr: bool = False
    as_json: bool = False

    @property
    def reports(self) -> int:
        """How many of the options that filter partitions by their replicas are given."""
        filters = (self.under_replicated, self.unavailable, self.under_min_isr, self.at_min_isr)
        return sum(filters)


def topics(
    bootstrap_server: BootstrapServer,
    create: Annotated[bool, typer.Option("--create", help="Create a topic.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List topics.")] = False,
    describe: Annotated[bool, typer.Option("--describe", help="Show partitions.")] = False,
    alter: Annotated[bool, typer.Option("--alter", help="Add partitions.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete topics.")] = False,
    topic: Annotated[
        str | None,
        typer.Option("--topic", help="The topic; a regular expression except for --create."),
    ] = None,
    topic_id: Annotated[
        str | None, typer.Option("--topic-id", help="The id of the topic to describe.")
    ] = None,
    partitions: Annotated[
        int | None, typer.Option("--partitions", help="Number of partitions to be there.")
    ] = None,
    replication_factor: Annotated[
        int | None, typer.Option("--replication-factor", help="Replicas of each new partition.")
    ] = None,
    replica_assignment: Annotated[
        str | None,
        typer.Option(
            "--replica-assignment",
            metavar="ID:ID,ID:ID,...",
            help="The brokers of each new partition's replicas.",
        ),
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("--config", metavar="NAME=VALUE", help="A config of the new topic."),
    ] = None,
    if_exists: Annotated[
        bool, typer.Option("--if-exists", help="A topic that is not there is no error.")
    ] = False,
    if_not_exists: Annotated[
        bool, typer.Option("--if-not-exists", help="A topic that is there already is no error.")
    ] = False,
    exclude_internal: Annotated[
        bool, typer.Option("--exclude-internal", help="Leave Kafka's internal topics out.")
    ] = False,
    topics_with_overrides: Annotated[
        bool, typer.Option("--topics-with-overrides", help="Only topics with own configs.")
    ] = False,
    under_replicated: Annotated[
        bool, typer.Option("--under-replicated-partitions", help="Only those.")
    ] = False,
    unavailable: Annotated[
        bool, typer.Option("--unavailable-partitions", help="Only those.")
    ] = False,
    under_min_isr: Annotated[
        bool, typer.Option("--under-min-isr-partitions", help="Only those.")
    ] = False,
    at_min_isr: Annotated[
        bool, typer.Option("--at-min-isr-partitions", help="Only those.")
    ] = False,
    command_config: CommandConfig = None,
    json: Json = False,
) -> None:
    """Create, list, describe, alter or delete topics."""
    options = TopicOptions(
        topic=topic,
        topic_id=topic_id,
        partitions=partitions,
        replication_factor=replication_factor,
        replica_assignment=replica_assignment,
        configs=config or (),
        if_exists=if_exists,
        if_not_exists=if_not_exists,
        exclude_internal=exclude_internal,
        topics_with_overrides=topics_with_overrides,
        under_replicated=under_replicated,
        unavailable=unavailable,
        under_min_isr=under_min_isr,
        at_min_isr=at_min_isr,
        as_json=json,
    )
    given = {
        "--create": create,
        "--list": list_,
        "--describe": describe,
        "--alter": alter,
        "--delete": delete,
    }
    action = _action([name for name, present in given.items() if present])
    _check(action, options)

    from kstore.cli.clients import Cluster

    _ACTIONS[action](Cluster(bootstrap_server, read_properties(command_config)), options)


def _action(given: Sequence[str]) -> str:
    if len(given) != 1:
        raise CallError("want exactly one of --list, --describe, --create, --alter, --delete")
    return given[0]


def _check(action: str, options: TopicOptions) -> None:
    """Refuses options that don't go together, as Kafka's tool does."""
    only_with = {
        "--config": (bool(options.configs), ("--create",)),
        "--partitions": (options.partitions is not None, ("--create", "--alter")),
        "--replication-factor": (options.replication_factor is not None, ("--create",)),
        "--replica-assignment": (
            options.replica_assignment is not None,
            ("--create", "--alter"),
        ),
        "--if-not-exists": (options.if_not_exists, ("--create",)),
        "--if-exists": (options.if_exists, ("--delete", "--describe", "--alter")),
        "--exclude-internal": (
            options.exclude_internal,
            ("--list", "--describe", "--alter"),
        ),
        "--topic-id": (options.topic_id is not None, ("--describe",)),
        "--topics-with-overrides": (options.topics_with_overrides, ("--describe",)),
        "the partition filters": (options.reports > 0, ("--describe",)),
    }
    for name, (given, actions) in only_with.items():
        if given and action not in actions:
            raise CallError(f"{name} can't be used with {action}")
    if action == "--alter" and options.partitions is None:
        raise CallError("--alter needs --partitions; `kstore configs` changes a topic's configs")
    if action in ("--create", "--alter", "--delete") and options.topic is None:
        raise CallError(f"{action} needs --topic")
    if options.reports + options.topics_with_overrides > 1:
        raise CallError("want only one of the options that filter what is described")
    if action == "--describe" and options.if_exists and not (options.topic or options.topic_id):
        raise CallError("--if-exists needs --topic or --topic-id")
    if action == "--create":
        _check_replicas(options)
    if options.partitions is not None and not 1 <= options.partitions <= _INT32_MAX:
        raise CallError(f"the partitions must be between 1 and {_INT32_MAX} inclusive")


def _check_replicas(options: TopicOptions) -> None:
    numbers = (options.partitions, options.replication_factor)
    if options.replica_assignment is not None and numbers != (None, None):
        raise CallError(
            "--replica-assignment can't be used with --partitions or --replication-factor"
        )
    factor = options.replication_factor
    if factor is not None and not 1 <= factor <= _INT16_MAX:
        raise CallError(f"the replication factor must be between 1 and {_INT16_MAX} inclusive")


def matching_topics(
    cluster: Cluster, pattern: str | None, *, exclude_internal: bool = False
) -> list[str]:
    """Sorted names of the cluster's topics that `pattern` matches whole; all without a pattern.

    The pattern is Kafka's include list: a regular expression in which a comma is an `or`.
    """
    names = sorted(cluster.metadata().topics)
    if exclude_internal:
        names = [name for name in names if name not in INTERNAL_TOPICS]
    if pattern is None:
        return names
    allowed = topic_pattern(pattern)
    return [name for name in names if allowed.fullmatch(name)]


def topic_pattern(pattern: str) -> re.Pattern[str]:
    """Kafka's include list as a regular expression, to match whole names. Raises `CallError`."""
    try:
        return re.compile(pattern.replace(",", "|").replace(" ", "").strip("\"'"))
    except re.error as error:
        raise CallError(f"--topic {pattern} is no regular expression: {error}") from None


def _list(cluster: Cluster, options: TopicOptions) -> None:
    names = matching_topics(cluster, options.topic, exclude_internal=options.exclude_internal)
    if options.as_json:
        output.print_json({"topic": name} for name in names)
    elif names:
        print("\n".join(names))


def _create(cluster: Cluster, options: TopicOptions) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    from kstore.cli.clients import explain

    name = options.topic or ""
    if "." in name or "_" in name:
        warn(
            "topics with a period ('.') or underscore ('_') could collide in names of metrics;"
            " it is best to use either, but not both"
        )
    replicas: dict[str, list[list[int]]] = {}
    if options.replica_assignment:
        replicas["replica_assignment"] = parse_replica_assignment(options.replica_assignment)
    new = NewTopic(
        name,
        num_partitions=len(replicas.get("replica_assignment", ())) or options.partitions or -1,
        replication_factor=options.replication_factor or -1,
        config=parse_topic_configs(options.configs),
        **replicas,
    )
    created = True
    futures = cluster.admin.create_topics([new], request_timeout=cluster.timeout_s)
    try:
        cluster.outcome(futures[name])
    except KafkaException as error:
        cause = error.args[0]
        if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS or not options.if_not_exists:
            raise CommandError(explain(cause)) from None
        created = False
    if options.as_json:
        output.print_json([{"topic": name, "created": created}])
    elif created:
        print(f"Created topic {name}.")


def parse_replica_assignment(text: str) -> list[list[int]]:
    """Broker ids of each partition's replicas from `1:2,2:3`."""
    try:
        replicas = [[int(number) for number in part.split(":")] for part in text.split(",")]
    except ValueError:
        raise CallError(f"--replica-assignment {text}: want broker ids like 1:2,2:3") from None
    for index, brokers in enumerate(replicas):
        if len(set(brokers)) != len(brokers):
            raise CallError(f"partition {index} names a broker twice: {brokers}")
        if len(brokers) != len(replicas[0]):
            raise CallError(f"partition {index} has another replication factor: {brokers}")
    return replicas


def parse_topic_configs(pairs: Sequence[str]) -> dict[str, str]:
    """Topic configs from `name=value` words."""
    configs = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise CallError(f"--config {pair}: want NAME=VALUE")
        configs[name.strip()] = value.strip()
    return configs


def _delete(cluster: Cluster, options: TopicOptions) -> None:
    names = matching_topics(cluster, options.topic)
    if not names and not options.if_exists:
        raise CommandError(f"topic '{options.topic}' does not exist")
    if names:
        futures = cluster.admin.delete_topics(names, request_timeout=cluster.timeout_s)
        for name in names:
            cluster.wait(futures[name])
    if options.as_json:
        output.print_json({"topic": name, "deleted": True} for name in names)


def _alter(cluster: Cluster, options: TopicOptions) -> None:
    from confluent_kafka.admin import NewPartitions

    names = matching_topics(cluster, options.topic, exclude_internal=options.exclude_internal)
    if not names and not options.if_exists:
        raise CommandError(f"topic '{options.topic}' does not exist")
    known = cluster.metadata().topics
    count = options.partitions or 0
    wanted = []
    for name in names:
        replicas: dict[str, list[list[int]]] = {}
        if options.replica_assignment:
            # Kafka's list begins with the partitions that are there already.
            replicas["replica_assignment"] = parse_replica_assignment(options.replica_assignment)[
                len(known[name].partitions) :
            ]
        wanted.append(NewPartitions(name, count, **replicas))
    if wanted:
        futures = cluster.admin.create_partitions(wanted, request_timeout=cluster.timeout_s)
        for name in names:
            cluster.wait(futures[name])
    if options.as_json:
        output.print_json({"topic": name, "partition_count": count} for name in names)


def _describe(cluster: Cluster, options: TopicOptions) -> None:
    from kstore.cli.topic_description import describe

    describe(cluster, options)


_ACTIONS: dict[str, Callable[[Cluster, TopicOptions], None]] = {
    "--create": _create,
    "--list": _list,
    "--describe": _describe,
    "--alter": _alter,
    "--delete": _delete,
}
