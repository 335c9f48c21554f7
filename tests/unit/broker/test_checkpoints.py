"""Checkpoints: one at a time, and those who ask meanwhile share the next."""

from __future__ import annotations

from collections.abc import Mapping

from kstore.broker.checkpoints import Checkpoints
from kstore.broker.partitions import Partitions
from kstore.errors import StoreError
from kstore.runtime import Later
from kstore.testing.manual import ManualRuntime


class Disk:
    """Stands in for the store: counts what is written, and fails if it is told to."""

    def __init__(self) -> None:
        self.written = 0
        self.full = False

    def checkpoint(self, high_watermarks: Mapping[tuple[str, int], int]) -> None:
        if self.full:
            raise StoreError("the disk is full")
        self.written += 1


def test_who_asks_while_one_is_written_shares_the_next() -> None:
    runtime, disk = ManualRuntime(), Disk()
    checkpoints = Checkpoints(runtime, disk, Partitions())  # type: ignore[arg-type]
    asked: list[Later[None]] = [checkpoints.write() for _ in range(4)]
    assert not any(later.done for later in asked)
    runtime.run_workers()
    assert all(later.done for later in asked)
    assert disk.written == 2


def test_a_full_disk_fails_one_checkpoint_and_not_the_next() -> None:
    runtime, disk = ManualRuntime(), Disk()
    checkpoints = Checkpoints(runtime, disk, Partitions())  # type: ignore[arg-type]
    disk.full = True
    failed = checkpoints.write()
    runtime.run_workers()
    assert isinstance(failed.error, StoreError)
    disk.full = False
    written = checkpoints.write()
    runtime.run_workers()
    assert written.result() is None
