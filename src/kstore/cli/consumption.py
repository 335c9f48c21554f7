"""Where `kstore console-consumer` reads: as a member of a group, or partitions of its own choice.

Without a group all partitions of the topic are assigned at once, so that the first record comes
without the seconds that joining a group can take (Kafka's tool joins a group with a random name,
which shows up in lists of groups; ours does not). New partitions are looked for while idle.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    TopicPartition,
)

from kstore.cli.clients import Watch, explain, metadata
from kstore.cli.errors import CommandError

__all__ = ["GroupReader", "PartitionReader", "Reader", "TopicReader", "logical_offset"]

# How often a topic without a group is looked at for new partitions.
_LOOK_S = 5.0

# How often a topic that is not there yet is looked for.
_ABSENT_LOOK_S = 0.5

_COMING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.LEADER_NOT_AVAILABLE}


class Reader(Protocol):
    """How a consumer gets its partitions. `started` is true once it has, even if it got none."""

    started: bool

    def start(self) -> None: ...

    def idle(self) -> None: ...


def logical_offset(reset: str) -> int:
    """confluent-kafka's number for the `earliest` or `latest` offset."""
    return OFFSET_BEGINNING if reset in ("earliest", "smallest", "beginning") else OFFSET_END


class GroupReader:
    """Partitions come from a group; `pattern` may be a regular expression that starts with `^`."""

    def __init__(self, consumer: Consumer, watch: Watch, pattern: str) -> None:
        self.started = False
        self._consumer = consumer
        self._watch = watch
        self._pattern = pattern

    def start(self) -> None:
        """Waits for a broker and subscribes. Raises `CommandError`."""
        metadata(self._consumer, self._watch)
        self._consumer.subscribe([self._pattern], on_assign=self._assigned)

    def idle(self) -> None:
        """Nothing to do: the group tells of new partitions."""

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.started = True


class PartitionReader:
    """One partition from one offset."""

    def __init__(
        self, consumer: Consumer, watch: Watch, topic: str, partition: int, offset: int
    ) -> None:
        self.started = False
        self._consumer = consumer
        self._watch = watch
        self._start = TopicPartition(topic, partition, offset)

    def start(self) -> None:
        """Raises `CommandError` if there is no such partition."""
        found = metadata(self._consumer, self._watch, topic=self._start.topic)
        topic = found.topics[self._start.topic]
        if topic.error is not None:
            raise CommandError(f"topic '{self._start.topic}': {explain(topic.error)}")
        if self._start.partition not in topic.partitions:
            raise CommandError(
                f"topic '{self._start.topic}' has no partition {self._start.partition}"
            )
        self._consumer.assign([self._start])
        self.started = True

    def idle(self) -> None:
        """Nothing to do."""


class TopicReader:
    """All partitions of a topic, from `offset`; those that come later from their beginning."""

    def __init__(
        self,
        consumer: Consumer,
        watch: Watch,
        topic: str,
        offset: int,
        absent: Callable[[str], None],
    ) -> None:
        """`absent` is called with a text each time that the topic is not there."""
        self.started = False
        self._consumer = consumer
        self._watch = watch
        self._topic = topic
        self._offset = offset
        self._absent = absent
        self._known: set[int] = set()
        self._next_look = 0.0

    def start(self) -> None:
        """Assigns the partitions that are there. Raises `CommandError`."""
        self._next_look = time.monotonic() + _LOOK_S
        self._look()
        self._offset = OFFSET_BEGINNING
        self.started = True

    def idle(self) -> None:
        """Looks for new partitions, now and then."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _LOOK_S
            # A broker that went away may come back; the consumer then goes on by itself.
            with suppress(CommandError):
                self._look()

    def _look(self) -> None:
        topic = metadata(self._consumer, self._watch, topic=self._topic).topics[self._topic]
        if topic.error is not None:
            text = f"topic '{self._topic}': {explain(topic.error)}"
            if topic.error.code() not in _COMING:
                raise CommandError(text)
            self._absent(text)
            self._next_look = time.monotonic() + _ABSENT_LOOK_S
            return
        new = set(topic.partitions) - self._known
        if new:
            self._consumer.incremental_assign(
                [TopicPartition(self._topic, index, self._offset) for index in sorted(new)]
            )
            self._known |= new
