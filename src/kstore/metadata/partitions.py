"""More partitions for topics that are there.

What is refused, with which code and in which words, is Kafka's `ReplicationControlManager`. Runs in
a worker, on a draft.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kstore.errors import ErrorCode, KafkaError
from kstore.metadata.draft import Draft
from kstore.metadata.image import PartitionImage, TopicImage
from kstore.metadata.placement import check_replicas, place

__all__ = [
    "MAX_PARTITIONS_PER_REQUEST",
    "MorePartitions",
    "TopicResult",
    "add_partitions",
    "take_back",
    "too_many_partitions",
]

MAX_PARTITIONS_PER_REQUEST = 10_000
"""Kafka's `MAX_PARTITIONS_PER_BATCH`."""


@dataclass(frozen=True, slots=True)
class MorePartitions:
    """A topic that is to have `partition_count` partitions; `assignments` are of the new ones."""

    name: str
    partition_count: int
    assignments: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True, slots=True)
class TopicResult:
    """What became of one topic of a request: an error, or the topic as it is, or was.

    `name` is empty where a topic was asked for by an id that nobody knows. `first_new` is the first
    partition that was made; with 0 the topic is new.
    """

    name: str
    error: KafkaError | None
    topic: TopicImage | None
    first_new: int = 0


def too_many_partitions() -> KafkaError:
    """The answer to a request for more partitions than one transaction may hold."""
    return KafkaError(
        ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request."
    )


def add_partitions(
    draft: Draft, wanted: Sequence[MorePartitions], *, validate_only: bool
) -> list[TopicResult]:
    """Adds what is wanted to the draft; a result for each, in order."""
    left = MAX_PARTITIONS_PER_REQUEST
    results = []
    for more in wanted:
        try:
            topic = _grown(draft, more, left)
        except KafkaError as error:
            results.append(TopicResult(more.name, error, None))
            continue
        count = len(draft.topics[topic.name].partitions)
        left -= len(topic.partitions) - count
        if not validate_only:
            draft.add_partitions(topic)
        results.append(TopicResult(more.name, None, topic, first_new=count))
    return results


def take_back(draft: Draft, topic: TopicImage, first_new: int) -> TopicImage | None:
    """Removes the last partitions of a topic, or with 0 all of it; the topic with these alone.

    None if the topic is not the one that it was, so that the partitions may be somebody else's.
    """
    now = draft.topic_ids.get(topic.topic_id)
    if now is None or len(now.partitions) != len(topic.partitions):
        return None
    if first_new == 0:
        draft.remove_topic(now)
    else:
        draft.remove_partitions(replace(now, partitions=now.partitions[:first_new]))
    return replace(now, partitions=now.partitions[first_new:])


def _grown(draft: Draft, more: MorePartitions, limit: int) -> TopicImage:
    topic = draft.topics.get(more.name)
    if topic is None:
        raise KafkaError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            "This server does not host this topic-partition.",
        )
    count = len(topic.partitions)
    if more.partition_count == count:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {count} partition(s).")
    if more.partition_count < count:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {more.name} currently has {count} partition(s); {more.partition_count} "
            "would not be an increase.",
        )
    if more.partition_count - count > limit:
        raise too_many_partitions()
    replicas = _replicas(draft, topic, more)
    new = (PartitionImage(index, ids[0], 0, ids, ids) for index, ids in enumerate(replicas, count))
    return replace(topic, partitions=(*topic.partitions, *new))


def _replicas(draft: Draft, topic: TopicImage, more: MorePartitions) -> list[tuple[int, ...]]:
    """The replicas of the new partitions."""
    first = len(topic.partitions)
    additional = more.partition_count - first
    factor = len(topic.partitions[0].replicas)
    if more.assignments is None:
        return place(additional, factor, draft.brokers, first=first)
    if len(more.assignments) != additional:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"Attempted to add {additional} additional partition(s), but only "
            f"{len(more.assignments)} assignment(s) were specified.",
        )
    for ids in more.assignments:
        check_replicas(ids, draft.brokers, factor)
    return [tuple(ids) for ids in more.assignments]
