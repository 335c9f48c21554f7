"""Topics: creating and deleting them, and raising the epochs of their leaders.

What is refused, with which code and in which words, is Kafka's `ReplicationControlManager`. Beyond
Kafka, two names of one request that collide are refused too. Thread: the loop; the functions below
the class run in a worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from kstore.configs import TopicDefaults, check_topic_configs
from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.cluster import Cluster, Listener, Plan
from kstore.metadata.draft import Draft
from kstore.metadata.image import MetadataImage, PartitionImage, TopicImage
from kstore.metadata.layout import new_topic_id
from kstore.metadata.names import check_topic_name, is_internal
from kstore.metadata.partitions import (
    MAX_PARTITIONS_PER_REQUEST,
    MorePartitions,
    TopicResult,
    add_partitions,
    take_back,
    too_many_partitions,
)
from kstore.metadata.placement import check_assignments, place
from kstore.runtime import Later

__all__ = ["NewTopic", "Topics"]


@dataclass(frozen=True, slots=True)
class NewTopic:
    """A topic to be created.

    -1 as a count means the broker's default. `assignments` gives the replicas of each partition, by
    its index; then both counts are to be -1.
    """

    name: str
    partition_count: int = -1
    replication_factor: int = -1
    assignments: Mapping[int, Sequence[int]] | None = None
    configs: Mapping[str, str | None] = field(default_factory=dict)


class Topics:
    """The topics of a cluster."""

    def __init__(self, cluster: Cluster, defaults: TopicDefaults) -> None:
        self._cluster = cluster
        self._defaults = defaults

    @property
    def image(self) -> MetadataImage:
        """The metadata as of now; a value that never changes."""
        return self._cluster.image

    def subscribe(self, listener: Listener) -> None:
        """Has `listener` called on the loop after each change, before the change is answered."""
        self._cluster.subscribe(listener)

    def create(
        self, topics: Sequence[NewTopic], validate_only: bool = False
    ) -> Later[list[TopicResult]]:
        """Creates topics, all that are good in one transaction; a result for each, in order.

        With `validate_only` nothing is created; the results tell what would be.
        """

        def plan(draft: Draft) -> list[TopicResult]:
            if _partition_count(topics, self._defaults) > MAX_PARTITIONS_PER_REQUEST:
                return [TopicResult(topic.name, too_many_partitions(), None) for topic in topics]
            return [_create(draft, topic, self._defaults, validate_only) for topic in topics]

        return self._submit(plan, [topic.name for topic in topics])

    def delete(self, keys: Sequence[str | UUID]) -> Later[list[TopicResult]]:
        """Deletes topics by name or id in one transaction; a result for each, in order."""
        return self._submit(
            lambda draft: [_delete(draft, key) for key in keys],
            [key if isinstance(key, str) else "" for key in keys],
        )

    def add_partitions(
        self, wanted: Sequence[MorePartitions], validate_only: bool = False
    ) -> Later[list[TopicResult]]:
        """Adds partitions to topics in one transaction; a result for each, in order."""
        return self._submit(
            lambda draft: add_partitions(draft, wanted, validate_only=validate_only),
            [topic.name for topic in wanted],
        )

    def take_back(self, made: Sequence[TopicResult]) -> Later[list[TopicImage]]:
        """Removes what `create` or `add_partitions` has made, as if it had not been.

        Of each topic that was as it was left, the partitions that are gone. Fails with KafkaError.
        """

        def plan(draft: Draft) -> list[TopicImage]:
            taken = (
                take_back(draft, result.topic, result.first_new)
                for result in made
                if result.topic is not None
            )
            return [topic for topic in taken if topic is not None]

        return self._cluster.submit(plan)

    def _submit(self, plan: Plan[list[TopicResult]], names: list[str]) -> Later[list[TopicResult]]:
        """Makes a change; one that can't be stored is the error of each of its topics."""
        return self._cluster.submit_answered(
            plan, lambda error: [TopicResult(name, error, None) for name in names]
        )

    def bump_leader_epochs(self) -> Later[int]:
        """Raises the leader epoch of each partition this broker leads; how many there are.

        To be called after an unclean start, before anything is served: what this broker led before
        may be shorter now, and the epochs let clients see that.
        """
        node_id = self._cluster.node_id
        return self._cluster.submit(lambda draft: _bump_leader_epochs(draft, node_id))


