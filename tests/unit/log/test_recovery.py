"""What is left of a log after a stop that was not clean: everything up to the first damage."""

from __future__ import annotations

import logging
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.log import recovery
from kstore.log.append import Origin
from kstore.log.checkpoints import EPOCHS, RECOVERY_POINTS
from kstore.log.log import Log
from kstore.log.records import ControlType, EndTransactionMarker, build_end_transaction_marker
from tests.support.logs import NOW_MS, altered, batch, make_log, offsets, open_store, values


def crashed(data_dir: Path, to: Path) -> Path:
    """The directory as a kill at this moment leaves it: what is mapped is in the files."""
    shutil.copytree(data_dir, to)
    return to / "topic-0"


def log_file(directory: Path, base_offset: int = 0) -> Path:
    return directory / f"{base_offset:020d}.log"


@pytest.fixture
def grown(data_dir: Path, tmp_path: Path) -> Callable[..., Path]:
    """Appends what it is given to a log and returns the partition's directory after a crash."""

    def grow(*batches: bytes, **config: int) -> Path:
        with open_store(data_dir) as store:
            log = make_log(store, **config)
            for data in batches:
                log.append(data, now_ms=NOW_MS)
            return crashed(data_dir, tmp_path / "crashed")

    return grow


def test_preallocated_room_is_no_damage(
    grown: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    data = batch(b"a")
    directory = grown(data, data)
    assert log_file(directory).stat().st_size == 4096
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        assert not store.clean_start
        assert log.faults == []
        assert offsets(log) == [0, 1]
        assert log_file(directory).stat().st_size == 2 * len(data)
        log.append(data, now_ms=NOW_MS)
        assert offsets(log) == [0, 1, 2]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_tail_torn_at_any_byte(
    grown: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Cut or half written: the whole batches stay, the rest goes, and is named."""
    first, second = batch(b"first"), batch(b"second", b"third")
    directory = grown(first, second)
    whole = log_file(directory).read_bytes()
    end = len(first) + len(second)
    for size in range(len(first) + 1, end):
        for rest in (b"", bytes(4096 - size)):
            if whole[len(first) : size].strip(b"\0") == b"" or whole[size:end].strip(b"\0") == b"":
                continue
            log_file(directory).write_bytes(whole[:size] + rest)
            caplog.clear()
            store = open_store(directory.parent)
            log = store.logs["topic", 0]
            assert values(log) == [b"first"]
            (fault,) = log.faults
            assert (fault.file, fault.position) == (str(log_file(directory)), len(first))
            assert f"{log_file(directory)} at position {len(first)}" in caplog.text
            assert log_file(directory).stat().st_size == len(first)
            for opened in store.logs.values():
                opened.abandon()
            store._lock.release()


@pytest.mark.parametrize("position", range(8, 70))
def test_damage_in_the_middle_ends_the_log_there(grown: Callable[..., Path], position: int) -> None:
    data = batch(b"value")
    directory = grown(*[data] * 5)
    bytes_there = bytearray(log_file(directory).read_bytes())
    bytes_there[2 * len(data) + position] ^= 0x55
    log_file(directory).write_bytes(bytes_there)
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        if 12 <= position < 16:  # the leader epoch is outside the CRC
            assert offsets(log) == [0, 1, 2, 3, 4]
        else:
            assert offsets(log) == [0, 1]
            assert [fault.position for fault in log.faults] == [2 * len(data)]


def test_segments_behind_the_damage_are_set_aside(grown: Callable[..., Path]) -> None:
    data = batch(b"value")
    directory = grown(*[data] * 9, segment_bytes=3 * len(data))
    (directory.parent / RECOVERY_POINTS).write_bytes(b"0\n1\ntopic 0 2\n")
    with log_file(directory, 3).open("r+b") as file:
        file.seek(len(data) + 65)
        file.write(b"\xff")
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        assert offsets(log) == [0, 1, 2, 3]
        assert not log_file(directory, 6).exists()
        assert (directory / f"{6:020d}.log.stray").stat().st_size == 3 * len(data)
        assert not (directory / f"{6:020d}.index").exists()
        log.append(data, now_ms=NOW_MS)
        assert offsets(log) == [0, 1, 2, 3, 4]


def test_what_is_below_the_recovery_point_is_not_read(grown: Callable[..., Path]) -> None:
    data = batch(b"value")
    directory = grown(*[data] * 9, segment_bytes=3 * len(data))
    (directory.parent / RECOVERY_POINTS).write_bytes(b"0\n1\ntopic 0 6\n")
    with log_file(directory, 3).open("r+b") as file:
        file.seek(len(data) + 65)
        file.write(b"\xff")
    with open_store(directory.parent) as store:
        assert offsets(store.logs["topic", 0], 6) == [6, 7, 8]
        assert store.logs["topic", 0].faults == []


def test_zeros_where_batches_were_are_damage(grown: Callable[..., Path]) -> None:
    """A power cut can lose the end of a segment and keep the one behind it."""
    data = batch(b"value")
    directory = grown(*[data] * 9, segment_bytes=3 * len(data))
    with log_file(directory, 3).open("r+b") as file:
        file.seek(2 * len(data))
        file.write(bytes(len(data)))
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        assert offsets(log) == [0, 1, 2, 3, 4]
        assert [fault.position for fault in log.faults] == [2 * len(data)]


def test_an_untrimmed_segment_before_another_is_trimmed(grown: Callable[..., Path]) -> None:
    data = batch(b"value")
    directory = grown(*[data] * 9, segment_bytes=3 * len(data))
    with log_file(directory, 3).open("ab") as file:
        file.write(bytes(1000))
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        assert offsets(log) == list(range(9))
        assert log.faults == []
        assert log_file(directory, 3).stat().st_size == 3 * len(data)


def test_offsets_that_go_back_are_damage(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        make_log(store).append(batch(b"a", b"b"), now_ms=NOW_MS)
    (data_dir / ".kafka_cleanshutdown").unlink()
    with log_file(data_dir / "topic-0").open("ab") as file:
        file.write(altered(batch(b"c"), base_offset=1))
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        assert offsets(log) == [0, 1]
        assert len(log.faults) == 1


def test_batches_larger_than_what_is_read_at_a_time(
    grown: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_CHUNK_SIZE", 256)
    batches = [batch(b"x" * size) for size in (1, 255, 256, 1000, 3, 5000, 60)]
    directory = grown(*batches)
    with open_store(directory.parent) as store:
        assert offsets(store.logs["topic", 0]) == list(range(len(batches)))
    position = sum(len(data) for data in batches[:5])
    (directory.parent / ".kafka_cleanshutdown").unlink()
    with log_file(directory).open("r+b") as file:
        file.seek(position + 4000)
        file.write(b"\xff")
    (directory.parent / RECOVERY_POINTS).unlink()
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        assert offsets(log) == [0, 1, 2, 3, 4]
        assert [fault.position for fault in log.faults] == [position]


@pytest.mark.parametrize(
    "fields",
    [
        {"base_offset": 1 << 31},
        {"base_offset": 2, "last_offset_delta": -1},
        {"base_offset": (1 << 63) - 1},
        {"base_offset": (1 << 63) - 1, "last_offset_delta": 5},
        {"base_offset": 0},
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_offsets_that_can_not_be(
    grown: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, int],
    size: int,
) -> None:
    """In batches that are read whole, and in those that are not."""
    monkeypatch.setattr(recovery, "_CHUNK_SIZE", 256)
    sound = batch(b"a", b"b")
    directory = grown(sound)
    with log_file(directory).open("r+b") as file:
        file.truncate(len(sound))
        file.seek(len(sound))
        file.write(altered(batch(b"x" * size), **fields))
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        assert offsets(log) == [0, 1]
        assert [fault.position for fault in log.faults] == [len(sound)]
        assert "offsets of the batch don't follow" in log.faults[0].reason


def test_a_file_whose_name_is_no_offset(
    grown: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    directory = grown(batch(b"a"))
    stray = directory / "99999999999999999999.log"
    stray.write_bytes(batch(b"b"))
    with open_store(directory.parent) as store:
        assert offsets(store.logs["topic", 0]) == [0]
    assert str(stray) in caplog.text
    assert (directory / (stray.name + ".stray")).read_bytes() == batch(b"b")


def old_message(magic: int) -> bytes:
    body = bytes([magic, 0]) + bytes(8) * magic + struct.pack(">ii", -1, 3) + b"abc"
    return struct.pack(">qiI", 0, 4 + len(body), zlib.crc32(body)) + body


@pytest.mark.parametrize("magic", [0, 1])
def test_messages_of_old_formats_are_left_alone(data_dir: Path, magic: int) -> None:
    with open_store(data_dir) as store:
        make_log(store)
    (data_dir / ".kafka_cleanshutdown").unlink()
    path = log_file(data_dir / "topic-0")
    path.write_bytes(old_message(magic))
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        assert log.failed is not None
        assert "before Kafka 0.11" in log.failed.message
        with pytest.raises(KafkaError) as caught:
            log.append(batch(), now_ms=NOW_MS)
        assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert path.read_bytes() == old_message(magic)
    assert not (data_dir / ".kafka_cleanshutdown").exists()


def test_indexes_are_built_anew(grown: Callable[..., Path]) -> None:
    batches = [batch(b"x" * 100, timestamp_ms=NOW_MS + number) for number in range(60)]
    directory = grown(*batches, segment_bytes=3000, index_interval_bytes=300)
    for path in directory.glob("*index"):
        path.write_bytes(b"\xff" * 24)
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        for offset in range(60):
            found = log.read(offset, 1, upto_offset=60)
            assert found is not None
            assert int.from_bytes(found.read()[:8], "big") == offset
            assert log.offset_for_timestamp(NOW_MS + offset) == (NOW_MS + offset, offset, 0)


@pytest.mark.parametrize("suffix", [".index", ".timeindex"])
@pytest.mark.parametrize("damage", ["missing", "odd"])
def test_indexes_that_cannot_be_right_after_a_clean_stop(
    data_dir: Path, suffix: str, damage: str
) -> None:
    with open_store(data_dir) as store:
        log = make_log(store, segment_bytes=1000, index_interval_bytes=100)
        for number in range(20):
            log.append(batch(b"x" * 100, timestamp_ms=NOW_MS + number), now_ms=NOW_MS)
    paths = sorted((data_dir / "topic-0").glob(f"*{suffix}"))
    for path in (paths[0], paths[-1]):
        if damage == "missing":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes() + b"\0")
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        assert offsets(log) == list(range(20))
        for offset in range(20):
            assert log.offset_for_timestamp(NOW_MS + offset) == (NOW_MS + offset, offset, 0)


def test_epochs_are_rebuilt(grown: Callable[..., Path], data_dir: Path) -> None:
    with open_store(data_dir) as store:
        log = make_log(store)
        for epoch in (1, 4, 5):
            log.assign_leader_epoch(epoch)
            log.append(batch(), now_ms=NOW_MS)
        directory = crashed(data_dir, data_dir.parent / "crashed")
    for text in (None, "0\n1\n1 0\n", "0\n4\n1 0\n", "", "0\n1\n5 99\n"):
        if text is None:
            (directory / EPOCHS).unlink()
        else:
            (directory / EPOCHS).write_text(text)
        with open_store(directory.parent) as store:
            log = store.logs["topic", 0]
            assert log.epochs.entries() == [(1, 0), (4, 1), (5, 2)]
        (directory.parent / ".kafka_cleanshutdown").unlink()
        (directory.parent / RECOVERY_POINTS).unlink()


def produced(log: Log, sequence: int) -> int:
    data = batch(producer_id=1, producer_epoch=0, base_sequence=sequence)
    return log.append(data, now_ms=NOW_MS).base_offset


@pytest.mark.parametrize("snapshots", ["kept", "corrupt", "none"])
def test_producers_are_rebuilt(data_dir: Path, tmp_path: Path, snapshots: str) -> None:
    with open_store(data_dir) as store:
        log = make_log(store, segment_bytes=300)
        for sequence in range(10):
            produced(log, sequence)
        directory = crashed(data_dir, tmp_path / "crashed")
    for path in directory.glob("*.snapshot"):
        if snapshots == "corrupt":
            path.write_bytes(path.read_bytes()[:-1])
        elif snapshots == "none":
            path.unlink()
    with open_store(directory.parent) as store:
        log = store.logs["topic", 0]
        with pytest.raises(KafkaError) as caught:
            produced(log, 11)
        assert caught.value.code is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        assert produced(log, 8) == 8
        assert produced(log, 10) == 10
    with open_store(directory.parent) as store:
        assert store.clean_start
        assert produced(store.logs["topic", 0], 10) == 10
        assert produced(store.logs["topic", 0], 11) == 11


def test_aborted_transactions_are_noted_again(data_dir: Path, tmp_path: Path) -> None:
    with open_store(data_dir) as store:
        log = make_log(store)
        data = altered(
            batch(b"a"),
            attributes=0x10,
            producer_id=9,
            producer_epoch=0,
            base_sequence=0,
            base_offset=0,
        )
        log.append_verbatim(data)
        marker = build_end_transaction_marker(
            EndTransactionMarker(ControlType.ABORT, 0),
            producer_id=9,
            producer_epoch=0,
            timestamp_ms=NOW_MS,
        )
        log.append(marker, now_ms=NOW_MS, origin=Origin.COORDINATOR)
        entry = struct.pack(">hqqqq", 0, 9, 0, 1, 2)
        transactions = log.directory / f"{0:020d}.txnindex"
        assert transactions.read_bytes() == entry
        directory = crashed(data_dir, tmp_path / "crashed")
    (directory / f"{0:020d}.txnindex").write_bytes(b"junk")
    with open_store(directory.parent):
        assert (directory / f"{0:020d}.txnindex").read_bytes() == entry


def test_a_log_that_ends_before_its_start_is_dropped(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        log = make_log(store)
        log.append(batch(), now_ms=NOW_MS)
    (data_dir / "log-start-offset-checkpoint").write_bytes(b"0\n1\ntopic 0 50\n")
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        assert (log.log_start_offset, log.log_end_offset) == (50, 50)
        assert log.append(batch(), now_ms=NOW_MS).base_offset == 50


def test_the_log_start_is_kept(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        log = make_log(store)
        for _ in range(5):
            log.append(batch(), now_ms=NOW_MS)
        log.advance_log_start(3)
    with open_store(data_dir) as store:
        assert store.logs["topic", 0].log_start_offset == 3


def test_a_clean_stop_that_was_meddled_with_is_recovered(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        log = make_log(store)
        for _ in range(3):
            log.append(batch(), now_ms=NOW_MS)
    path = log_file(data_dir / "topic-0")
    path.write_bytes(path.read_bytes() + b"junk" * 30)
    with open_store(data_dir) as store:
        assert store.clean_start
        log = store.logs["topic", 0]
        assert offsets(log) == [0, 1, 2]
        assert len(log.faults) == 1


def test_an_empty_directory_becomes_an_empty_log(data_dir: Path) -> None:
    (data_dir / "topic-0").mkdir(parents=True)
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        log.append(batch(), now_ms=NOW_MS)
        assert offsets(log) == [0]
