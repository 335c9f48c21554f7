"""`kstore topics --describe`: what a cluster knows of topics and their partitions.

confluent-kafka does not ask for eligible leader replicas (KIP-966) and reassignments, so the former
show as `N/A`, as in Kafka's tool when the broker can't say, and the latter not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Node, TopicCollection
from confluent_kafka.admin import ConfigResource, ResourceType, TopicDescription

from kstore.cli import output
from kstore.cli.clients import Cluster, explain
from kstore.cli.errors import CommandError, warn
from kstore.cli.output import Column
from kstore.cli.topics import TopicOptions, matching_topics

__all__ = ["Partition", "Topic", "describe", "plain_lines"]

_UNKNOWN = "N/A"

_ZERO_ID = "AAAAAAAAAAAAAAAAAAAAAA"

_COLUMNS = (
    Column("topic", "TOPIC"),
    Column("partition", "PARTITION"),
    Column("leader", "LEADER"),
    Column("replicas", "REPLICAS"),
    Column("isr", "ISR"),
)

_TOPIC_COLUMNS = (
    Column("topic", "TOPIC"),
    Column("topic_id", "TOPIC-ID"),
    Column("partition_count", "PARTITIONS"),
    Column("replication_factor", "REPLICATION-FACTOR"),
    Column("configs", "CONFIGS"),
)


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition; `leader` is `None` while it has none."""

    index: int
    leader: int | None
    replicas: Sequence[int]
    isr: Sequence[int]


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic with its partitions, and those of its configs that are not the default."""

    name: str
    topic_id: str
    partitions: Sequence[Partition]
    configs: Mapping[str, str | None]
    min_isr: int

    @property
    def replication_factor(self) -> int:
        return len(self.partitions[0].replicas) if self.partitions else 0


Keep = Callable[[Topic, Partition], bool]


def describe(cluster: Cluster, options: TopicOptions) -> None:
    """Prints the topics that the options name. Raises `CommandError`."""
    found = _topics(cluster, options)
    if options.topics_with_overrides:
        found = [topic for topic in found if topic.configs]
    live = {broker.id for broker in cluster.metadata().brokers.values()}
    keep = partition_filter(options, live)
    topic_rows = [_topic_row(topic) for topic in found]
    rows = [
        topic_row | _partition_row(one)
        for topic, topic_row in zip(found, topic_rows, strict=True)
        for one in topic.partitions
        if keep(topic, one)
    ]
    if options.as_json:
        output.print_json(topic_rows if options.topics_with_overrides else rows)
    elif output.for_people():
        if not options.reports:
            for row in topic_rows:
                row["configs"] = _config_text(row["configs"])
            output.print_table(_TOPIC_COLUMNS, topic_rows)
        if not options.topics_with_overrides:
            output.print_table(_COLUMNS, rows)
    else:
        for line in plain_lines(found, keep, options):
            print(line)


def _topics(cluster: Cluster, options: TopicOptions) -> list[Topic]:
    pattern = None if options.topic_id else options.topic
    names = matching_topics(cluster, pattern, exclude_internal=options.exclude_internal)
    if pattern and not names and not options.if_exists:
        raise CommandError(f"topic '{pattern}' does not exist")
    futures = (
        cluster.admin.describe_topics(TopicCollection(names), request_timeout=cluster.timeout_s)
        if names
        else {}
    )
    facts = [cluster.wait(futures[name]) for name in names]
    if options.topic_id:
        facts = [fact for fact in facts if _id_text(fact) == options.topic_id]
        if not facts and not options.if_exists:
            raise CommandError(f"topic id '{options.topic_id}' does not exist")
    configs = _configs(cluster, [fact.name for fact in facts])
    return [_topic(fact, configs[fact.name]) for fact in facts]


def _configs(cluster: Cluster, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The config entries of each topic; none where the broker does not describe configs."""
    resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in names}
    if not resources:
        return {}
    futures = cluster.admin.describe_configs(
        list(resources.values()), request_timeout=cluster.timeout_s
    )
    found: dict[str, dict[str, Any]] = {}
    for name, resource in resources.items():
        try:
            found[name] = cluster.outcome(futures[resource])
        except KafkaException as error:
            if error.args[0].code() != KafkaError._UNSUPPORTED_FEATURE:
                raise CommandError(explain(error.args[0])) from None
            warn("the broker does not describe configs")
            return {name: {} for name in names}
    return found


