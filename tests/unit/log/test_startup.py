"""Loading all logs of a directory: the same in any number of threads, and told of meanwhile."""

from __future__ import annotations

import logging
import random
import shutil
import threading
from pathlib import Path

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.log import startup
from kstore.log.append import Origin
from kstore.log.log import Log
from kstore.log.properties import format_partition_metadata, random_uuid
from kstore.log.records import ControlType, EndTransactionMarker, build_end_transaction_marker
from kstore.log.store import Store
from kstore.testing.faulty_files import FaultyFiles
from tests.support.logs import NOW_MS, QuickFiles, altered, batch, make_log, offsets, open_store

PARTITIONS = 5


def fill(log: Log, choice: random.Random) -> None:
    """Many small segments, with epochs, sequences, and aborted transactions."""
    sequence = 0
    for number in range(60):
        if number % 20 == 10:
            log.assign_leader_epoch(log.leader_epoch + 1)
        value = choice.randbytes(choice.randrange(200))
        data = batch(value, timestamp_ms=NOW_MS + choice.randrange(1000))
        if choice.random() < 0.5:
            fields = {"producer_id": 9, "producer_epoch": 0, "base_sequence": sequence}
            data = altered(data, attributes=0x10, **fields)
            sequence += 1
            log.append_verbatim(
                altered(data, base_offset=log.log_end_offset, leader_epoch=log.leader_epoch)
            )
            if choice.random() < 0.4:
                marker = build_end_transaction_marker(
                    EndTransactionMarker(ControlType.ABORT, 0),
                    producer_id=9,
                    producer_epoch=0,
                    timestamp_ms=NOW_MS,
                )
                log.append(marker, now_ms=NOW_MS, origin=Origin.COORDINATOR)
        else:
            log.append(data, now_ms=NOW_MS)


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of which nothing was synced, with damage in two of its partitions."""
    root = tmp_path_factory.mktemp("startup")
    choice = random.Random(4)
    with open_store(root / "data") as store:
        for index in range(PARTITIONS):
            log = store.create("t", index)
            log.reconfigure(log.config.__class__(segment_bytes=1500, index_interval_bytes=200))
            fill(log, choice)
        shutil.copytree(root / "data", root / "crashed")
    for index in (1, 3):
        logs = sorted((root / "crashed" / f"t-{index}").glob("*.log"))
        with logs[len(logs) // 2].open("r+b") as file:
            file.seek(300)
            file.write(b"????")
    return root / "crashed"


def state(store: Store) -> dict[object, object]:
    """All that recovery has found out, and all files as they are."""
    found: dict[object, object] = {}
    for key, log in store.logs.items():
        found[key] = (
            log.log_start_offset,
            log.log_end_offset,
            log.recovery_point,
            log.epochs.entries(),
            sorted(log.producers.active(), key=lambda entry: entry.producer_id),
            log.producers.first_undecided_offset(),
            [(fault.position, fault.reason) for fault in log.faults],
            [segment.base_offset for segment in log.segments.all()],
            offsets(log),
        )
        for path in log.directory.iterdir():
            found[*key, path.name] = path.read_bytes()
    return found


def test_in_any_number_of_threads_it_is_the_same(crashed: Path, tmp_path: Path) -> None:
    states = []
    for threads in (1, 2, 5):
        directory = tmp_path / f"with-{threads}"
        shutil.copytree(crashed, directory)
        with open_store(directory, load_threads=threads) as store:
            states.append(state(store))
    assert states[0] == states[1] == states[2]
    assert sum(1 for name in states[0] if str(name).endswith(".txnindex')")) > 3


def test_what_is_behind_damage_and_what_was_cut_off_is_kept(crashed: Path, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    shutil.copytree(crashed, directory)
    before = {path.name: path.read_bytes() for path in (directory / "t-1").glob("*.log")}
    with open_store(directory) as store:
        (fault,) = store.logs["t", 1].faults
        damaged = Path(fault.file).name
        for name, data in before.items():
            path = directory / "t-1" / name
            if name < damaged:
                assert path.read_bytes() == data
            elif name == damaged:
                tail = path.with_name(name + ".corrupt").read_bytes()
                assert path.read_bytes() + tail == data
            else:
                assert not path.exists()
                assert path.with_name(name + ".stray").read_bytes() == data
        assert max(before) > damaged
    with open_store(directory) as store:
        assert store.clean_start
        assert store.logs["t", 1].faults == []


def test_the_tail_is_cut_off_also_where_there_is_no_room_to_keep_it(
    crashed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "data"
    shutil.copytree(crashed, directory)
    files = FaultyFiles()
    files.fail("write", 28, suffix=".corrupt")
    with open_store(directory, files=files) as store:
        assert store.logs["t", 1].failed is None
        assert len(store.logs["t", 1].faults) == 1
    assert "could not be kept" in caplog.text
    assert list(directory.glob("*/*.corrupt")) == []


class Halting(QuickFiles):
    """Reads of segments wait until they are let on."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    def read_into(self, descriptor: int, buffer: memoryview, position: int) -> int:
        assert self.may_go_on.wait(30)
        return super().read_into(descriptor, buffer, position)


