"""Topics that come and go while their directories are being made and removed.

The broker's rooms are real, on a manual runtime: a worker does its work when the test lets it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from kstore.broker.broker import Broker
from kstore.broker.coordination import OFFSETS_TOPIC
from kstore.broker.log_dirs import LogDirs
from kstore.configs import load, topic_defaults
from kstore.errors import ErrorCode, KafkaError
from kstore.groups.values import CommitRequest, FetchRequest, OffsetToCommit
from kstore.log.records import Record, build_batch
from kstore.log.store import Store
from kstore.metadata.brokers import Brokers
from kstore.metadata.cluster import Cluster
from kstore.metadata.configs import Configs
from kstore.metadata.features import Features
from kstore.metadata.image import BrokerImage
from kstore.metadata.partitions import MorePartitions, TopicResult
from kstore.metadata.producer_ids import ProducerIds
from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.topics import NewTopic, Topics
from kstore.runtime import Later
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime

T = TypeVar("T")
EACCES = 13


class World:
    """A broker whose workers stand still until `finish` or `work_until`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runtime = ManualRuntime()
        self.files = FaultyFiles()
        self.store = Store.open(directory, node_id=1, runtime=self.runtime, files=self.files)
        self.tree = SqliteTree(directory / METADATA_FILE, self.runtime)
        opened = Cluster.open(self.tree, self.runtime, node_id=1, cluster_id=self.store.cluster_id)
        cluster = self.finish(opened)
        self.finish(Brokers(cluster).register(BrokerImage(1, "localhost", 9092)))
        settings = load({"log.dirs": str(directory), "offsets.topic.num.partitions": "2"})
        self.broker = Broker(
            settings=settings,
            runtime=self.runtime,
            log_dirs=LogDirs(self.runtime, [self.store]),
            topics=Topics(cluster, topic_defaults(settings)),
            configs=Configs(cluster),
            features=Features(cluster),
            producer_ids=ProducerIds(self.tree, 1),
        )
        self.finish(self.broker.start())

    def finish(self, later: Later[T]) -> T:
        self.runtime.run_workers()
        return later.result()

    def work_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.runtime.run_workers(1) == 1, "nothing is left to do"

    def create(self, name: str, partition_count: int = 1) -> Later[list[TopicResult]]:
        return self.broker.make_topics([NewTopic(name, partition_count)])

    def directories(self) -> list[str]:
        """Those of partitions that are served, or would be after a restart."""
        return sorted(
            path.name
            for path in self.directory.iterdir()
            if path.is_dir() and not path.name.endswith("-delete")
        )

    def append(self, topic: str, value: bytes) -> None:
        partition = self.broker.partitions.find(topic, 0)
        partition.append(build_batch([Record(0, 1, None, value, ())]), 1)

    def commit(self, group_id: str, topic: str, offset: int) -> None:
        self.finish(self.broker.ensure_internal_topic(OFFSETS_TOPIC))
        offsets = (OffsetToCommit(topic, 0, offset),)
        committed = self.finish(self.broker.groups.commit_offsets(CommitRequest(group_id, offsets)))
        assert committed.errors == (ErrorCode.NONE,)

    def committed(self, group_id: str) -> dict[str, int]:
        """The offset of partition 0 of each topic of which the group has one."""
        fetched = self.finish(self.broker.groups.fetch_offsets(FetchRequest(group_id, None)))
        return {topic.topic: topic.offsets[0].offset for topic in fetched.topics}

    def values(self, topic: str) -> list[bytes | None]:
        """What is served of a topic, asked for by its id as clients do."""
        topic_id = self.broker.image.topics[topic].topic_id
        log = self.broker.partitions.find(topic_id.bytes, 0).log
        return [record.value for record in log.records()]

    def close(self) -> None:
        self.broker.stop()
        self.finish(self.tree.close())
        self.store.close()

    def kill(self) -> None:
        """Ends in the middle of the work: only what the system holds is let go."""
        self.runtime._work.clear()
        self.finish(self.tree.close())
        self.store._lock.release()


@contextmanager
def opened(directory: Path) -> Iterator[World]:
    world = World(directory)
    yield world
    world.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with opened(tmp_path) as world:
        yield world