def _partition_count(topics: Sequence[NewTopic], defaults: TopicDefaults) -> int:
    count = 0
    for topic in topics:
        if topic.assignments:
            count += len(topic.assignments)
        elif topic.partition_count == -1:
            count += defaults.num_partitions
        else:
            count += max(topic.partition_count, 0)
    return count


def _create(
    draft: Draft, new: NewTopic, defaults: TopicDefaults, validate_only: bool
) -> TopicResult:
    try:
        _check_name(draft, new.name)
        check_topic_configs(new.configs)
        replicas = _replicas(draft, new, defaults)
    except KafkaError as error:
        return TopicResult(new.name, error, None)
    topic = TopicImage(
        name=new.name,
        topic_id=new_topic_id(),
        partitions=tuple(
            PartitionImage(index, ids[0], 0, ids, ids) for index, ids in enumerate(replicas)
        ),
        configs={name: value for name, value in new.configs.items() if value is not None},
        internal=is_internal(new.name),
    )
    if not validate_only:
        draft.add_topic(topic)
    return TopicResult(new.name, None, topic)


def _check_name(draft: Draft, name: str) -> None:
    check_topic_name(name)
    if name in draft.topics:
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
    colliding = draft.colliding(name)
    if colliding is not None:
        raise KafkaError(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"Topic '{name}' collides with existing topic: {colliding}",
        )


def _replicas(draft: Draft, new: NewTopic, defaults: TopicDefaults) -> list[tuple[int, ...]]:
    if new.assignments:
        for value, name in (
            (new.replication_factor, "replication factor"),
            (new.partition_count, "numPartitions"),
        ):
            if value != -1:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST,
                    f"A manual partition assignment was specified, but {name} was not set to -1.",
                )
        return check_assignments(new.assignments, draft.brokers)
    if new.replication_factor < -1 or new.replication_factor == 0:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )
    if new.partition_count < -1 or new.partition_count == 0:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            "Number of partitions was set to an invalid non-positive value.",
        )
    return place(
        defaults.num_partitions if new.partition_count == -1 else new.partition_count,
        defaults.default_replication_factor
        if new.replication_factor == -1
        else new.replication_factor,
        draft.brokers,
        first=len(draft.topics),
    )


def _delete(draft: Draft, key: str | UUID) -> TopicResult:
    if isinstance(key, UUID):
        topic = draft.topic_ids.get(key)
        unknown = KafkaError(ErrorCode.UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
    else:
        topic = draft.topics.get(key)
        unknown = KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            "This server does not host this topic-partition.",
        )
    if topic is None:
        return TopicResult("" if isinstance(key, UUID) else key, unknown, None)
    if topic.configs.get("kstore.read.only", "").lower() == "true":
        refusal = KafkaError(
            ErrorCode.POLICY_VIOLATION, f"Topic '{topic.name}' is read-only (kstore.read.only)."
        )
        return TopicResult(topic.name, refusal, topic)
    draft.remove_topic(topic)
    return TopicResult(topic.name, None, topic)


def _bump_leader_epochs(draft: Draft, node_id: int) -> int:
    count = 0
    for topic in list(draft.topics.values()):
        led = sum(partition.leader == node_id for partition in topic.partitions)
        if led:
            partitions = tuple(
                PartitionImage(p.index, p.leader, p.leader_epoch + 1, p.replicas, p.isr)
                if p.leader == node_id
                else p
                for p in topic.partitions
            )
            draft.change_partitions(replace(topic, partitions=partitions))
            count += led
    return count
