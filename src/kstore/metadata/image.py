"""The metadata as requests read it: values in memory that never change.

A change makes a new image and leaves the old one as it was, so a request, or a worker, can keep one
as long as it likes. Any thread may read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

__all__ = [
    "BrokerImage",
    "MetadataChange",
    "MetadataImage",
    "PartitionImage",
    "TopicImage",
]


@dataclass(frozen=True, slots=True)
class BrokerImage:
    """A broker that is up, and the address it advertises."""

    node_id: int
    host: str
    port: int
    rack: str | None = None


@dataclass(frozen=True, slots=True)
class PartitionImage:
    """Who leads a partition, and who has copies. `leader` is -1 if nobody does."""

    index: int
    leader: int
    leader_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TopicImage:
    """A topic. `partitions[i].index` is i; `configs` are the topic's own, without defaults."""

    name: str
    topic_id: UUID
    partitions: tuple[PartitionImage, ...]
    configs: Mapping[str, str]
    internal: bool


@dataclass(frozen=True, slots=True)
class MetadataImage:
    """All that the cluster agrees on, at one moment. The mappings are not to be changed."""

    cluster_id: str
    controller_id: int
    controller_epoch: int = 0
    """How often a controller has taken its place."""
    topics: Mapping[str, TopicImage] = field(default_factory=dict)
    topic_ids: Mapping[UUID, TopicImage] = field(default_factory=dict)
    brokers: Mapping[int, BrokerImage] = field(default_factory=dict)
    broker_configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What clients have set, by broker: its id as text, "" for all brokers. None is empty."""
    features: Mapping[str, int] = field(default_factory=dict)
    """The levels of features that clients have set; others are at their newest."""
    features_epoch: int = 0
    """How often they were set. A client believes the answer with the larger one."""
    unified_names: Mapping[str, str] = field(default_factory=dict)
    """Of each topic with `.` or `_` in its name: `names.unified_name` to the name itself."""


@dataclass(frozen=True, slots=True)
class MetadataChange:
    """What became different in `image`. A recreated topic is among the removed and the added."""

    image: MetadataImage
    added: tuple[TopicImage, ...] = ()
    removed: tuple[TopicImage, ...] = ()
    changed: tuple[TopicImage, ...] = ()
    brokers_changed: bool = False
    broker_configs_changed: bool = False