def test_how_far_it_is(
    crashed: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = tmp_path / "data"
    shutil.copytree(crashed, directory)
    monkeypatch.setattr(startup, "PATIENCE_S", 0.001)
    files = Halting()

    class Watching(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith("recovering"):
                files.may_go_on.set()

    caplog.set_level(logging.INFO, "kstore.log")
    watching = Watching()
    logging.getLogger("kstore.log").addHandler(watching)
    try:
        with open_store(directory, files=files):
            pass
    finally:
        logging.getLogger("kstore.log").removeHandler(watching)
    texts = [record.getMessage() for record in caplog.records]
    first = next(text for text in texts if text.startswith("recovering"))
    assert f"{directory}: 0 of 0 MB, 0 of " in first
    last = next(text for text in texts if text.startswith("recovered"))
    count = last.split(", ")[1].split()
    assert count[0] == count[2], last
    assert f"{PARTITIONS} partitions" in last


def test_one_that_can_not_be_recovered_takes_only_itself(crashed: Path, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    shutil.copytree(crashed, directory)
    files = FaultyFiles()
    files.fail("open", 13, suffix="t-2/00000000000000000000.log")
    with open_store(directory, files=files) as store:
        with pytest.raises(KafkaError) as caught:
            store.logs["t", 2].append(batch(), now_ms=NOW_MS)
        assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        assert all(
            log.failed is None and log.log_end_offset > 0
            for key, log in store.logs.items()
            if key != ("t", 2)
        )
        assert store.failure is None
        files.heal()


def test_an_error_that_nobody_expected_ends_the_start(
    crashed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(startup.LogLoad, "recover", fail)
    directory = tmp_path / "data"
    shutil.copytree(crashed, directory)
    with pytest.raises(RuntimeError):
        open_store(directory)
    monkeypatch.undo()
    with open_store(directory) as store:
        assert len(store.logs) == PARTITIONS


def test_a_thousand_clean_partitions_cost_a_few_calls_each(data_dir: Path) -> None:
    data = altered(batch(b"v"), base_offset=0)
    for index in range(1000):
        directory = data_dir / f"t-{index}"
        directory.mkdir(parents=True)
        (directory / "partition.metadata").write_bytes(format_partition_metadata(random_uuid()))
        (directory / "leader-epoch-checkpoint").write_bytes(b"0\n1\n0 0\n")
        (directory / f"{0:020d}.log").write_bytes(data)
        (directory / f"{0:020d}.index").touch()
        (directory / f"{0:020d}.timeindex").touch()
        (directory / f"{1:020d}.snapshot").write_bytes(bytes.fromhex("0001") + EMPTY_SNAPSHOT)
    (data_dir / ".kafka_cleanshutdown").touch()

    class Counting(FaultyFiles):
        scans = 0

        def scan(self, directory: Path) -> list[tuple[str, int]]:
            self.scans += 1
            return super().scan(directory)

    files = Counting()
    with open_store(data_dir, files=files, load_threads=1) as store:
        assert all(log.log_end_offset == 1 for log in store.logs.values())
        assert files.scans == 1000
        # Topic id, epochs, the end of the log, producers.
        assert files.calls["open"] <= 4 * 1000 + 20
        assert files.calls["write"] == 1  # meta.properties
        assert len(store._handles) <= 512
        store.abandon()


EMPTY_SNAPSHOT = bytes.fromhex("48674bc7") + bytes(4)


def test_maps_are_bounded_whatever_the_number_of_partitions(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        store._handles.maps.limit = 3
        logs = [make_log(store, f"t{number}", index_interval_bytes=100) for number in range(8)]
        for round_ in range(12):
            for log in logs:
                log.append(batch(b"x" * 90, timestamp_ms=NOW_MS + round_), now_ms=NOW_MS)
                assert len(store._handles.maps) <= 3
        for log in logs:
            assert offsets(log) == list(range(12))
            assert log.offset_for_timestamp(NOW_MS + 7) == (NOW_MS + 7, 7, 0)
        # Also what has no map can be cut, rolled and closed.
        logs[0].truncate_to(5)
        logs[1].roll()
        logs[1].append(batch(timestamp_ms=NOW_MS + 20), now_ms=NOW_MS)
        assert logs[0].append(batch(timestamp_ms=NOW_MS + 20), now_ms=NOW_MS).base_offset == 5
    with open_store(data_dir) as store:
        assert store.clean_start
        assert offsets(store.logs["t0", 0]) == list(range(6))
        assert offsets(store.logs["t1", 0]) == list(range(13))
        for number in range(2, 8):
            log = store.logs[f"t{number}", 0]
            assert offsets(log) == list(range(12))
            assert log.offset_for_timestamp(NOW_MS + 11) == (NOW_MS + 11, 11, 0)
            assert log.max_timestamp() == (NOW_MS + 11, 11, 0)
