"""The configs in force: those of the start, and over them those that clients have set since.

When the metadata changes, the logs it concerns are reconfigured and whoever else depends on the
settings is told, all before the change is answered. Thread: the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kstore.broker.partitions import Partitions
from kstore.configs import LogConfig, Settings, log_config
from kstore.metadata.image import MetadataChange, MetadataImage, TopicImage
from kstore.metadata.topics import Topics

__all__ = ["LiveSettings"]

MAX_KNOWN_CONFIGS = 1000


class LiveSettings:
    """Follows the metadata's configs. `settings` is a value: ask for it anew each time."""

    def __init__(
        self, start: Settings, topics: Topics, partitions: Partitions, node_id: int
    ) -> None:
        self._start = start
        self._partitions = partitions
        self._node_id = node_id
        self._listeners: list[Callable[[Settings], None]] = []
        self._log_configs: dict[frozenset[tuple[str, str]], LogConfig] = {}
        self.settings = self._of(topics.image)
        topics.subscribe(self._changed)

    def subscribe(self, listener: Callable[[Settings], None]) -> None:
        """Has `listener` called with the new settings after each change of the broker's."""
        self._listeners.append(listener)

    def log_config(self, topic: TopicImage) -> LogConfig:
        """The config of a topic's logs; topics with the same configs share it.

        It takes long to work out, and there may be thousands of topics, most of them alike.
        """
        key = frozenset(topic.configs.items())
        config = self._log_configs.get(key)
        if config is None:
            if len(self._log_configs) == MAX_KNOWN_CONFIGS:
                self._log_configs.clear()
            config = self._log_configs[key] = log_config(self.settings, topic.configs)
        return config

    def _of(self, image: MetadataImage) -> Settings:
        configs = image.broker_configs
        return self._start.with_dynamic(configs.get("", {}), configs.get(str(self._node_id), {}))

    def _changed(self, change: MetadataChange) -> None:
        if not change.broker_configs_changed:
            self._reconfigure(change.changed)
            return
        self.settings = self._of(change.image)
        self._log_configs.clear()
        self._reconfigure(change.image.topics.values())
        for listener in self._listeners:
            listener(self.settings)

    def _reconfigure(self, topics: Iterable[TopicImage]) -> None:
        for topic in topics:
            config = self.log_config(topic)
            for image in topic.partitions:
                partition = self._partitions.get(topic.name, image.index)
                if partition is not None and partition.log.config != config:
                    partition.log.reconfigure(config)
