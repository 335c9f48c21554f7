"""Decides what of a Kafka node will be served, and how: the metadata to write, and a row a topic.

With Kafka's metadata every topic keeps its id, its partitions and its configs; this node leads
every partition that it has a replica of, with an epoch above all that were, and the others are
offline. Without them topics and partitions are what the directories say; nothing is known of how
long their records are to be kept, so such a topic is read-only, and nothing of it is deleted or
compacted. Nothing is changed here. Any thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from kstore.configs import check_topic_configs, replace_broker_configs
from kstore.errors import KafkaError, StoreError
from kstore.metadata.image import PartitionImage, TopicImage
from kstore.metadata.importing.directories import FoundPartition, KafkaNode
from kstore.metadata.importing.metadata import KafkaMetadata, KafkaTopic
from kstore.metadata.layout import new_topic_id
from kstore.metadata.names import check_topic_name, is_internal

__all__ = ["READ_ONLY", "ImportPlan", "TopicRow", "plan_import"]

READ_ONLY = {
    "cleanup.policy": "",
    "retention.bytes": "-1",
    "retention.ms": "-1",
    "kstore.read.only": "true",
}
"""The configs of a topic of which nothing may be lost, whatever it was meant to be."""

_ABOUT_LOSS = frozenset(
    {
        "cleanup.policy",
        "delete.retention.ms",
        "min.compaction.lag.ms",
        "retention.bytes",
        "retention.ms",
    }
)
"""Configs that say when records go: a topic whose value can't be taken is better left as it is."""

_MAX_PARTITIONS = 1_000_000
"""Of a topic, as the name of a directory tells them."""

_MAX_EPOCH = (1 << 31) - 1
_NO_TOPIC_ID = UUID(int=0)

_NOBODY = (-1,)
"""The replicas of a partition of which nobody knows where it is."""


