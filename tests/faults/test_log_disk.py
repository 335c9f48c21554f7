"""A disk that is full, fails, or loses what was not synced."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kstore.configs import LogConfig
from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.log.log import Log
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from tests.support.logs import NOW_MS, batch, make_log, offsets, open_store, values

if TYPE_CHECKING:
    from typing_extensions import Buffer

BIG = batch(b"x" * 3000)


@pytest.fixture
def store(tmp_path: Path, files: FaultyFiles) -> Iterator[Store]:
    store = open_store(tmp_path / "data", files=files)
    yield store
    files.heal()
    store.close()


def outcome(log: Log) -> ErrorCode | None:
    """The code of the error that an append ends with, if it does."""
    try:
        log.append(BIG, now_ms=NOW_MS)
    except KafkaError as error:
        return error.code
    return None


def storage_error(log: Log, data: bytes = BIG) -> KafkaError:
    with pytest.raises(KafkaError) as caught:
        log.append(data, now_ms=NOW_MS)
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    return caught.value


def test_a_full_disk_refuses_and_recovers(store: Store, files: FaultyFiles) -> None:
    log = make_log(store)
    log.append(BIG, now_ms=NOW_MS)
    files.room = 0
    size = log.segments.active.path.stat().st_size
    for _ in range(3):
        storage_error(log)
    assert log.failed is None
    assert log.segments.active.path.stat().st_size == size
    assert offsets(log) == [0]
    found = log.read(0, 10_000, upto_offset=1)
    assert found is not None
    assert found.read()[61:] == BIG[61:]
    log.append(batch(b"fits"), now_ms=NOW_MS)
    files.heal()
    log.append(BIG, now_ms=NOW_MS)
    assert offsets(log) == [0, 1, 2]


def test_the_last_room_is_used(store: Store, files: FaultyFiles) -> None:
    """With too little for a whole step, there may still be enough for the batch."""
    log = make_log(store)
    log.append(batch(b"x"), now_ms=NOW_MS)
    files.room = 5000
    log.append(BIG, now_ms=NOW_MS)
    log.append(BIG, now_ms=NOW_MS)
    storage_error(log)
    assert offsets(log) == [0, 1, 2]


class TornFiles(FaultyFiles):
    """Has room, or a disk, for half of what is to be written."""

    errno = 0

    def write_parts(self, descriptor: int, parts: list[Buffer], position: int) -> None:
        if self.errno:
            data = b"".join(parts)
            super().write_parts(descriptor, [data[: len(data) // 2]], position)
            raise OSError(self.errno, os.strerror(self.errno))
        super().write_parts(descriptor, parts, position)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_half_of_a_large_batch_is_written(tmp_path: Path, code: int) -> None:
    files = TornFiles()
    large = batch(os.urandom(100_000))
    with open_store(tmp_path / "data", files=files) as store:
        log = make_log(store)
        for data in (BIG, large):
            log.append(data, now_ms=NOW_MS)
        end = log.segments.active.size
        files.errno = code
        storage_error(log, large)
        files.errno = 0
        assert log.segments.active.size == end
        assert not any(log.segments.active.path.read_bytes()[end:])
        shutil.copytree(tmp_path / "data", tmp_path / "killed")
        if code == errno.ENOSPC:
            log.append(BIG, now_ms=NOW_MS)
            log.append(large, now_ms=NOW_MS)
            assert offsets(log) == [0, 1, 2, 3]
        assert (log.failed is None) == (code == errno.ENOSPC)
    with open_store(tmp_path / "killed") as store:
        log = store.logs["topic", 0]
        assert offsets(log) == [0, 1]
        assert log.faults == []


@pytest.mark.parametrize("room", range(0, 6000, 250))
def test_a_disk_that_fills_up_while_a_segment_is_rolled(
    store: Store, files: FaultyFiles, room: int
) -> None:
    log = make_log(store, segment_bytes=7000, index_interval_bytes=0)
    for _ in range(2):
        log.append(BIG, now_ms=NOW_MS)
    files.room = room
    appended = 2
    for _ in range(3):
        appended += outcome(log) is None
        assert offsets(log) == list(range(appended))
    files.heal()
    log.append(BIG, now_ms=NOW_MS)
    assert offsets(log) == list(range(appended + 1))
    assert log.failed is None


def test_a_partition_that_cannot_be_made(store: Store, files: FaultyFiles) -> None:
    for method in ("write", "open", "rename"):
        files.fail(method, errno.ENOSPC)
        with pytest.raises(KafkaError) as caught:
            store.create("topic")
        assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        files.heal()
    assert store.list() == []
    store.create("topic").append(BIG, now_ms=NOW_MS)
    store.remove_deleted()
    assert [path.name for path in store.directory.iterdir() if path.is_dir()] == ["topic-0"]


@pytest.mark.parametrize("method", ["preallocate", "write", "truncate", "open"])
def test_a_failing_disk_takes_the_log_offline(
    store: Store, files: FaultyFiles, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = make_log(store, segment_bytes=7000)
    other = make_log(store, "other")
    log.append(BIG, now_ms=NOW_MS)
    files.fail(method, errno.EIO)
    log.handles.clear()
    assert ErrorCode.KAFKA_STORAGE_ERROR in [outcome(log) for _ in range(5)]
    assert log.failed is not None
    assert "topic-0" in caplog.text
    files.heal()
    storage_error(log)
    with pytest.raises(KafkaError):
        log.read(0, 100, upto_offset=1)
    other.append(BIG, now_ms=NOW_MS)


def test_a_failed_sync_is_never_repeated(store: Store, files: FaultyFiles) -> None:
    log = make_log(store)
    log.append(BIG, now_ms=NOW_MS)
    files.fail("sync", errno.EIO, suffix=".log")
    with pytest.raises(KafkaError):
        log.flush()
    files.heal()
    assert log.recovery_point == 0
    storage_error(log)
    with pytest.raises(KafkaError):
        log.flush()


def test_a_failed_sync_within_an_append_is_not_acknowledged(
    store: Store, files: FaultyFiles
) -> None:
    log = make_log(store, flush_messages=1)
    files.fail("sync", errno.ENOSPC, suffix=".log")
    storage_error(log)
    assert log.failed is not None


def test_a_failed_sync_of_a_rolled_segment_takes_the_log_offline(
    store: Store, files: FaultyFiles
) -> None:
    log = make_log(store, segment_bytes=4000)
    log.append(BIG, now_ms=NOW_MS)
    files.fail("sync", errno.EIO, suffix=".log")
    log.append(BIG, now_ms=NOW_MS)
    assert log.failed is not None
    assert log.recovery_point == 0


def test_a_store_with_a_failed_log_is_not_marked_as_clean(
    tmp_path: Path, files: FaultyFiles
) -> None:
    store = open_store(tmp_path / "data", files=files)
    log = make_log(store)
    log.append(BIG, now_ms=NOW_MS)
    files.fail("sync", errno.EIO, suffix=".log")
    with pytest.raises(KafkaError):
        store.close()
    files.heal()
    assert not (tmp_path / "data" / ".kafka_cleanshutdown").exists()
    with open_store(tmp_path / "data") as store:
        assert not store.clean_start
        assert offsets(store.logs["topic", 0]) == [0]


def test_a_store_that_cannot_be_opened_lets_go(tmp_path: Path, files: FaultyFiles) -> None:
    files.fail("write", errno.EROFS)
    with pytest.raises(StoreError, match="Read-only"):
        open_store(tmp_path / "data", files=files)
    with open_store(tmp_path / "data"):
        pass


def test_a_log_that_cannot_be_read_fails_alone(tmp_path: Path, files: FaultyFiles) -> None:
    with open_store(tmp_path / "data") as store:
        for topic in ("good", "bad"):
            log = make_log(store, topic)
            log.append(batch(topic.encode()), now_ms=NOW_MS)
    (tmp_path / "data" / ".kafka_cleanshutdown").unlink()
    bad = str(Path("bad-0") / f"{0:020d}.log")
    files.fail("read", errno.EIO, suffix=bad)
    with open_store(tmp_path / "data", files=files) as store:
        assert values(store.logs["good", 0]) == [b"good"]
        assert store.logs["bad", 0].failed is not None
    files.heal()
    with open_store(tmp_path / "data", files=files) as store:
        assert values(store.logs["bad", 0]) == [b"bad"]


def test_a_file_cut_short_under_its_map(store: Store) -> None:
    """What would be the end of the process, by SIGBUS, is the end of one partition."""
    log = make_log(store)
    other = make_log(store, "other")
    for _ in range(4):
        log.append(BIG, now_ms=NOW_MS)
    os.truncate(log.segments.active.path, 0)
    error = storage_error(log)
    assert "disk failed" in error.message
    assert log.failed is not None
    other.append(BIG, now_ms=NOW_MS)


def test_reading_under_a_map_that_was_cut_short(store: Store) -> None:
    log = make_log(store)
    for _ in range(4):
        log.append(BIG, now_ms=NOW_MS)
    os.truncate(log.segments.active.path, 0)
    with pytest.raises(KafkaError) as caught:
        log.read(3, 100, upto_offset=4)
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert log.failed is not None


def test_what_was_flushed_survives_a_power_cut(tmp_path: Path, files: FaultyFiles) -> None:
    """Only synced bytes and names are left: the worst that a disk may do."""
    store = open_store(tmp_path / "data", files=files)
    log = make_log(store, segment_bytes=10_000)
    for number in range(40):
        log.append(batch(b"%d" % number * 500), now_ms=NOW_MS)
        if number in (7, 20, 21, 33):
            log.flush()
            if number == 20:
                store.checkpoint()
            copy = tmp_path / f"copy-{number}"
            files.after_power_cut(tmp_path / "data", copy)
            with open_store(copy) as left:
                assert values(left.logs["topic", 0])[: number + 1] == [
                    b"%d" % kept * 500 for kept in range(number + 1)
                ]
    store.close()
    files.after_power_cut(tmp_path / "data", tmp_path / "closed")
    with open_store(tmp_path / "closed") as left:
        assert left.clean_start
        assert offsets(left.logs["topic", 0]) == list(range(40))


def test_the_recovery_point_never_covers_what_a_power_cut_takes(
    tmp_path: Path, files: FaultyFiles
) -> None:
    store = open_store(tmp_path / "data", files=files)
    log = make_log(store, segment_bytes=2000)
    for number in range(30):
        log.append(batch(b"x" * 300), now_ms=NOW_MS)
        if number % 5 == 0:
            store.checkpoint()
            copy = tmp_path / f"copy-{number}"
            files.after_power_cut(tmp_path / "data", copy)
            with open_store(copy) as left:
                assert left.logs["topic", 0].log_end_offset >= log.recovery_point
                assert left.logs["topic", 0].faults == []
    store.close()


def test_a_log_is_opened_without_room_for_a_snapshot(tmp_path: Path, files: FaultyFiles) -> None:
    """Snapshots are a help; a broker that restarts on a full disk still serves what is there."""
    store = open_store(tmp_path / "data")
    log = make_log(store)
    log.append(batch(b"x", producer_id=1, producer_epoch=0, base_sequence=0), now_ms=NOW_MS)
    copy = tmp_path / "killed"
    shutil.copytree(tmp_path / "data", copy)
    store.close()
    files.fail("write", errno.ENOSPC, suffix=".snapshot.tmp")
    with open_store(copy, files=files) as store:
        log = store.logs["topic", 0]
        assert log.failed is None
        assert offsets(log) == [0]
        assert len(log.producers) == 1
        files.heal()


def index_files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.glob("topic-0/*index")}


def test_indexes_that_recovery_has_no_room_for(tmp_path: Path, files: FaultyFiles) -> None:
    """They are in memory until there is room, and nobody trusts what stands in the files."""
    count = 3000
    killed, again = tmp_path / "killed", tmp_path / "again"
    config = LogConfig(segment_bytes=100_000, index_interval_bytes=0)
    with open_store(tmp_path / "data", config=config) as store:
        log = store.create("topic")
        for number in range(count):
            log.append(batch(timestamp_ms=NOW_MS + number), now_ms=NOW_MS)
        shutil.copytree(tmp_path / "data", killed)
    whole = index_files(tmp_path / "data")
    assert len(whole) > 4
    for path in killed.glob("topic-0/*index"):
        path.write_bytes(b"")

    def reads_all(log: Log) -> None:
        assert offsets(log)[:count] == list(range(count))
        for offset in range(0, count, 97):
            assert log.offset_for_timestamp(NOW_MS + offset) == (NOW_MS + offset, offset, 0)
            found = log.read(offset, 1, upto_offset=count)
            assert found is not None
            assert int.from_bytes(found.read()[:8], "big") == offset

    files.room = 20_000  # for some of the entries
    with open_store(killed, files=files, config=config) as store:
        log = store.logs["topic", 0]
        reads_all(log)
        files.room = 0
        storage_error(log)
        shutil.copytree(killed, again)
        files.heal()
        assert outcome(log) is None
        reads_all(log)
    last = max(whole)[:20]
    written = index_files(killed)
    assert {name: data for name, data in written.items() if name[:20] != last} == {
        name: data for name, data in whole.items() if name[:20] != last
    }

    # Had it ended before there was room, even called clean, the indexes would be built once more.
    (again / ".kafka_cleanshutdown").touch()
    assert index_files(again) != whole
    with open_store(again, config=config) as store:
        reads_all(store.logs["topic", 0])
    assert index_files(again) == whole
