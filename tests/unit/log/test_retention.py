"""Segments below the start of a log: taken out of it, and their files removed."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from kstore.errors import KafkaError
from kstore.log.log import Log
from kstore.log.retention import remove_files
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, batch, make_log, offsets, open_store

COUNT = 40


def filled(store: Store) -> Log:
    """Forty records, one a batch, in several segments."""
    log = make_log(store, segment_bytes=1500, index_interval_bytes=200)
    for number in range(COUNT):
        log.append(batch(b"%02d" % number * 10), now_ms=NOW_MS)
    assert len(log.segments) > 2
    return log


def bases(directory: Path) -> set[int]:
    """The offsets that the names of the files begin with, but for a snapshot of the end."""
    return {int(path.stem) for path in directory.glob("0*") if path.suffix != ".snapshot"}


@pytest.mark.parametrize("start", range(0, COUNT + 1, 3))
def test_every_start(data_dir: Path, start: int) -> None:
    """What is left is what a log of that start needs, on disk too, also after a restart."""
    with open_store(data_dir) as store:
        log = filled(store)
        before = [segment.base_offset for segment in log.segments.all()]
        log.advance_log_start(start)
        remove_files(log, log.take_below_start())
        wanted = [
            base
            for base in before
            if base >= start or base == max(other for other in before if other <= start)
        ]
        if start == COUNT:
            wanted = [COUNT]
        assert [segment.base_offset for segment in log.segments.all()] == wanted
        assert bases(log.directory) == set(wanted)
        assert offsets(log) == list(range(start, COUNT))
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        assert (log.log_start_offset, log.log_end_offset) == (start, COUNT)
        log.append(batch(b"next"), now_ms=NOW_MS)
        assert offsets(log) == list(range(start, COUNT + 1))


def test_a_kill_before_the_files_are_gone_brings_no_records_back(data_dir: Path) -> None:
    store = open_store(data_dir)
    log = filled(store)
    start = log.segments[1].base_offset
    log.advance_log_start(start)
    assert [segment.base_offset for segment in log.take_below_start()] == [0]
    store.checkpoint()
    assert (log.directory / f"{0:020d}.log").exists()
    copy = data_dir.with_name("copy")
    shutil.copytree(data_dir, copy)
    store.close()
    with open_store(copy) as store:
        assert store.logs["topic", 0].log_start_offset == start


def test_a_slice_outlives_its_segment(store: Store) -> None:
    log = filled(store)
    found = log.read(0, 100, upto_offset=COUNT)
    assert found is not None
    before = found.read()
    log.advance_log_start(COUNT - 1)
    remove_files(log, log.take_below_start())
    assert found.read() == before
    found.release()


def held(directory: Path) -> set[str]:
    """The deleted files below `directory` whose room this process still takes."""
    with os.scandir("/proc/self/fd") as entries:
        opened = [os.readlink(entry.path) for entry in entries]
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return {
        line[line.index(str(directory)) :]
        for line in opened + mapped
        if str(directory) in line and line.endswith("(deleted)")
    }


def test_the_room_of_removed_files_is_free_though_a_sync_is_yet_to_come(data_dir: Path) -> None:
    """That of the roll has the files of all segments, and no worker has come by."""
    runtime = ManualRuntime()
    with open_store(data_dir, runtime=runtime) as store:
        log = filled(store)
        log.advance_log_start(COUNT)
        remove_files(log, log.take_below_start())
        assert runtime.work_count
        assert bases(log.directory) == {COUNT}
        assert held(data_dir) == set()
        runtime.run_workers()
        assert (log.failed, log.recovery_point) == (None, COUNT)


def test_an_emptied_log_on_a_full_disk_keeps_its_segment(data_dir: Path) -> None:
    files = FaultyFiles()
    with open_store(data_dir, files=files) as store:
        log = make_log(store)
        log.append(batch(b"x"), now_ms=NOW_MS)
        log.advance_log_start(1)
        files.fail("open", errno.ENOSPC)
        assert log.take_below_start() == []
        files.heal()
        assert log.failed is None
        log.append(batch(b"y"), now_ms=NOW_MS)
        assert offsets(log) == [1]


def test_offsets_of_a_deleted_partition_do_not_become_those_of_a_new_one(data_dir: Path) -> None:
    """A checkpoint knows partitions by name, and a topic may be made again under the same."""
    store = open_store(data_dir)
    log = filled(store)
    log.advance_log_start(COUNT)
    store.checkpoint()
    store.delete("topic")
    make_log(store).append(batch(b"new"), now_ms=NOW_MS)
    copy = data_dir.with_name("copy")
    shutil.copytree(data_dir, copy)
    store.close()
    with open_store(copy) as killed:
        assert killed.logs["topic", 0].log_start_offset == 0


def test_a_partition_is_not_made_beside_the_offsets_of_a_deleted_one(data_dir: Path) -> None:
    files = FaultyFiles()
    with open_store(data_dir, files=files) as store:
        filled(store)
        store.checkpoint()
        store.delete("topic")
        files.fail("write", errno.ENOSPC, suffix="checkpoint.tmp")
        with pytest.raises(KafkaError, match="checkpoints"):
            make_log(store)
        files.heal()
        make_log(store)
