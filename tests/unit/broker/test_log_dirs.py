"""Several data directories: where partitions go, what opens together, what fails alone."""

from __future__ import annotations

import errno
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kstore.broker.log_dirs import LogDirs, next_log_dirs
from kstore.broker.opening import open_log_dirs
from kstore.configs import LogConfig
from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.log.log import Log
from kstore.log.store import Store
from kstore.metadata.image import PartitionImage, TopicImage
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime

A, B, C = Path("/a"), Path("/b"), Path("/c")


@pytest.mark.parametrize(
    ("counts", "order"),
    [
        ({A: 0}, [A]),
        ({A: 0, B: 0, C: 0}, [A, B, C]),
        ({C: 1, A: 1, B: 0}, [B, C, A]),
        ({A: 7, B: 3, C: 5}, [B, C, A]),
    ],
)
def test_the_emptiest_directory_comes_first_then_the_order_of_the_config(
    counts: dict[Path, int], order: list[Path]
) -> None:
    assert next_log_dirs(counts) == order


class World:
    """Data directories below `place`, on a manual runtime and files that may fail."""

    def __init__(self, place: Path, **options: Any) -> None:
        self.place = place
        self.runtime = ManualRuntime()
        self.files = FaultyFiles()
        self.options = options
        self.gone: list[Log] = []

    def open(self, *names: str) -> LogDirs:
        opened = open_log_dirs(
            [self.place / name for name in names],
            node_id=1,
            config=LogConfig(),
            runtime=self.runtime,
            files=self.files,
            **self.options,
        )
        opened.subscribe(self.gone.extend)
        return opened

    def make(self, log_dirs: LogDirs, topic: TopicImage) -> list[str]:
        """Makes the partitions of a topic; the directories they are in."""
        made = [log_dirs.prepare(topic, image.index, LogConfig()) for image in topic.partitions]
        for log in made:
            log.assign_leader_epoch(0)
            assert log_dirs.adopt(log)
        return [log.directory.parent.name for log in made]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def a_topic(name: str, count: int = 1) -> TopicImage:
    partitions = tuple(PartitionImage(index, 1, 0, (1,), (1,)) for index in range(count))
    return TopicImage(name, uuid.uuid4(), partitions, {}, False)


def test_partitions_are_spread_and_found_again(world: World) -> None:
    log_dirs = world.open("a", "b", "c")
    topic = a_topic("t", 5)
    assert world.make(log_dirs, topic) == ["a", "b", "c", "a", "b"]
    assert world.make(log_dirs, a_topic("u", 2)) == ["c", "a"]
    log_dirs.checkpoint({("t", index): 0 for index in range(5)})
    told = (world.place / "b" / "replication-offset-checkpoint").read_text()
    assert told == "0\n2\nt 1 0\nt 4 0\n", "each directory has its own partitions"
    log_dirs.close()
    log_dirs = world.open("a", "b", "c")
    assert log_dirs.clean_start
    for index in range(5):
        found = log_dirs.find(topic, index)
        assert found is not None
        assert found.directory.parent.name == "abcab"[index]
    assert log_dirs.find(a_topic("t", 1), 0) is None, "another topic of the same name"
    log_dirs.close()


def test_all_are_of_one_node_and_cluster_each_with_its_own_id(world: World) -> None:
    log_dirs = world.open("a", "b")
    assert len({store.directory_id for store in log_dirs._stores}) == 2
    assert {store.cluster_id for store in log_dirs._stores} == {log_dirs.cluster_id}
    log_dirs.close()
    later = world.open("new", "a")
    assert later.cluster_id == log_dirs.cluster_id, "a new directory joins the others"
    later.close()


def other_cluster(place: Path) -> None:
    Store.open(place / "b", node_id=1).close()


def other_node(place: Path) -> None:
    meta = (place / "a" / "meta.properties").read_text()
    (place / "b").mkdir()
    (place / "b" / "meta.properties").write_text(meta.replace("node.id=1", "node.id=2"))


def same_id(place: Path) -> None:
    (place / "b").mkdir()
    shutil.copy(place / "a" / "meta.properties", place / "b")


def same_place(place: Path) -> None:
    (place / "b").symlink_to(place / "a")


def same_partition(place: Path) -> None:
    Store.open(place / "b", cluster_id=cluster_id(place)).close()
    shutil.copytree(place / "a" / "t-0", place / "b" / "t-0")


def cluster_id(place: Path) -> str:
    meta = (place / "a" / "meta.properties").read_text()
    return next(line for line in meta.splitlines() if "cluster.id" in line).partition("=")[2]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (other_cluster, r"b/meta\.properties: the directory is of cluster"),
        (other_node, r"b/meta\.properties: this is of node 2, not 1"),
        (same_id, r"Duplicate directory ID .* It was the ID of \S+/a, but also of \S+/b"),
        (same_place, r"Duplicate log directory found: \S+/a and \S+/b"),
        (same_partition, r"Duplicate log directories for t-0 are found in both \S+a/t-0 and \S+b"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    world: World, spoil: Callable[[Path], None], reason: str
) -> None:
    log_dirs = world.open("a")
    world.make(log_dirs, a_topic("t"))
    log_dirs.close()
    spoil(world.place)
    with pytest.raises(StoreError, match=reason):
        world.open("a", "b")
    world.open("a").close()


