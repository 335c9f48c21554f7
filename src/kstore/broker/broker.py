"""The broker's rooms, wired together, and the order in which they start and stop.

`Broker` holds what handlers need and the few actions that touch several rooms: making and removing
topics (tree, then directories, then partitions). Thread: the loop; what works on files runs in
workers, one job after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from kstore.broker.checkpoints import Checkpoints
from kstore.broker.cleaner import Cleaner
from kstore.broker.coordination import (
    OFFSETS_TOPIC,
    TRANSACTIONS_TOPIC,
    CoordinatorTopic,
    StoredRecords,
    internal_topic,
)
from kstore.broker.directories import Directories
from kstore.broker.features import TRANSACTION_VERSION, finalized_level
from kstore.broker.fetch_sessions import FetchSessions
from kstore.broker.live_settings import LiveSettings
from kstore.broker.log_dirs import LogDirs
from kstore.broker.markers import PartitionMarkers
from kstore.broker.moves import Moves
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.broker.retention import Retention
from kstore.broker.verification import Verifier
from kstore.configs import Settings, group_config, transaction_config
from kstore.errors import ErrorCode, KafkaError
from kstore.groups.coordinator import GroupCoordinator
from kstore.log.log import Log
from kstore.metadata.configs import Configs
from kstore.metadata.features import Features
from kstore.metadata.image import MetadataImage, TopicImage
from kstore.metadata.partitions import MorePartitions, TopicResult
from kstore.metadata.producer_ids import ProducerIds
from kstore.metadata.topics import NewTopic, Topics
from kstore.runtime import Later, Runtime
from kstore.transactions.coordinator import TransactionCoordinator

__all__ = ["Broker"]

log = logging.getLogger("kstore.broker")


class Broker:
    """One node: its partitions, its coordinators, and the cluster's metadata as it knows them."""

    def __init__(
        self,
        *,
        settings: Settings,
        runtime: Runtime,
        log_dirs: LogDirs,
        topics: Topics,
        configs: Configs,
        features: Features,
        producer_ids: ProducerIds,
    ) -> None:
        self.runtime = runtime
        self.log_dirs = log_dirs
        self.topics = topics
        self.configs = configs
        self.features = features
        self.producer_ids = producer_ids
        self.node_id = log_dirs.node_id
        self.partitions = Partitions()
        self.checkpoints = Checkpoints(runtime, log_dirs, self.partitions)
        self.live = LiveSettings(settings, topics, self.partitions, self.node_id)
        self.fetch_sessions = FetchSessions(
            runtime, settings["max.incremental.fetch.session.cache.slots"]
        )
        self.fetch_max_bytes: int = settings["fetch.max.bytes"]
        self.auto_create_topics: bool = settings["auto.create.topics.enable"]
        self.delete_topic_enable: bool = settings["delete.topic.enable"]
        log_dirs.subscribe(self._directory_failed)
        self._directories = Directories(runtime, log_dirs)
        self.retention = Retention(
            runtime, self.partitions, log_dirs, self._directories, self.checkpoints
        )
        self.cleaner = Cleaner(runtime, self.partitions, self.checkpoints, lambda: self.settings)
        self._moves = Moves(runtime, log_dirs, self._directories, self._purge_later)
        self._internal_topics_being_made: dict[str, Later[None]] = {}
        self._offsets_topic = CoordinatorTopic(runtime, self.partitions, OFFSETS_TOPIC)
        self.groups = GroupCoordinator(
            runtime,
            self._offsets_topic,
            replace(
                group_config(settings),
                offsets_topic_num_partitions=self._partition_count(OFFSETS_TOPIC),
            ),
        )
        self.markers = PartitionMarkers(runtime, self.partitions, lambda: self.image, self.groups)
        self._transactions_topic = CoordinatorTopic(runtime, self.partitions, TRANSACTIONS_TOPIC)
        self.transactions = TransactionCoordinator(
            runtime,
            self._transactions_topic,
            self.markers,
            producer_ids.next,
            replace(
                transaction_config(settings),
                transaction_state_log_num_partitions=self._partition_count(TRANSACTIONS_TOPIC),
            ),
            lambda: finalized_level(self.image, TRANSACTION_VERSION),
        )
        self.verifier = Verifier(runtime, self.transactions, lambda: self.settings)

    @property
    def image(self) -> MetadataImage:
        """The metadata as of now; a value that never changes."""
        return self.topics.image

    @property
    def settings(self) -> Settings:
        """The broker's configs as of now; a value that never changes."""
        return self.live.settings

    @property
    def _delete_delay_ms(self) -> int:
        """How long the files of what was deleted stay."""
        delay_ms: int = self.settings["log.segment.delete.delay.ms"]
        return delay_ms

    def _purge_later(self) -> None:
        self._directories.purge_later(self._delete_delay_ms)

    def _partition_count(self, name: str) -> int:
        """The partitions of a coordinator's topic; one that is there keeps what it has."""
        topic = self.image.topics.get(name)
        return (
            self.automatic_topic(name).partition_count if topic is None else len(topic.partitions)
        )

    def start(self) -> Later[None]:
        """Takes over every partition of the image; done when clients may be served.

        A partition that has no replica on this node is offline, and so is, while a directory is
        offline, one that is nowhere: it may lie there.
        """
        wanted = list(self.image.topics.values())
        known: set[tuple[str, int]] = set()
        for topic in wanted:
            for image in topic.partitions:
                known.add((topic.name, image.index))
                away = self.node_id not in image.replicas
                lost = self.log_dirs.any_offline and self.log_dirs.find(topic, image.index) is None
                if away or lost:
                    self.partitions.take_offline(topic.name, topic.topic_id, image.index)
        self._set_strays_aside(known)
        self._purge_later()
        return self._take_over(wanted).map(lambda _: self._go_on_moving())

    def _set_strays_aside(self, known: set[tuple[str, int]]) -> None:
        """Renames the directories of partitions that no topic has, as Kafka does.

        Where no topic is known at all, it is the metadata that are missing: nothing is touched.
        """
        strays = [one for one in self.log_dirs if (one.topic, one.partition) not in known]
        if strays and known:
            self._directories.set_aside(strays)
        elif strays:
            log.warning("no topic is known; left alone, and not served: %d partitions", len(strays))

    def _go_on_moving(self) -> None:
        for topic, index, path in self.log_dirs.unfinished():
            partition = self.partitions.get(topic, index)
            if partition is None:
                continue
            try:
                self._moves.start(partition, path)
            except KafkaError as error:
                log.error("move not begun again partition=%s-%d reason=%s", topic, index, error)

    def move(self, topic: str, index: int, path: str) -> None:
        """Has a partition move to another data directory, or be made there once it exists.

        Raises KafkaError if that can't be, or if it does not exist yet.
        """
        self.log_dirs.check_online(path)
        partition = self.partitions.get(topic, index)
        if partition is None and not self.partitions.is_offline(topic, index):
            self.log_dirs.prefer(topic, index, Path(path))
        partition = self.partitions.find(topic, index)
        partition.log.check_usable()
        here = partition.log.directory.parent == Path(path)
        if not here and self.log_dirs.any_offline:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "a data directory is offline")
        self._moves.start(partition, Path(path))

    def stop(self) -> None:
        """Lets the coordinators go; the logs are closed by who opened them."""
        self.groups.close()
        self.transactions.close()
        self._moves.close()
        self.retention.close()
        self.cleaner.close()
        self._directories.close()
        for opened in self.log_dirs:
            opened.stop_timer()

    # Topics

    def automatic_topic(self, name: str) -> NewTopic:
        """What a topic becomes that is made because somebody asked for it."""
        internal = internal_topic(name, self.settings, len(self.image.brokers))
        return NewTopic(name) if internal is None else internal

    def create_topics(self, wanted: list[NewTopic]) -> Later[dict[str, KafkaError]]:
        """Makes topics; done when they can be written to, with the errors of those that can't."""
        return self.make_topics(wanted).map(
            lambda results: {
                result.name: result.error for result in results if result.error is not None
            }
        )

    def make_topics(
        self, wanted: list[NewTopic], *, validate_only: bool = False
    ) -> Later[list[TopicResult]]:
        """Makes topics in the tree and then their partitions on disk."""
        created = self.topics.create(wanted, validate_only=validate_only)
        return self._then_take_over(created, validate_only=validate_only)

    def add_partitions(
        self, wanted: list[MorePartitions], *, validate_only: bool = False
    ) -> Later[list[TopicResult]]:
        """Adds partitions to topics in the tree and then on disk; done when they are led."""
        added = self.topics.add_partitions(wanted, validate_only=validate_only)
        return self._then_take_over(added, validate_only=validate_only)

    def _then_take_over(
        self, in_tree: Later[list[TopicResult]], *, validate_only: bool
    ) -> Later[list[TopicResult]]:
        """Once the tree has them, the partitions of topics are made on disk and led.

        Those of a topic of which one can't be made are taken out of the tree again: who was told of
        the error may try once more.
        """

        def stored(results: list[TopicResult]) -> Later[list[TopicResult]]:
            new = [result.topic for result in results if result.error is None and result.topic]
            if validate_only or not new:
                return Later.of(results)
            return self._take_over(new).chain(lambda failed: told(results, failed))

        def told(
            results: list[TopicResult], failed: dict[str, KafkaError]
        ) -> Later[list[TopicResult]]:
            outcome = [
                replace(result, error=failed.get(result.name, result.error)) for result in results
            ]
            half_made = [result for result in results if result.name in failed]
            if not half_made:
                return Later.of(outcome)
            return self._take_back(half_made).map(lambda _: outcome)

        return in_tree.chain(stored)

    def _take_back(self, half_made: list[TopicResult]) -> Later[None]:
        """Undoes the making of topics and partitions; never fails."""
        done: Later[None] = Later()

        def out_of_tree(taken: Later[list[TopicImage]]) -> None:
            if taken.error is not None:
                log.error("partitions not made stay in the metadata reason=%s", taken.error)
                done.complete(None)
            else:
                self._let_go(taken.result()).then(lambda _: done.complete(None))

        self.topics.take_back(half_made).then(out_of_tree)
        return done

    def remove_topics(self, keys: Sequence[str | UUID]) -> Later[list[TopicResult]]:
        """Removes topics from the tree and renames their directories."""

        def in_tree(results: list[TopicResult]) -> Later[list[TopicResult]]:
            gone = [result.topic for result in results if result.error is None and result.topic]
            for topic in gone:
                self.groups.forget_topic(topic.name, topic.topic_id)
            return self._let_go(gone).map(lambda _: results)

        return self.topics.delete(keys).chain(in_tree)

    def _let_go(self, topics: list[TopicImage]) -> Later[None]:
        """Leads the partitions of `topics` no more, and renames their directories."""
        for topic in topics:
            for image in topic.partitions:
                self._moves.stop(topic.name, image.index)
                self.partitions.remove(topic.name, image.index)
                self._unload(topic.name, image.index)
        return self._directories.remove(topics, self._delete_delay_ms)

    def keep_starts(self, partitions: Sequence[Partition]) -> Later[set[Log]]:
        """Removes what lies below the starts of partitions, and writes the starts down.

        Done when both are on disk, but for the logs that are named.
        """
        below = [(one.log, one.log.take_below_start()) for one in partitions]
        removed = self._directories.remove_segments(below)
        return removed.chain(
            lambda kept: self.checkpoints.write().map(lambda unwritten: kept | unwritten)
        )

    def ensure_internal_topic(self, name: str) -> Later[None]:
        """Makes an internal topic unless it is there; fails with its KafkaError.

        Done when its partitions are led and loaded, also for those who ask while it is being made.
        """
        being_made = self._internal_topics_being_made.get(name)
        if being_made is not None:
            return being_made
        if name in self.image.topics:
            return Later.of(None)
        ready: Later[None] = Later()
        self._internal_topics_being_made[name] = ready

        def made(done: Later[dict[str, KafkaError]]) -> None:
            del self._internal_topics_being_made[name]
            error = done.error or done.result().get(name)
            if error is None:
                ready.complete(None)
            else:
                ready.fail(error)

        self.create_topics([self.automatic_topic(name)]).then(made)
        return ready

    def _take_over(self, topics: list[TopicImage]) -> Later[dict[str, KafkaError]]:
        """Opens or makes the logs of topics, then leads their partitions; groups are loaded.

        The errors of topics of which some logs could not be made; these partitions are offline.
        """

        def lead(failed: dict[str, KafkaError]) -> Later[dict[str, KafkaError]]:
            # As the topics are by now: changed or deleted, maybe, while their logs were made.
            known = self.image.topic_ids
            loads = [
                load
                for topic in topics
                if topic.topic_id in known
                for load in self._lead(known[topic.topic_id])
            ]
            return Later.all(loads).map(lambda _: failed)

        configs = {topic.name: self.live.log_config(topic) for topic in topics}
        present = [
            replace(
                topic,
                partitions=tuple(
                    image
                    for image in topic.partitions
                    if not self.partitions.is_offline(topic.name, image.index)
                ),
            )
            for topic in topics
        ]
        return self._directories.make(present, configs).chain(lead)

    def _directory_failed(self, logs: list[Log]) -> None:
        """Takes the partitions of a data directory offline."""
        for opened in logs:
            partition = self.partitions.get(opened.topic, opened.partition)
            if partition is None or partition.log is not opened:
                continue
            self.partitions.take_offline(opened.topic, opened.topic_id, opened.partition)
            self._unload(opened.topic, opened.partition)

    def _lead(self, topic: TopicImage) -> list[Later[None]]:
        """Leads the partitions of a topic; what its coordinator, if it has one, is loading."""
        loads = []
        config = self.live.log_config(topic)
        for image in topic.partitions:
            opened = self.log_dirs.find(topic, image.index)
            if opened is None or self.partitions.get(topic.name, image.index) is not None:
                continue
            if opened.config != config:
                opened.reconfigure(config)
            opened.assign_leader_epoch(image.leader_epoch)
            partition = Partition(opened, image)
            self.partitions.add(partition)
            if topic.name == OFFSETS_TOPIC:
                loads.append(self._load_groups(partition))
            elif topic.name == TRANSACTIONS_TOPIC:
                loads.append(self._load_transactions(partition))
        return loads

    def _load_groups(self, partition: Partition) -> Later[None]:
        def take(stored: StoredRecords) -> None:
            self.groups.load(partition.index, stored.newest, stored.undecided)
            if not partition.log.config.kstore_read_only:
                self.groups.forget_missing_topics(partition.index, self.image.topics)

        return self._offsets_topic.load(partition, self.groups, take)

    def _load_transactions(self, partition: Partition) -> Later[None]:
        def take(stored: StoredRecords) -> None:
            self.transactions.load(partition.index, stored.newest, partition.leader_epoch)

        return self._transactions_topic.load(partition, self.transactions, take)

    def _unload(self, topic: str, index: int) -> None:
        """Has the coordinator of an internal topic let a partition go."""
        if topic == OFFSETS_TOPIC:
            self.groups.unload(index)
        elif topic == TRANSACTIONS_TOPIC:
            self.transactions.unload(index)
