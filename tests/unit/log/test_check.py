"""`check`: Kafka's own directory and ours are sound, and each kind of damage is seen.

The canaries, one per kind of damage, stand in tests/support/damage.py.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from kstore.errors import StoreError
from kstore.log.check import Fault, check
from kstore.log.files import Files
from kstore.log.records import build_batch
from kstore.log.store import Store
from tests.support.damage import (
    CANARIES,
    INDEX,
    LAST_LOG,
    LOG,
    SNAPSHOT,
    TIMES,
    Canary,
    flip,
    headers,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "kafka-4.3.1"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the directory that Kafka wrote."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "store"))


# --- what is sound -----------------------------------------------------------------------------


def test_what_kafka_wrote_is_sound(store: Path) -> None:
    assert check(store) == []
    for partition in store.glob("*-0"):
        assert check(partition) == []


def test_what_kstore_wrote_is_sound(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        log = store.create("topic")
        for n in range(200):
            codec = ["none", "gzip", "snappy", "lz4", "zstd"][n % 5]
            log.append_records([(b"k%d" % n, bytes(200))] * (1 + n % 4), compression=codec)
        store.create("empty")
    assert check(tmp_path) == []


def test_nothing_is_changed(store: Path) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in store.rglob("*")
            if path.is_file()
        }

    before = state()
    check(store)
    assert state() == before


def test_a_relative_path(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store / "rolled-0")
    assert check(".") == []
    flip(store / LOG, 100)
    assert [fault.file for fault in check(".")] == [str(store / LOG)]


# --- who may not be checked ----------------------------------------------------------------------


def test_a_directory_that_kstore_holds_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.create("topic")
        for directory in (tmp_path, tmp_path / "topic-0"):
            with pytest.raises(StoreError, match=r"in use: a broker holds the lock on \.lock"):
                check(directory)
    assert check(tmp_path) == []


def test_a_directory_that_kafka_holds_is_refused(store: Path) -> None:
    lock = store / ".lock"
    lock.touch()
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="in use"):
            check(store)
        holder.communicate()
    assert check(store) == []


def test_the_lock_is_not_kept(store: Path) -> None:
    (store / ".lock").touch()
    check(store)
    with (store / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no data"):
        check(tmp_path)
    with pytest.raises(StoreError, match="can't be checked"):
        check(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="can't be checked"):
        check(tmp_path / "file")


# --- canaries --------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", CANARIES.values(), ids=CANARIES)
def test_canary(store: Path, damage: Canary) -> None:
    name, position, words = damage(store)
    faults = check(store)
    file = str(store / name)
    found = [
        fault
        for fault in faults
        if fault.file == file and fault.position == position and words in fault.reason
    ]
    assert len(found) == 1, [str(fault) for fault in faults]
    assert str(found[0]) == f"{file} at position {position}: {found[0].reason}"
    if "/" in name:
        partition = store / name.partition("/")[0]
        assert found[0] in check(partition)


@pytest.mark.parametrize("name", [LOG, INDEX, TIMES, SNAPSHOT])
def test_each_flipped_byte_is_seen(store: Path, name: str) -> None:
    path = store / name
    sound = path.read_bytes()
    for position in range(0, len(sound), 7 if name == LOG else 1):
        damaged = bytearray(sound)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        assert check(store / "rolled-0"), (name, position)
    path.write_bytes(sound)
    assert check(store / "rolled-0") == []


# --- after a crash, and other company --------------------------------------------------------


def test_a_crash_leaves_zeros_which_are_no_fault(store: Path) -> None:
    (store / ".kafka_cleanshutdown").unlink()
    last = LAST_LOG.removesuffix(".log")
    for suffix in (".log", ".index", ".timeindex"):
        path = store / (last + suffix)
        os.truncate(path, path.stat().st_size + 12 * 8 * 1000)
    (store / "rolled-0/leader-epoch-checkpoint").write_bytes(b"")
    assert check(store) == []
    os.truncate(store / (last + ".timeindex"), 12)
    (store / (last + ".index")).unlink()
    assert check(store) == []


def test_a_crash_is_no_excuse_for_anything_else(store: Path) -> None:
    (store / ".kafka_cleanshutdown").unlink()
    batch = headers(store, LAST_LOG)[-1]
    size = (store / LAST_LOG).stat().st_size
    os.truncate(store / LAST_LOG, size - 4)
    os.truncate(store / LAST_LOG, size + 4096)
    index = store / LAST_LOG.replace(".log", ".index")
    entries = index.stat().st_size
    with index.open("ab") as file:
        file.write(bytes(16) + struct.pack(">ii", 7, 7))
    os.truncate(store / LOG, (store / LOG).stat().st_size + 100)
    found = [(fault.file, fault.position) for fault in check(store)]
    assert (str(store / LAST_LOG), batch.position) in found
    assert (str(index), entries + 16) in found
    assert (str(store / LOG), (store / LOG).stat().st_size - 100) in found


def test_partitions_that_are_being_deleted_and_foreign_directories_are_left_alone(
    store: Path,
) -> None:
    flip(store / LOG, 100)
    (store / "rolled-0").rename(store / f"rolled-0.{'a' * 32}-delete")
    (store / "__cluster_metadata-0").mkdir()
    (store / "rolled-0-notes").mkdir()
    assert check(store) == []


def test_files_that_the_next_start_deletes_are_left_alone(store: Path) -> None:
    (store / (LOG + ".deleted")).write_bytes(b"anything")
    assert check(store) == []


def test_a_log_of_any_age_and_with_large_batches(tmp_path: Path) -> None:
    directory = tmp_path / "topic-0"
    directory.mkdir()
    data = build_batch([(b"k", bytes(3 << 20), 1)], base_offset=5)
    data += build_batch([(b"k", b"v")], base_offset=1 << 20, timestamp_ms=-1)
    (directory / f"{5:020}.log").write_bytes(data)
    assert check(directory) == []
    flip(directory / f"{5:020}.log", 1 << 20)
    assert [fault.position for fault in check(directory)] == [0]


def test_a_file_that_can_not_be_read_is_a_fault(store: Path) -> None:
    class Failing(Files):
        def open_to_read(self, path: Path) -> int:
            if path.name.endswith(".timeindex") and path.parent.name == "codecs-0":
                raise OSError(5, "Input/output error", str(path))
            return super().open_to_read(path)

    (fault,) = check(store, files=Failing())
    assert fault == Fault(
        str(store / "codecs-0" / f"{0:020}.timeindex"), 0, "it can't be read: Input/output error"
    )


def test_a_file_that_is_wrong_all_over_does_not_fill_memory(store: Path) -> None:
    (store / INDEX).write_bytes(struct.pack(">ii", 1, 1) * 5000)
    faults = [fault for fault in check(store) if fault.file == str(store / INDEX)]
    assert len(faults) == 101
    assert faults[-1].reason == "4900 more faults in this file"