def test_a_directory_in_use_is_refused(world: World) -> None:
    with (
        Store.open(world.place / "b"),
        pytest.raises(StoreError, match=r"b is in use"),
    ):
        world.open("a", "b")


def test_a_directory_that_can_not_be_opened_is_left_out(world: World) -> None:
    (world.place / "b").write_text("no directory")
    log_dirs = world.open("a", "b")
    assert log_dirs.any_offline
    assert world.make(log_dirs, a_topic("t", 2)) == ["a", "a"]
    assert [one.volume is None for one in log_dirs.describe()] == [False, True]
    log_dirs.close()
    with pytest.raises(StoreError, match=r"the data directory \S+b can't be used"):
        world.open("b", "a")


def test_a_disk_that_fails_while_logs_are_loaded(world: World) -> None:
    log_dirs = world.open("a", "b")
    topic = a_topic("t", 2)
    world.make(log_dirs, topic)
    log_dirs.close()
    world.files.fail("open", errno.EIO, suffix="t-1/partition.metadata")
    log_dirs = world.open("a", "b")
    assert log_dirs.any_offline
    assert log_dirs.find(topic, 0) is not None
    assert log_dirs.find(topic, 1) is None
    log_dirs.close()
    world.files.heal()
    log_dirs = world.open("a", "b")
    assert not log_dirs.clean_start
    assert log_dirs.find(topic, 1) is not None
    log_dirs.close()


def test_the_metadata_may_have_a_directory_of_their_own(tmp_path: Path) -> None:
    world = World(tmp_path, metadata_directory=tmp_path / "meta")
    log_dirs = world.open("a")
    assert log_dirs.metadata_directory == tmp_path / "meta"
    assert [one.path.name for one in log_dirs.describe()] == ["a"]
    with pytest.raises(StoreError, match="in use"):
        Store.lock(tmp_path / "meta")
    log_dirs.close()
    Store.lock(tmp_path / "meta").release()


def write(log: Log) -> None:
    log.append_records([(None, b"x")])
    log.flush()


def fail_by(world: World, log_dirs: LogDirs, topic: TopicImage, code: int, method: str) -> None:
    log = log_dirs.find(topic, 0)
    assert log is not None
    world.files.fail(method, code)
    with pytest.raises(KafkaError) as caught:
        write(log)
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    world.files.heal()
    world.runtime.run_soon()


@pytest.mark.parametrize(("method", "code"), [("preallocate", errno.EIO), ("sync", errno.EROFS)])
def test_a_disk_that_fails_takes_all_partitions_of_its_directory(
    world: World, method: str, code: int
) -> None:
    log_dirs = world.open("a", "b")
    topic = a_topic("t", 4)
    world.make(log_dirs, topic)
    fail_by(world, log_dirs, topic, code, method)
    assert sorted(log.partition for log in world.gone) == [0, 2]
    assert [log_dirs.find(topic, index) is None for index in range(4)] == [True, False, True, False]
    assert world.make(log_dirs, a_topic("new", 2)) == ["b", "b"]
    assert log_dirs.lost.result().startswith("the metadata log dir")
    with pytest.raises(KafkaError, match="closed"):
        world.gone[1].append_records([(None, b"x")])
    Store.lock(world.place / "a").release()
    log_dirs.close()
    assert not (world.place / "a" / ".kafka_cleanshutdown").exists()
    assert (world.place / "b" / ".kafka_cleanshutdown").exists()


def test_when_the_last_directory_fails_all_is_lost(tmp_path: Path) -> None:
    world = World(tmp_path, metadata_directory=tmp_path / "meta")
    log_dirs = world.open("a", "b")
    topic, other = a_topic("t"), a_topic("u")
    world.make(log_dirs, topic)
    world.make(log_dirs, other)
    fail_by(world, log_dirs, topic, errno.EIO, "preallocate")
    assert not log_dirs.lost.done
    fail_by(world, log_dirs, other, errno.EIO, "preallocate")
    assert log_dirs.lost.result().startswith("all log dirs have failed")
    with pytest.raises(KafkaError):
        log_dirs.prepare(a_topic("new"), 0, LogConfig())
    log_dirs.close()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_or_a_wrong_file_is_no_failed_directory(world: World, code: int) -> None:
    log_dirs = world.open("a", "b")
    topic = a_topic("t", 4)
    world.make(log_dirs, topic)
    fail_by(world, log_dirs, topic, code, "preallocate")
    assert not world.gone
    assert not log_dirs.any_offline
    neighbour = log_dirs.find(topic, 2)
    assert neighbour is not None
    neighbour.append_records([(None, b"x")])
    log_dirs.close()


