"""The pass of retention over all partitions: short turns, files removed later, none left over."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kstore.broker.checkpoints import Checkpoints
from kstore.broker.directories import Directories
from kstore.broker.log_dirs import LogDirs
from kstore.broker.opening import open_log_dirs
from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.broker.retention import PAUSE_MS, Retention
from kstore.configs import LogConfig
from kstore.log.records import build_batch
from kstore.metadata.image import PartitionImage, TopicImage
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import START_MS, ManualRuntime
from tests.support.logs import QuickFiles

IMAGE = PartitionImage(0, 1, 0, (1,), (1,))
COUNT = 5


class SlowClock(ManualRuntime):
    """Each look at the clock finds it a little later, as on a busy machine."""

    turns = 0

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self.turns += 1
        super().call_soon(callback, *args)

    def monotonic_ms(self) -> float:
        self._now_ms += 0.3
        return super().monotonic_ms()


class Files(QuickFiles, FaultyFiles):
    """Fails as it is told, and waits for no disk."""


class World:
    """Topics of one partition, each with five segments of one record."""

    def __init__(self, directory: Path, runtime: ManualRuntime, delays_ms: list[int]) -> None:
        self.runtime = runtime
        self.files = Files()
        self.log_dirs: LogDirs = open_log_dirs(
            [directory], node_id=1, config=LogConfig(), runtime=runtime, files=self.files
        )
        self.partitions = Partitions()
        for number, delay_ms in enumerate(delays_ms):
            self.partitions.add(self._make(f"topic{number}", delay_ms))
        runtime.run_workers()
        self.retention = Retention(
            runtime,
            self.partitions,
            self.log_dirs,
            Directories(runtime, self.log_dirs),
            Checkpoints(runtime, self.log_dirs, self.partitions),
        )

    def _make(self, name: str, delay_ms: int) -> Partition:
        config = LogConfig(segment_bytes=150, retention_ms=1000, file_delete_delay_ms=delay_ms)
        opened = self.log_dirs.prepare(TopicImage(name, uuid4(), (IMAGE,), {}, False), 0, config)
        assert self.log_dirs.adopt(opened)
        partition = Partition(opened, IMAGE)
        for _ in range(COUNT):
            partition.append(build_batch([(None, bytes(60))], timestamp_ms=START_MS), START_MS)
        assert len(opened.segments) == COUNT
        return partition

    def log_files(self, topic: str, *, aside: bool) -> int:
        partition = self.partitions.get(topic, 0)
        assert partition is not None
        suffix = ".log.deleted" if aside else ".log"
        names = [path.name for path in partition.log.directory.iterdir()]
        return sum(name.endswith(suffix) and name.startswith("0") for name in names)

    def starts(self) -> list[int]:
        return [partition.log.log_start_offset for partition in self.partitions]


@pytest.fixture
def runtime() -> ManualRuntime:
    return ManualRuntime()


@pytest.fixture
def world(tmp_path: Path, runtime: ManualRuntime) -> Iterator[World]:
    made = World(tmp_path / "data", runtime, [0, 60_000, 60_000])
    yield made
    made.retention.close()
    made.files.heal()
    made.log_dirs.close()


def test_nothing_goes_before_its_time(world: World) -> None:
    world.runtime.advance(1000)
    world.retention.run()
    assert (world.starts(), world.runtime.work_count) == ([0, 0, 0], 0)


def test_records_go_at_once_files_are_renamed_and_removed_in_workers(world: World) -> None:
    world.runtime.advance(1001)
    world.retention.run()
    assert world.starts() == [COUNT] * 3
    assert world.log_files("topic1", aside=False) == COUNT + 1
    world.runtime.run_workers()
    for topic in ("topic0", "topic1", "topic2"):
        assert (world.log_files(topic, aside=False), world.log_files(topic, aside=True)) == (1, 5)
    store = world.log_dirs.paths[0] / "log-start-offset-checkpoint"
    assert store.read_text().splitlines()[2:] == [f"topic{number} 0 5" for number in range(3)]
    assert world.runtime.timer_count == 2, "one for each delay, not for each partition"
    world.runtime.advance(0)
    assert world.log_files("topic0", aside=True) == COUNT, "not on the loop"
    world.runtime.run_workers()
    assert world.log_files("topic0", aside=True) == 0
    world.runtime.advance(59_999)
    world.runtime.run_workers()
    assert world.log_files("topic1", aside=True) == COUNT
    world.runtime.advance(1)
    world.runtime.run_workers()
    assert world.log_files("topic1", aside=True) == world.log_files("topic2", aside=True) == 0
    assert world.runtime.timer_count == 0


def test_a_pass_takes_many_short_turns_and_is_not_begun_twice(tmp_path: Path) -> None:
    runtime = SlowClock()
    world = World(tmp_path / "data", runtime, [0] * 20)
    runtime.advance(1001)
    world.retention.run()
    assert 0 < world.starts().count(COUNT) < 5, "the rest comes in other turns"
    world.retention.run()
    assert runtime.turns == 1
    runtime.run_workers()
    assert world.starts() == [COUNT] * 20
    assert runtime.turns > 5
    for _ in range(20):  # files are renamed and removed a few at a time, with pauses
        world.runtime.advance(PAUSE_MS)
        world.runtime.run_workers()
    assert not list((tmp_path / "data").rglob("*.deleted"))
    assert not list((tmp_path / "data").rglob(f"{0:020d}.log"))
    world.retention.run()
    world.runtime.run_workers()
    world.retention.close()
    world.log_dirs.close()


def test_a_partition_that_fails_keeps_no_other_from_its_turn(world: World) -> None:
    world.runtime.advance(1001)
    world.files.fail("open", errno.EIO, suffix="topic0-0/" + f"{COUNT:020d}.log")
    world.retention.run()
    world.files.heal()
    assert world.starts()[1:] == [COUNT] * 2
    first = world.partitions.get("topic0", 0)
    assert first is not None
    assert first.log.failed is not None


def test_files_that_cannot_be_renamed_are_not_removed_under_their_old_name(world: World) -> None:
    world.runtime.advance(1001)
    world.files.fail("rename", errno.ENOSPC, suffix=f"{0:020d}.log")
    world.retention.run()
    world.runtime.run_workers()
    world.runtime.advance(100_000)
    world.runtime.run_workers()
    assert world.log_files("topic1", aside=False) == COUNT + 1
    assert world.starts() == [COUNT] * 3


def test_after_closing_nothing_begins(world: World) -> None:
    world.runtime.advance(1001)
    world.retention.run()
    world.retention.close()
    world.runtime.run_workers()
    assert world.runtime.timer_count == 0
    world.retention.run()
    assert world.runtime.work_count == 0


def test_a_log_that_is_closed_during_a_pause_is_left_alone(
    tmp_path: Path, runtime: ManualRuntime
) -> None:
    """Its directory may be that of another log of the same name by then."""
    world = World(tmp_path / "data", runtime, [0] * 4)
    runtime.advance(1001)
    world.retention.run()
    runtime.run_workers()
    last = world.partitions.get("topic3", 0)
    assert last is not None
    assert world.log_files("topic2", aside=False) == 1
    assert world.log_files("topic3", aside=False) == COUNT + 1, "it comes after the pause"
    last.log.abandon()
    for _ in range(3):
        runtime.advance(PAUSE_MS)
        runtime.run_workers()
    assert world.log_files("topic0", aside=True) == 0
    assert world.log_files("topic3", aside=False) == COUNT + 1
    world.retention.close()
    world.log_dirs.close()