@dataclass(frozen=True, slots=True)
class TopicRow:
    """What becomes of a topic: `served` of its `partitions` are served, `size` bytes are here.

    `topic_id` is None, and nothing is served, where the directories are no topic's.
    """

    topic: str
    topic_id: UUID | None
    partitions: int
    served: int
    size: int
    read_only: bool
    configs: Mapping[str, str]
    note: str | None


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """The metadata as they will be written, and what is to be told. `missing` are the partitions
    that should be here but have no directory; they would begin empty."""

    node: KafkaNode
    topics: tuple[TopicImage, ...]
    broker_configs: Mapping[str, Mapping[str, str]]
    next_producer_id: int
    rows: tuple[TopicRow, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


_Found = dict[tuple[str, int], list[FoundPartition]]


def plan_import(node: KafkaNode) -> ImportPlan:
    """Raises StoreError if the directories contradict each other."""
    found: _Found = defaultdict(list)
    for directory in node.directories:
        for one in directory.partitions:
            found[one.topic, one.index].append(one)
    planning = _Planning(node, found)
    if node.metadata is not None:
        planning.with_metadata(node.metadata)
    else:
        planning.without_metadata()
    return planning.finish()


class _Planning:
    """A plan in the making: what is served is taken out of `found`."""

    def __init__(self, node: KafkaNode, found: _Found) -> None:
        self._node = node
        self._found = found
        self._topics: list[TopicImage] = []
        self._rows: list[TopicRow] = []
        self._missing: list[str] = []
        self._notes: list[str] = []
        self._broker_configs: dict[str, dict[str, str]] = {}
        every = (one for several in found.values() for one in several)
        self._next_producer_id = 1 + max((one.producer_id for one in every), default=-1)

    def with_metadata(self, metadata: KafkaMetadata) -> None:
        self._next_producer_id = max(self._next_producer_id, metadata.next_producer_id)
        for topic in sorted(metadata.topics.values(), key=lambda topic: topic.name):
            self._add_known(topic, metadata.topic_configs(topic.name))
        for name in ("", str(self._node.node_id)):
            self._take_broker_configs(name, metadata.broker_configs(name))
        for type_name, count in sorted(metadata.skipped.items()):
            self._notes.append(f"not taken over: {count} records of the kind {type_name}")
        if metadata.torn_size:
            self._notes.append(
                f"the last {metadata.torn_size} bytes of Kafka's metadata log were never written "
                "to the end, and are left out"
            )

    def _add_known(self, topic: KafkaTopic, wanted: Mapping[str, str]) -> None:
        twice = bool(self._topics) and self._topics[-1].name == topic.name
        if twice or not _is_topic_name(topic.name):
            raise StoreError(f"Kafka's metadata can't be right: they name a topic {topic.name!r}")
        if sorted(topic.partitions) != list(range(len(topic.partitions))):
            raise StoreError(f"Kafka's metadata lack partitions of the topic {topic.name}")
        configs, refused = _usable_configs(wanted)
        notes = [f"not taken over: {name}={wanted[name]}" for name in refused]
        read_only = not _ABOUT_LOSS.isdisjoint(refused)
        if read_only:
            configs |= READ_ONLY
        images, here, elsewhere, behind = [], [], 0, []
        for index in range(len(topic.partitions)):
            known = topic.partitions[index]
            mine = self._node.node_id in known.replicas
            own = self._take(topic.name, index, topic.topic_id) if mine else None
            if own is not None:
                here.append(own)
            elif mine:
                self._missing.append(f"{topic.name}-{index}{self._whereabouts(topic, index)}")
            else:
                elsewhere += 1
            if mine and known.may_lack_records(self._node.node_id):
                behind.append(index)
            replica = self._node.node_id if mine else (known.replicas[:1] or _NOBODY)[0]
            images.append(self._image(index, known.leader_epoch, own, replica))
        if elsewhere:
            notes.append(f"{elsewhere} partitions have no replica on this node: they are offline")
        if behind:
            notes.append(f"this node was not in sync for partitions {_list(behind)}")
        self._add(topic.name, topic.topic_id, images, configs, here, read_only, notes)

    def _whereabouts(self, topic: KafkaTopic, index: int) -> str:
        """What is known of where a partition without a directory lies."""
        wanted = topic.partitions[index].directory_of(self._node.node_id)
        given = {directory.directory_id for directory in self._node.directories}
        # The ids below 100 stand for no directory, as Kafka's DirectoryId has them.
        if wanted is None or wanted.int < 100 or wanted in given:
            return ""
        return " (it lies in a data directory that was not named)"

    def _take(self, topic: str, index: int, topic_id: UUID) -> FoundPartition | None:
        """The directory of a partition, which is nobody else's from now on. Raises StoreError if
        there are two."""
        several = self._found.get((topic, index), [])
        own = [one for one in several if one.topic_id in (topic_id, _NO_TOPIC_ID)]
        if len(own) > 1:
            raise StoreError(
                f"{topic}-{index} lies both in {own[0].directory} and in {own[1].directory}: one "
                "of the two has to be removed by hand"
            )
        if not own:
            return None
        several.remove(own[0])
        return own[0]

    def _image(
        self, index: int, leader_epoch: int, own: FoundPartition | None, replica: int
    ) -> PartitionImage:
        """A partition with one replica. Unless that is this node's, it has no leader any more."""
        newest = max(leader_epoch, own.leader_epoch if own is not None else -1)
        newest = min(newest, _MAX_EPOCH - 1)
        if replica != self._node.node_id:
            return PartitionImage(index, -1, newest + 1, (replica,), ())
        return PartitionImage(index, replica, newest + 1, (replica,), (replica,))

    def without_metadata(self) -> None:
        by_topic: dict[str, dict[int, list[FoundPartition]]] = defaultdict(dict)
        for (topic, index), several in self._found.items():
            by_topic[topic][index] = several
        for name, partitions in sorted(by_topic.items()):
            ids = {one.topic_id for several in partitions.values() for one in several}
            ids.discard(_NO_TOPIC_ID)
            if _is_topic_name(name) and len(ids) <= 1 and max(partitions) < _MAX_PARTITIONS:
                self._add_unknown(name, ids.pop() if ids else new_topic_id(), max(partitions) + 1)

    def _add_unknown(self, name: str, topic_id: UUID, count: int) -> None:
        own = [self._take(name, index, topic_id) for index in range(count)]
        images = [
            self._image(index, -1, one, self._node.node_id if one else _NOBODY[0])
            for index, one in enumerate(own)
        ]
        here = [one for one in own if one is not None]
        notes = [] if len(here) == count else ["the other partitions are not here: offline"]
        self._add(name, topic_id, images, dict(READ_ONLY), here, True, notes)

    def _add(
        self,
        name: str,
        topic_id: UUID,
        images: list[PartitionImage],
        configs: dict[str, str],
        here: list[FoundPartition],
        read_only: bool,
        notes: list[str],
    ) -> None:
        self._topics.append(TopicImage(name, topic_id, tuple(images), configs, is_internal(name)))
        size = sum(one.size for one in here)
        note = "; ".join(notes) or None
        self._rows.append(
            TopicRow(name, topic_id, len(images), len(here), size, read_only, configs, note)
        )

    def _take_broker_configs(self, name: str, wanted: Mapping[str, str]) -> None:
        taken: dict[str, str] = {}
        for config, value in sorted(wanted.items()):
            try:
                taken |= replace_broker_configs({config: value})
            except KafkaError:
                of = f"broker {name}" if name else "all brokers"
                self._notes.append(f"not taken over, of {of}: {config}={value}")
        if taken:
            self._broker_configs[name] = taken

    def finish(self) -> ImportPlan:
        self._tell_of_strays()
        for directory in self._node.directories:
            self._notes += (f"left alone: {directory.path / name}" for name in directory.left_alone)
            if not directory.closed:
                self._notes.append(
                    f"{directory.path} was not closed cleanly: its logs will be recovered by the "
                    "first start"
                )
        return ImportPlan(
            self._node,
            tuple(self._topics),
            self._broker_configs,
            self._next_producer_id,
            tuple(self._rows),
            tuple(self._missing),
            tuple(self._notes),
        )

    def _tell_of_strays(self) -> None:
        """The directories that are no topic's. A broker sets them aside, as Kafka's does."""
        strays: dict[str, list[FoundPartition]] = defaultdict(list)
        for (topic, _), several in sorted(self._found.items()):
            strays[topic] += several
        for topic, several in strays.items():
            if several:
                note = "no topic has this id: will be set aside, as -stray"
                size = sum(one.size for one in several)
                self._rows.append(TopicRow(topic, None, len(several), 0, size, False, {}, note))


def _usable_configs(wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The configs of a topic that can be taken over, and the names of those that can't."""
    taken: dict[str, str] = {}
    refused = []
    for name, value in sorted(wanted.items()):
        try:
            check_topic_configs({**taken, name: value})
        except KafkaError:
            refused.append(name)
        else:
            taken[name] = value
    return taken, refused


def _is_topic_name(name: str) -> bool:
    try:
        check_topic_name(name)
    except KafkaError:
        return False
    return True


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