def test_a_partition_that_does_not_fit_goes_to_the_next_directory(world: World) -> None:
    log_dirs = world.open("a", "b")
    make_directory = world.files.make_directory

    def full(directory: Path, *, parents: bool = False) -> None:
        if directory.parent.name == "a":
            raise OSError(errno.ENOSPC, "no space")
        make_directory(directory, parents=parents)

    world.files.make_directory = full  # type: ignore[method-assign]
    assert world.make(log_dirs, a_topic("t", 2)) == ["b", "b"]
    assert not log_dirs.any_offline
    log_dirs.close()


def test_a_log_whose_directory_fails_before_it_is_adopted(world: World) -> None:
    log_dirs = world.open("a", "b")
    topic = a_topic("t", 2)
    made = [log_dirs.prepare(topic, index, LogConfig()) for index in range(2)]
    made[1].on_disk_error(OSError(errno.EIO, "the disk"))
    world.runtime.run_soon()
    assert [log_dirs.adopt(log) for log in made] == [True, False]
    assert log_dirs.find(topic, 1) is None
    log_dirs.close()


def begun_move(world: World) -> tuple[LogDirs, TopicImage, Log, Log]:
    """A partition in a, and its sealed copy in b that holds the same."""
    log_dirs = world.open("a", "b")
    topic = a_topic("t")
    assert world.make(log_dirs, topic) == ["a"]
    source = log_dirs.find(topic, 0)
    assert source is not None
    for number in range(5):
        source.append_records([(None, b"%d" % number)])
    source.advance_log_start(2)
    future = log_dirs.prepare_future(source, world.place / "b", LogConfig(), 2)
    log_dirs.adopt_future(future)
    found = source.read(2, 1 << 20, upto_offset=5)
    assert found is not None
    future.append_verbatim(found.read())
    log_dirs.seal_future(source, future)
    return log_dirs, topic, source, future


def values(log: Log | None) -> list[bytes | None]:
    assert log is not None
    return [record.value for record in log.records()]


def crash(world: World, log_dirs: LogDirs) -> None:
    """Ends as a kill would: only locks are let go."""
    for store in log_dirs._stores:
        store.abandon()


def names(directory: Path) -> list[str]:
    """Those of partitions, without the unique parts of marked ones."""
    found = [path.name for path in directory.iterdir() if path.is_dir()]
    return sorted(name.partition(".")[0] + name[-7:] if "." in name else name for name in found)


def test_a_copy_takes_the_place_of_its_log(world: World) -> None:
    log_dirs, topic, source, future = begun_move(world)
    told = [(list(one.logs), list(one.futures)) for one in log_dirs.describe()]
    assert told == [([("t", 0)], []), ([], [("t", 0)])]
    log_dirs.replace(source, future)
    log_dirs.drop_source(source, future)
    assert log_dirs.find(topic, 0) is future
    assert names(world.place / "a") == ["t-0-delete"]
    assert names(world.place / "b") == ["t-0"]
    assert not (future.directory / "kstore-moved-from").exists()
    log_dirs.close()
    log_dirs = world.open("a", "b")
    assert values(log_dirs.find(topic, 0)) == [b"2", b"3", b"4"]
    log_dirs.close()


def test_a_kill_before_the_copy_has_its_place_leaves_the_log(world: World) -> None:
    log_dirs, topic, _, _ = begun_move(world)
    crash(world, log_dirs)
    log_dirs = world.open("a", "b")
    found = log_dirs.find(topic, 0)
    assert found is not None
    assert found.directory.parent.name == "a"
    assert log_dirs.unfinished() == [("t", 0, world.place / "b")]
    again = log_dirs.prepare_future(found, world.place / "b", LogConfig(), 0)
    log_dirs.adopt_future(again)
    assert names(world.place / "b") == ["t-0-delete", "t-0-future"]
    assert log_dirs.unfinished() == []
    log_dirs.close()


def test_a_kill_when_the_copy_has_its_place_leaves_the_copy(world: World) -> None:
    log_dirs, topic, source, future = begun_move(world)
    log_dirs.replace(source, future)
    future.append_records([(None, b"later")])
    crash(world, log_dirs)
    assert names(world.place / "a") == names(world.place / "b") == ["t-0"]
    log_dirs = world.open("a", "b")
    found = log_dirs.find(topic, 0)
    assert values(found) == [b"2", b"3", b"4", b"later"]
    assert [len(one.logs) for one in log_dirs.describe()] == [0, 1]
    assert names(world.place / "a") == ["t-0-delete"]
    assert found is not None
    assert not (found.directory / "kstore-moved-from").exists()
    log_dirs.close()


def test_a_wish_for_a_partition_that_is_not_there_yet(world: World) -> None:
    log_dirs = world.open("a", "b")
    for index in range(2):
        log_dirs.prefer("t", index, world.place / "b")
    assert world.make(log_dirs, a_topic("t", 3)) == ["b", "b", "a"]
    assert world.make(log_dirs, a_topic("t", 1)) == ["a"], "granted once"
    log_dirs.close()
