"""`kstore.acks.all.flush`: what acks=all acknowledged, and what a consumer could see, survives a
power cut that takes everything not synced. A disk that lies about one kind of sync is caught."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kstore.broker.partition import Partition
from kstore.configs import LogConfig
from kstore.log.append import Appended
from kstore.log.records import build_batch
from kstore.metadata.image import PartitionImage
from kstore.runtime import Later
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, open_store, values

STEPS = 300
CUTS = 12


class LyingFiles(FaultyFiles):
    """Says that a file was synced whose name ends in `suffix`, and did nothing."""

    def __init__(self, suffix: str) -> None:
        super().__init__()
        self.suffix = suffix
        self.lying = False

    def sync(self, descriptor: int) -> None:
        if not (self.lying and str(self._paths[descriptor]).endswith(self.suffix)):
            super().sync(descriptor)

    def sync_directory(self, directory: Path) -> None:
        if not (self.lying and self.suffix == "/"):
            super().sync_directory(directory)


@dataclass
class Load:
    """A partition, and what became of each batch that was sent to it."""

    directory: Path
    partition: Partition
    runtime: ManualRuntime
    choose: random.Random
    sent: list[bytes] = field(default_factory=list)
    acknowledged: list[tuple[int, Later[Appended]]] = field(default_factory=list)

    def step(self) -> None:
        choice = self.choose.random()
        if choice < 0.6:
            value = b"%d " % len(self.sent) * self.choose.randrange(1, 60)
            batch = build_batch([(None, value)], timestamp_ms=NOW_MS)
            appended = self.partition.append(batch, NOW_MS)
            assert appended.last_offset == len(self.sent)
            self.sent.append(value)
            if self.choose.random() < 0.7:
                waits = self.partition.when_committed(appended)
                self.acknowledged.append((appended.last_offset, waits))
        elif choice < 0.8:
            self.runtime.run_soon()
        else:
            self.runtime.run_workers(1)

    def promised(self) -> int:
        """How many of the first records must never be lost."""
        told = [offset for offset, later in self.acknowledged if later.done]
        return max([self.partition.high_watermark, *(offset + 1 for offset in told)])


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("KSTORE_TEST_SEED") or random.randrange(1 << 32))
    print(f"KSTORE_TEST_SEED={chosen}")
    return chosen


def make_load(tmp_path: Path, files: FaultyFiles, seed: int) -> Iterator[Load]:
    config = LogConfig(kstore_acks_all_flush=True, segment_bytes=4000, index_interval_bytes=200)
    runtime = ManualRuntime()
    store = open_store(tmp_path / "data", files=files, runtime=runtime, config=config)
    log = store.create("topic")
    partition = Partition(log, PartitionImage(0, 1, 0, (1,), (1,)))
    yield Load(tmp_path / "data", partition, runtime, random.Random(seed))
    store.close()


def lost_after_cut(load: Load, files: FaultyFiles, copy: Path) -> bool:
    """Cuts the power: does a record miss that was promised to be there?"""
    promised = load.promised()
    files.after_power_cut(load.directory, copy)
    with open_store(copy) as left:
        log = left.logs.get(("topic", 0))
        if log is None or log.failed is not None:
            return True
        return values(log)[:promised] != load.sent[:promised]


def test_what_was_promised_survives_a_power_cut(tmp_path: Path, seed: int) -> None:
    files = FaultyFiles()
    for load in make_load(tmp_path, files, seed):
        for number in range(STEPS):
            load.step()
            if number % (STEPS // CUTS) == 0:
                assert not lost_after_cut(load, files, tmp_path / f"cut-{number}")
        load.runtime.run_soon()
        load.runtime.run_workers()
        assert load.promised() == len(load.sent)
        assert all(later.done and later.error is None for _, later in load.acknowledged)
        assert len(load.partition.log.segments) > 2


@pytest.mark.parametrize("suffix", [".log", "/"])
def test_a_sync_that_is_missing_is_found(tmp_path: Path, seed: int, suffix: str) -> None:
    """The canary: on a disk that lies the same check fails."""
    files = LyingFiles(suffix)
    for load in make_load(tmp_path, files, seed):
        files.lying = True
        found = False
        for number in range(STEPS):
            load.step()
            if number % (STEPS // CUTS) == 0:
                found = found or lost_after_cut(load, files, tmp_path / f"cut-{number}")
        files.lying = False
        assert found


def test_without_the_config_the_same_is_lost(tmp_path: Path, seed: int) -> None:
    """As in Kafka, acknowledged means in memory there; so the config is what makes it durable."""
    files = FaultyFiles()
    for load in make_load(tmp_path, files, seed):
        load.partition.log.reconfigure(LogConfig(segment_bytes=4000))
        for _ in range(STEPS):
            load.step()
        assert lost_after_cut(load, files, tmp_path / "cut")


def test_consumers_see_what_is_on_disk_only(tmp_path: Path) -> None:
    for load in make_load(tmp_path, FaultyFiles(), 0):
        partition = load.partition
        appended = partition.append(build_batch([(None, b"x")], timestamp_ms=NOW_MS), NOW_MS)
        assert partition.high_watermark == 0
        assert not partition.is_committed(appended)
        assert partition.read(0, 1000, committed_only=False, at_least_one=True) is None
        load.runtime.run_soon()
        load.runtime.run_workers()
        assert partition.high_watermark == 1
        assert partition.is_committed(appended)
        assert partition.read(0, 1000, committed_only=False, at_least_one=True) is not None


def test_a_retry_waits_for_the_disk_like_the_first(tmp_path: Path) -> None:
    for load in make_load(tmp_path, FaultyFiles(), 0):
        batch = build_batch(
            [(None, b"x")], timestamp_ms=NOW_MS, producer_id=1, producer_epoch=0, base_sequence=0
        )
        load.partition.append(batch, NOW_MS)
        retried = load.partition.append(batch, NOW_MS)
        assert retried.duplicate
        waits = load.partition.when_committed(retried)
        assert not waits.done
        load.runtime.run_soon()
        load.runtime.run_workers()
        assert waits.result().base_offset == 0


def test_switching_it_off_lets_go_who_waits(tmp_path: Path) -> None:
    for load in make_load(tmp_path, FaultyFiles(), 0):
        batch = build_batch([(None, b"x")], timestamp_ms=NOW_MS)
        first = load.partition.when_committed(load.partition.append(batch, NOW_MS))
        load.partition.log.reconfigure(LogConfig())
        load.partition.append(batch, NOW_MS)
        assert load.partition.high_watermark == 2
        load.runtime.run_soon()
        load.runtime.run_workers()
        assert first.done
        assert load.partition.high_watermark == 2
