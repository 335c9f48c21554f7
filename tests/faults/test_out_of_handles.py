"""A process that has no descriptor left: what can't be done then is refused, and done later; no
partition is lost by it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kstore.configs import LogConfig
from kstore.errors import KafkaError
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from kstore.testing.manual import ManualRuntime
from tests.support.logs import NOW_MS, batch, make_log, open_store, values

ROOT = Path(__file__).parents[2]
BIG = batch(b"x" * 3000)

LIMITED = """
import resource, sys
from pathlib import Path

resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))

from kstore.configs import LogConfig
from kstore.log.store import Store

config = LogConfig(
    segment_bytes=3000,
    index_interval_bytes=0,
    retention_ms=-1,
    cleanup_policy=frozenset({"compact", "delete"}),
)
with Store.open(Path(sys.argv[1]), config=config) as store:
    logs = [store.create("topic", number) for number in range(30)]
    for number in range(6):
        for log in logs:
            log.append_records([(b"key", b"%d" % number * 700)])
    for log in logs:
        log.flush()
        log.compact()
    assert [log.failed for log in logs] == [None] * 30
with Store.open(Path(sys.argv[1]), config=config) as store:
    assert len(store.logs) == 30
    for log in store.logs.values():
        assert log.failed is None, log.failed
        assert list(log.records())[-1].value == b"5" * 700
"""


@pytest.fixture
def runtime() -> ManualRuntime:
    return ManualRuntime()


@pytest.fixture
def store(tmp_path: Path, files: FaultyFiles, runtime: ManualRuntime) -> Iterator[Store]:
    store = open_store(tmp_path / "data", files=files, runtime=runtime)
    yield store
    files.heal()
    runtime.run_workers()
    store.close()


@pytest.mark.parametrize("method", ["sync_directory", "open"])
@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_a_roll_without_a_descriptor(
    store: Store, files: FaultyFiles, runtime: ManualRuntime, method: str, code: int
) -> None:
    log = make_log(store, segment_bytes=4000)
    log.append(BIG, now_ms=NOW_MS)
    files.fail(method, code)
    with suppress(KafkaError):
        log.append(BIG, now_ms=NOW_MS)
    runtime.run_workers()
    assert log.failed is None
    assert store.failure is None
    assert log.recovery_point == 0
    files.heal()
    log.append(BIG, now_ms=NOW_MS)
    runtime.run_workers()
    log.flush()
    assert log.recovery_point == log.log_end_offset


def test_a_flush_without_a_descriptor_is_made_again(
    tmp_path: Path, store: Store, files: FaultyFiles
) -> None:
    log = make_log(store)
    log.append(BIG, now_ms=NOW_MS)
    files.fail("sync_directory", errno.EMFILE)
    with pytest.raises(KafkaError):
        log.flush()
    assert log.recovery_point == 0
    files.heal()
    log.flush()
    files.after_power_cut(tmp_path / "data", tmp_path / "left")
    with open_store(tmp_path / "left") as left:
        assert values(left.logs["topic", 0]) == [b"x" * 3000]


def test_leader_epochs_are_synced_again_too(
    tmp_path: Path, store: Store, files: FaultyFiles
) -> None:
    log = make_log(store)
    log.assign_leader_epoch(7)
    log.append(BIG, now_ms=NOW_MS)
    files.fail("open", errno.EMFILE, suffix="leader-epoch-checkpoint")
    with pytest.raises(KafkaError):
        log.flush()
    files.heal()
    log.flush()
    store.checkpoint()
    files.after_power_cut(tmp_path / "data", tmp_path / "left")
    with open_store(tmp_path / "left") as left:
        assert left.logs["topic", 0].leader_epoch_of(0) == 7


def test_group_commit_without_a_descriptor(
    store: Store, files: FaultyFiles, runtime: ManualRuntime
) -> None:
    log = make_log(store, kstore_acks_all_flush=True)
    log.append(BIG, now_ms=NOW_MS)
    files.fail("sync_directory", errno.EMFILE)
    refused = log.when_synced(1)
    runtime.run_soon()
    runtime.run_workers()
    assert isinstance(refused.error, KafkaError)
    assert log.failed is None
    files.heal()
    log.append(BIG, now_ms=NOW_MS)
    synced = log.when_synced(2)
    runtime.run_soon()
    runtime.run_workers()
    assert synced.done
    assert synced.error is None


def test_descriptors_are_given_up_for_a_directory(store: Store, files: FaultyFiles) -> None:
    """Those that are kept for the next read are not worth a partition."""
    log = make_log(store)
    log.append(BIG, now_ms=NOW_MS)
    files.fail("sync_directory", errno.EMFILE, count=1)
    log.flush()
    assert log.recovery_point == 1


def test_many_partitions_at_a_low_limit(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "data")]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_limit_of_kept_descriptors_follows_that_of_the_process(tmp_path: Path) -> None:
    class Few(FaultyFiles):
        def descriptor_limit(self) -> int:
            return 40

    with open_store(
        tmp_path, files=Few(), config=LogConfig(segment_bytes=2000, index_interval_bytes=0)
    ) as store:
        log = store.create("topic")
        for _ in range(30):
            log.append(batch(b"x" * 1500), now_ms=NOW_MS)
        assert len(log.handles) <= 10
        assert len(values(log)) == 30