def test_a_topic_deleted_while_its_directories_are_made_leaves_none(world: World) -> None:
    created = world.create("t", 3)
    world.work_until(lambda: "t" in world.broker.image.topics)
    deleted = world.broker.remove_topics(["t"])
    while "t" in world.broker.image.topics:
        world.runtime._work.rotate(-1)  # another worker is quicker than the one that makes them
        assert world.runtime.run_workers(1) == 1
    assert world.directories() == [], "the directories are still to be made"
    assert world.finish(deleted)[0].error is None
    assert created.done
    assert world.store.list() == []
    assert world.directories() == []


def test_a_topic_made_again_at_once_is_the_new_one(world: World) -> None:
    world.create("t")
    world.work_until(lambda: "t" in world.broker.image.topics)
    world.broker.remove_topics(["t"])
    while "t" in world.broker.image.topics:
        world.runtime._work.rotate(-1)
        assert world.runtime.run_workers(1) == 1
    again = world.finish(world.create("t"))[0].topic
    assert again is not None
    partition = world.broker.partitions.find(again.topic_id.bytes, 0)
    assert partition.topic_id == again.topic_id
    assert partition.log.topic_id == again.topic_id
    world.append("t", b"new")
    assert world.values("t") == [b"new"]


def test_what_a_deleted_topic_left_behind_is_not_served_as_a_new_ones(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.finish(world.create("t"))
    world.append("t", b"old")
    world.broker.remove_topics(["t"])
    world.work_until(lambda: "t" not in world.broker.image.topics)
    world.kill()  # the tree knows of the deletion, the directory does not
    assert world.directories() == ["t-0"]
    with opened(tmp_path) as restarted:
        assert restarted.finish(restarted.create("t"))[0].error is None
        assert restarted.values("t") == []
        restarted.append("t", b"new")
        assert restarted.values("t") == [b"new"]
        kept = [name for name in restarted.directories() if name.endswith("-stray")]
        assert len(kept) == 1, "set aside, not removed"


def test_partitions_of_no_topic_are_set_aside(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.finish(world.create("t"))
    world.append("t", b"value")
    world.kill()
    for name in ("gone-0", "t-7"):
        shutil.copytree(tmp_path / "t-0", tmp_path / name)
    with opened(tmp_path) as restarted:
        assert restarted.values("t") == [b"value"]
        names = restarted.directories()
        assert [name for name in names if not name.endswith("-stray")] == ["t-0"]
        strays = [name for name in names if name.endswith("-stray")]
        assert [name.partition(".")[0] for name in strays] == ["gone-0", "t-7"]
        for name in strays:
            assert (tmp_path / name / f"{0:020d}.log").stat().st_size > 0
        assert set(restarted.store.logs) == {("t", 0)}


def test_without_any_topic_nothing_is_set_aside(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.finish(world.create("t"))
    world.kill()
    for path in tmp_path.glob(f"{METADATA_FILE}*"):
        path.unlink()
    with opened(tmp_path) as restarted:
        assert restarted.directories() == ["t-0"]


def test_a_topic_that_can_not_be_made_fails_no_other(world: World) -> None:
    world.files.fail("rename", EACCES, suffix="-delete")
    failed = world.finish(world.create("broken", 2))[0]
    assert failed.error is not None
    assert failed.error.code == ErrorCode.KAFKA_STORAGE_ERROR
    assert "broken" not in world.broker.image.topics
    world.files.heal()
    assert world.finish(world.create("sound"))[0].error is None
    assert world.finish(world.create("broken"))[0].error is None
    world.append("broken", b"now")


def failing_from(world: World, first: int, prepared: list[int]) -> Callable[..., object]:
    """`Store.prepare` on a disk that has room for the partitions below `first` alone."""
    prepare = world.store.prepare

    def prepare_some(topic: str, partition: int, *rest: object) -> object:
        if partition >= first:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the disk")
        prepared.append(partition)
        return prepare(topic, partition, *rest)  # type: ignore[arg-type]

    return prepare_some


def test_a_topic_of_which_not_all_could_be_made_is_not_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: list[int] = []
    with monkeypatch.context() as full:
        full.setattr(world.store, "prepare", failing_from(world, 1, prepared))
        assert world.finish(world.create("t", 2))[0].error is not None
    assert prepared == [0]
    assert "t" not in world.broker.image.topics
    assert world.store.list() == []
    assert world.directories() == []
    assert world.finish(world.create("t", 2))[0].error is None
    assert world.directories() == ["t-0", "t-1"]


def test_partitions_of_which_not_all_could_be_made_are_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as world:
        world.finish(world.create("t", 2))
        world.append("t", b"v")
        prepared: list[int] = []
        with monkeypatch.context() as full:
            full.setattr(world.store, "prepare", failing_from(world, 3, prepared))
            added = world.broker.add_partitions([MorePartitions("t", 5)])
            assert world.finish(added)[0].error is not None
        assert prepared == [2]
        assert len(world.broker.image.topics["t"].partitions) == 2
        assert world.directories() == ["t-0", "t-1"]
        assert world.values("t") == [b"v"]
    with opened(tmp_path) as world:
        assert len(world.broker.image.topics["t"].partitions) == 2
        assert world.finish(world.broker.add_partitions([MorePartitions("t", 5)]))[0].error is None
        assert world.directories() == [f"t-{index}" for index in range(5)]


def test_what_can_not_be_taken_back_stays(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_too(*_: object) -> Later[object]:
        return Later.failed(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the metadata's disk"))

    with monkeypatch.context() as full:
        full.setattr(world.store, "prepare", failing_from(world, 1, []))
        full.setattr(world.broker.topics, "take_back", full_too)
        assert world.finish(world.create("t", 2))[0].error is not None
    assert world.store.list() == [("t", 0)], "what was made is known, and served"
    assert world.finish(world.broker.remove_topics(["t"]))[0].error is None
    assert world.directories() == []
    assert world.finish(world.create("t", 2))[0].error is None


def test_files_that_an_earlier_run_left_deleted_are_removed(tmp_path: Path) -> None:
    with opened(tmp_path) as world:
        world.finish(world.create("t"))
        world.finish(world.broker.remove_topics(["t"]))
        assert any(path.name.endswith("-delete") for path in tmp_path.iterdir())
    with opened(tmp_path) as world:
        world.runtime.advance(world.broker.settings["log.segment.delete.delay.ms"])
        world.runtime.run_workers()
        assert not any(path.is_dir() for path in tmp_path.iterdir())


def test_no_sync_begins_once_the_broker_has_stopped(tmp_path: Path) -> None:
    """The store is closed in a worker then, and nothing may touch its logs beside that."""
    with opened(tmp_path) as world:
        topic = NewTopic("t", 1, configs={"flush.ms": "1000"})
        world.finish(world.broker.make_topics([topic]))
        world.append("t", b"v")
        world.broker.stop()
        world.runtime.advance(2000)
        assert world.runtime.work_count == 0


def test_offsets_of_a_deleted_topic_go_with_it_also_after_a_kill(tmp_path: Path) -> None:
    world = World(tmp_path)
    for topic in ("deleted", "kept"):
        world.finish(world.create(topic))
        world.commit("g", topic, 7)
        world.commit("h", topic, 8)
    # In the tree the topic is gone; the broker is killed before it hears of that.
    world.broker.topics.delete(["deleted"])
    world.work_until(lambda: "deleted" not in world.broker.image.topics)
    world.kill()
    for _ in range(2):
        with opened(tmp_path) as restarted:
            assert restarted.committed("g") == {"kept": 7}
            assert restarted.committed("h") == {"kept": 8}
            restarted.finish(restarted.create("deleted"))
            restarted.finish(restarted.broker.remove_topics(["deleted"]))


def test_more_partitions_for_offsets_count_from_the_next_start_on(tmp_path: Path) -> None:
    """As in Kafka, whose coordinator asks for their number once (`GroupCoordinatorService`)."""
    with opened(tmp_path) as world:
        world.finish(world.create("t"))
        world.commit("g", "t", 7)
        before = world.broker.groups.partition_for("g")
        added = world.broker.add_partitions([MorePartitions(OFFSETS_TOPIC, 7)])
        assert world.finish(added)[0].error is None
        assert world.broker.groups.loaded_partitions == list(range(7))
        assert world.broker.groups.partition_for("g") == before
        assert world.committed("g") == {"t": 7}
    with opened(tmp_path) as world:
        assert world.broker.groups.partition_for("g") != before
        assert world.committed("g") == {}
        world.commit("g", "t", 8)
        assert world.committed("g") == {"t": 8}