def _topic(fact: TopicDescription, configs: Mapping[str, Any]) -> Topic:
    partitions = [
        Partition(
            index=info.id,
            leader=None if info.leader is None else info.leader.id,
            replicas=_ids(info.replicas),
            isr=_ids(info.isr),
        )
        for info in sorted(fact.partitions, key=lambda info: info.id)
    ]
    min_isr = configs.get("min.insync.replicas")
    return Topic(
        name=fact.name,
        topic_id=_id_text(fact),
        partitions=partitions,
        configs={name: entry.value for name, entry in configs.items() if not entry.is_default},
        min_isr=int(min_isr.value) if min_isr else 1,
    )


def _id_text(fact: TopicDescription) -> str:
    """A topic id as Kafka writes it: base64 for URLs. confluent-kafka's is the other base64."""
    return str(fact.topic_id).replace("+", "-").replace("/", "_")


def _ids(nodes: Sequence[Node]) -> list[int]:
    return [node.id for node in nodes]


def partition_filter(options: TopicOptions, live: Set[int]) -> Keep:
    """The choice of partitions that the options ask for; all partitions if they ask for none."""

    def under_replicated(topic: Topic, one: Partition) -> bool:
        return len(one.isr) < len(one.replicas)

    def unavailable(topic: Topic, one: Partition) -> bool:
        return one.leader is None or one.leader not in live

    def under_min_isr(topic: Topic, one: Partition) -> bool:
        return one.leader is None or len(one.isr) < topic.min_isr

    def at_min_isr(topic: Topic, one: Partition) -> bool:
        return len(one.isr) == topic.min_isr

    chosen: dict[Keep, bool] = {
        under_replicated: options.under_replicated,
        unavailable: options.unavailable,
        under_min_isr: options.under_min_isr,
        at_min_isr: options.at_min_isr,
    }
    for keep, wanted in chosen.items():
        if wanted:
            return keep
    return lambda topic, one: True


def plain_lines(found: Sequence[Topic], keep: Keep, options: TopicOptions) -> list[str]:
    """The lines that Kafka's tool prints, with tabs between the facts."""
    lines = []
    for topic in found:
        if not options.reports:
            facts = [f"Topic: {topic.name}"]
            if topic.topic_id != _ZERO_ID:
                facts.append(f"TopicId: {topic.topic_id}")
            facts.append(f"PartitionCount: {len(topic.partitions)}")
            facts.append(f"ReplicationFactor: {topic.replication_factor}")
            facts.append(f"Configs: {_config_text(topic.configs)}")
            lines.append("\t".join(facts))
        if options.topics_with_overrides:
            continue
        for one in topic.partitions:
            if keep(topic, one):
                lines.append(
                    f"\tTopic: {topic.name}\tPartition: {one.index}"
                    f"\tLeader: {'none' if one.leader is None else one.leader}"
                    f"\tReplicas: {output.cell(one.replicas)}\tIsr: {output.cell(one.isr)}"
                    f"\tElr: {_UNKNOWN}\tLastKnownElr: {_UNKNOWN}"
                )
    return lines


def _config_text(configs: Mapping[str, str | None]) -> str:
    return ",".join(
        f"{name}={'null' if value is None else value}" for name, value in configs.items()
    )


def _topic_row(topic: Topic) -> dict[str, Any]:
    return {
        "topic": topic.name,
        "topic_id": topic.topic_id,
        "partition_count": len(topic.partitions),
        "replication_factor": topic.replication_factor,
        "configs": dict(topic.configs),
    }


def _partition_row(one: Partition) -> dict[str, Any]:
    return {
        "partition": one.index,
        "leader": one.leader,
        "replicas": list(one.replicas),
        "isr": list(one.isr),
    }
