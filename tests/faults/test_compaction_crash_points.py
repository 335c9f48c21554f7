"""A crash, and a power cut, at every call that a compaction makes of the file system.

A crash leaves the directory as it is; a power cut only the names and bytes that were synced. Each
opens with every key's last value, with nothing that was never written, and nothing half done.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from kstore.configs import LogConfig
from kstore.errors import KafkaError
from kstore.log.check import check
from kstore.log.log import Log
from kstore.log.records import (
    ControlType,
    EndTransactionMarker,
    Record,
    build_batch,
    build_end_transaction_marker,
)
from kstore.testing.faulty_files import FaultyFiles
from tests.support.logs import open_store

CONFIG = LogConfig(
    cleanup_policy=frozenset({"compact"}), segment_bytes=2000, index_interval_bytes=0
)
NOW_MS = 5000


class CopyingFiles(FaultyFiles):
    """Copies `directory` before every call that changes it, once `begin` was called."""

    def __init__(self, directory: Path, copies: Path) -> None:
        super().__init__()
        self.directory, self.copies = directory, copies
        self.count = 0
        self.copying = False

    def _step(self, method: str, path: Path | None) -> None:
        if self.copying and method not in ("read", "open"):
            self.copying = False
            shutil.copytree(self.directory, self.copies / f"crash-{self.count}")
            self.after_power_cut(self.directory, self.copies / f"cut-{self.count}")
            self.copying = True
            self.count += 1
        super()._step(method, path)


def append(log: Log, number: int, *, producer_id: int = -1, transactional: bool = False) -> None:
    records = [
        (b"key %d" % (number % 5), b"%d" % number, number),
        (b"once %d" % number, None if number % 4 == 0 else b"1" * number, number),
    ]
    log.append_verbatim(
        build_batch(
            records,
            base_offset=log.log_end_offset,
            leader_epoch=0,
            compression="zstd" if number % 3 == 0 else "none",
            producer_id=producer_id,
            producer_epoch=0 if producer_id >= 0 else -1,
            base_sequence=0 if producer_id >= 0 else -1,
            transactional=transactional,
        )
    )


def fill(log: Log) -> None:
    for number in range(40):
        if number % 10 == 7:
            append(log, number, producer_id=number, transactional=True)
            kind = ControlType.ABORT if number % 20 == 7 else ControlType.COMMIT
            log.append_verbatim(
                build_end_transaction_marker(
                    EndTransactionMarker(kind, 0),
                    producer_id=number,
                    producer_epoch=0,
                    timestamp_ms=number,
                    base_offset=log.log_end_offset,
                    leader_epoch=0,
                )
            )
        else:
            append(log, number)
        if number % 4 == 3:
            log.roll()


def latest(records: list[Record]) -> dict[bytes | None, Record]:
    return {record.key: record for record in records}


@pytest.fixture(scope="module")
def compaction(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record], list[Record]]:
    """The copies, the records before, and those after."""
    root = tmp_path_factory.mktemp("compaction")
    (root / "copies").mkdir()
    files = CopyingFiles(root / "data", root / "copies")
    with open_store(root / "data", files=files, config=CONFIG) as store:
        log = store.create("topic")
        fill(log)
        store.flush()
        store.checkpoint()
        before = list(log.records())
        files.copying = True
        done = log.compact(NOW_MS)
        files.copying = False
        after = list(log.records())
    assert 1 < len(after) < len(before)
    assert done.records_kept < done.records_read
    assert files.count > 30
    return root / "copies", before, after


@pytest.mark.parametrize("kind", [pytest.param("crash", marks=pytest.mark.slow), "cut"])
def test_nothing_is_lost_at_any_call(
    compaction: tuple[Path, list[Record], list[Record]], kind: str
) -> None:
    copies, before, after = compaction
    written = {record.offset: record for record in before}
    committed = latest([record for record in before if record.timestamp_ms % 20 != 7])
    ends = set()
    for number in range(len(list(copies.glob(f"{kind}-*")))):
        copy = copies / f"{kind}-{number}"
        with open_store(copy, config=CONFIG) as store:
            log = store.logs["topic", 0]
            assert log.faults == [], number
            found = list(log.records())
            names = [path.name for path in log.directory.iterdir()]
            assert not [n for n in names if n.endswith((".swap", ".cleaned", ".deleted"))], number
        assert all(written[record.offset] == record for record in found), number
        assert [r.offset for r in found] == sorted({r.offset for r in found}), number
        left = latest([record for record in found if record.timestamp_ms % 20 != 7])
        assert left == committed, number
        assert check(copy) == [], number
        ends.add(len(found))
        with open_store(copy, config=CONFIG) as store:
            # What was begun is done again, to the same end.
            log = store.logs["topic", 0]
            log.compact(NOW_MS)
            assert list(log.records()) == after, number
    assert len(before) in ends
    assert len(after) in ends


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    """Whatever room there is: the compaction fails or succeeds, and the log stays in use."""
    for room in range(0, 4000, 400):
        files = FaultyFiles()
        with open_store(tmp_path / str(room), files=files, config=CONFIG) as store:
            log = store.create("topic")
            fill(log)
            expected = latest([r for r in log.records() if r.timestamp_ms % 20 != 7])
            files.room = room
            with suppress(KafkaError):
                log.compact(NOW_MS)
            assert log.failed is None
            assert not list(log.directory.glob("*.cleaned"))
            files.heal()
            assert latest([r for r in log.records() if r.timestamp_ms % 20 != 7]) == expected
            log.compact(NOW_MS)
            assert latest([r for r in log.records() if r.timestamp_ms % 20 != 7]) == expected
