"""A change of the metadata in the making: a working copy of the image, and what is to be written.

Drafts are made and filled in a worker, where an image of ten thousand topics may be copied and a
thousand nodes be encoded without holding up the loop. One thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from kstore.metadata import layout
from kstore.metadata.image import BrokerImage, MetadataChange, MetadataImage, TopicImage
from kstore.metadata.names import may_collide, unified_name
from kstore.metadata.tree import Create, Operation

__all__ = ["Draft"]


class Draft:
    """What the image and the tree will be if the change is taken."""

    def __init__(self, image: MetadataImage, controller_epoch: int) -> None:
        self._before = image
        self._controller_epoch = controller_epoch
        self._brokers = dict(image.brokers)
        self._broker_configs = dict(image.broker_configs)
        self._features = image.features
        self._features_epoch = image.features_epoch
        self._topics = dict(image.topics)
        self._topic_ids = dict(image.topic_ids)
        self._unified_names = dict(image.unified_names)
        self._added: dict[UUID, TopicImage] = {}
        self._removed: dict[UUID, TopicImage] = {}
        self._changed: dict[UUID, TopicImage] = {}
        self.operations: list[Operation] = []

    # What is there, with the draft's own changes

    @property
    def brokers(self) -> Mapping[int, BrokerImage]:
        return self._brokers

    @property
    def topics(self) -> Mapping[str, TopicImage]:
        return self._topics

    @property
    def topic_ids(self) -> Mapping[UUID, TopicImage]:
        return self._topic_ids

    @property
    def broker_configs(self) -> Mapping[str, Mapping[str, str]]:
        return self._broker_configs

    def colliding(self, name: str) -> str | None:
        """A topic whose name collides with this one, or is the same."""
        return self._unified_names.get(unified_name(name)) if may_collide(name) else None

    # Changes

    def add_topic(self, topic: TopicImage) -> None:
        """A topic whose name and id are new."""
        self._put(topic)
        if may_collide(topic.name):
            self._unified_names[unified_name(topic.name)] = topic.name
        self._added[topic.topic_id] = topic
        self.operations += layout.create_topic(topic, self._controller_epoch)

    def remove_topic(self, topic: TopicImage) -> None:
        """A topic that is there."""
        del self._topics[topic.name]
        del self._topic_ids[topic.topic_id]
        self._unified_names.pop(unified_name(topic.name), None)
        self._changed.pop(topic.topic_id, None)
        if self._added.pop(topic.topic_id, None) is None:
            self._removed[topic.topic_id] = topic
        self.operations += layout.delete_topic(topic)

    def change_partitions(self, topic: TopicImage) -> None:
        """New partition states of a topic that is there, with the same partitions as before."""
        before = self._topics[topic.name]
        different = [
            partition
            for partition, old in zip(topic.partitions, before.partitions, strict=True)
            if partition != old
        ]
        self._change(topic)
        self.operations += layout.update_partitions(topic.name, different, self._controller_epoch)

    def add_partitions(self, topic: TopicImage) -> None:
        """More partitions of a topic that is there, behind those that it has."""
        first = len(self._topics[topic.name].partitions)
        self._change(topic)
        self.operations += layout.add_partitions(topic, first, self._controller_epoch)

    def remove_partitions(self, topic: TopicImage) -> None:
        """Fewer partitions of a topic that is there: the last ones go."""
        gone = self._topics[topic.name].partitions[len(topic.partitions) :]
        self._change(topic)
        self.operations += layout.remove_partitions(topic, gone)

    def change_topic_configs(self, topic: TopicImage, configs: Mapping[str, str]) -> None:
        """New configs of a topic that is there."""
        self._change(replace(topic, configs=configs))
        self.operations.append(layout.update_topic_configs(topic.name, configs))

    def change_broker_configs(self, name: str, configs: Mapping[str, str]) -> None:
        """New dynamic configs of a broker, or of all (""); none are as good as no node."""
        before = self._broker_configs.pop(name, {})
        if configs:
            self._broker_configs[name] = configs
        self.operations += layout.update_broker_configs(name, before, configs)

    def change_features(self, levels: Mapping[str, int]) -> None:
        """New levels of some features."""
        changed = {**self._features, **levels}
        self.operations.append(layout.update_features(self._features, changed))
        self._features = changed
        self._features_epoch += 1

    def add_broker(self, broker: BrokerImage, now_ms: int) -> None:
        """A broker that is not there yet; it goes when the tree of its process ends."""
        self._brokers[broker.node_id] = broker
        self.operations.append(
            Create(
                layout.broker_path(broker.node_id),
                layout.encode_broker(broker, now_ms),
                ephemeral=True,
            )
        )

    def _put(self, topic: TopicImage) -> None:
        self._topics[topic.name] = topic
        self._topic_ids[topic.topic_id] = topic

    def _change(self, topic: TopicImage) -> None:
        self._put(topic)
        if topic.topic_id in self._added:
            self._added[topic.topic_id] = topic
        else:
            self._changed[topic.topic_id] = topic

    def finish(self) -> MetadataChange:
        """The new image and what is different in it. The draft is not to be used any more."""
        image = replace(
            self._before,
            topics=self._topics,
            topic_ids=self._topic_ids,
            brokers=self._brokers,
            broker_configs=self._broker_configs,
            features=self._features,
            features_epoch=self._features_epoch,
            unified_names=self._unified_names,
        )
        return MetadataChange(
            image,
            tuple(self._added.values()),
            tuple(self._removed.values()),
            tuple(self._changed.values()),
            brokers_changed=self._brokers != self._before.brokers,
            broker_configs_changed=self._broker_configs != self._before.broker_configs,
        )
