"""Moves between data directories that meet an error on their way."""

from __future__ import annotations

import errno
import uuid
from pathlib import Path

import pytest

from kstore.broker.directories import Directories
from kstore.broker.moves import Moves
from kstore.broker.opening import open_log_dirs
from kstore.broker.partition import Partition
from kstore.configs import LogConfig
from kstore.errors import KafkaError
from kstore.metadata.image import PartitionImage, TopicImage
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime

IMAGE = PartitionImage(0, 1, 0, (1,), (1,))
TOPIC = TopicImage("t", uuid.uuid4(), (IMAGE,), {}, False)


class ReadingFails(FaultyFiles):
    """Fails one read, after `good` others."""

    good = -1

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        self.good -= 1
        if self.good == -1:
            raise OSError(errno.ENOMEM, "no memory for it")
        return super().read(descriptor, size, position)


@pytest.mark.parametrize("good", [0, 1])
def test_a_log_that_could_not_be_read_can_be_moved_later(tmp_path: Path, good: int) -> None:
    runtime, files = ManualRuntime(), ReadingFails()
    log_dirs = open_log_dirs(
        [tmp_path / "a", tmp_path / "b"],
        node_id=1,
        config=LogConfig(),
        runtime=runtime,
        files=files,
    )
    log = log_dirs.prepare(TOPIC, 0, LogConfig())
    log.assign_leader_epoch(0)
    assert log_dirs.adopt(log)
    log.append_records([(None, b"first")])
    log.roll()
    runtime.run_workers()
    partition = Partition(log, IMAGE)
    moves = Moves(runtime, log_dirs, Directories(runtime, log_dirs), lambda: None)

    files.good = good
    with pytest.raises(KafkaError, match="no memory"):
        moves.start(partition, tmp_path / "b")
    moves.start(partition, tmp_path / "b")
    runtime.run_workers()
    assert partition.log.directory == tmp_path / "b" / "t-0"
    assert [record.value for record in partition.log.records()] == [b"first"]
    log_dirs.close()
