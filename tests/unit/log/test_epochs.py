"""Leader epochs: which offsets belong to which, and how the file follows (LeaderEpochFileCache)."""

from __future__ import annotations

from pathlib import Path

import pytest

from kstore.log.checkpoints import EPOCHS
from kstore.log.epochs import LeaderEpochs
from kstore.log.files import Files
from kstore.log.store import Store
from tests.support.logs import NOW_MS, batch, make_log, open_store


def epochs_of(directory: Path, *entries: tuple[int, int]) -> LeaderEpochs:
    epochs = LeaderEpochs(Files(), directory)
    for epoch, start_offset in entries:
        epochs.assign(epoch, start_offset)
    return epochs


def test_ends_of_epochs(tmp_path: Path) -> None:
    epochs = epochs_of(tmp_path, (2, 10), (4, 20), (7, 30))
    ends = {epoch: epochs.end_offset_for(epoch, 99) for epoch in range(-1, 9)}
    assert ends == {
        -1: (-1, -1),
        0: (0, 10),
        1: (1, 10),
        2: (2, 20),
        3: (2, 20),
        4: (4, 30),
        5: (4, 30),
        6: (4, 30),
        7: (7, 99),
        8: (-1, -1),
    }
    assert epochs_of(tmp_path).end_offset_for(0, 5) == (-1, -1)


def test_epochs_of_offsets(tmp_path: Path) -> None:
    epochs = epochs_of(tmp_path, (2, 10), (4, 20))
    assert [epochs.epoch_at(offset) for offset in (9, 10, 19, 20, 99)] == [-1, 2, 2, 4, 4]


@pytest.mark.parametrize(
    ("entry", "left"),
    [
        ((4, 25), [(2, 10), (4, 20)]),
        ((5, 25), [(2, 10), (4, 20), (5, 25)]),
        ((5, 20), [(2, 10), (5, 20)]),
        ((4, 15), [(2, 10), (4, 15)]),
        ((3, 25), [(2, 10), (3, 25)]),
        ((1, 5), [(1, 5)]),
    ],
)
def test_assigning(tmp_path: Path, entry: tuple[int, int], left: list[tuple[int, int]]) -> None:
    epochs = epochs_of(tmp_path, (2, 10), (4, 20))
    epochs.assign(*entry)
    assert epochs.entries() == left


def test_impossible_epochs(tmp_path: Path) -> None:
    for entry in ((-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="can't begin"):
            epochs_of(tmp_path, entry)


@pytest.mark.parametrize(
    ("offset", "left"),
    [
        (21, [(2, 10), (4, 20)]),
        (20, [(2, 10)]),
        (11, [(2, 10)]),
        (10, []),
        (0, []),
    ],
)
def test_the_log_ends_earlier(tmp_path: Path, offset: int, left: list[tuple[int, int]]) -> None:
    epochs = epochs_of(tmp_path, (2, 10), (4, 20))
    epochs.truncate_from_end(offset)
    assert epochs.entries() == left


@pytest.mark.parametrize(
    ("offset", "left"),
    [
        (9, [(2, 10), (4, 20)]),
        (10, [(2, 10), (4, 20)]),
        (15, [(2, 15), (4, 20)]),
        (20, [(4, 20)]),
        (99, [(4, 99)]),
    ],
)
def test_the_log_starts_later(tmp_path: Path, offset: int, left: list[tuple[int, int]]) -> None:
    epochs = epochs_of(tmp_path, (2, 10), (4, 20))
    epochs.truncate_from_start(offset)
    assert epochs.entries() == left


def test_the_file(tmp_path: Path) -> None:
    epochs = epochs_of(tmp_path, (0, 0), (3, 17))
    assert epochs.unwritten
    epochs.write()
    assert not epochs.unwritten
    assert (tmp_path / EPOCHS).read_bytes() == b"0\n2\n0 0\n3 17\n"
    loaded = LeaderEpochs.load(Files(), tmp_path)
    assert loaded.entries() == [(0, 0), (3, 17)]
    assert not loaded.unwritten


def test_a_new_epoch_is_in_the_file_before_its_first_batch(store: Store) -> None:
    log = make_log(store)
    log.assign_leader_epoch(5)
    assert log.end_offset_for_epoch(5) == (5, 0)
    assert not (log.directory / EPOCHS).exists()
    log.append(batch(), now_ms=NOW_MS)
    assert (log.directory / EPOCHS).read_text() == "0\n1\n5 0\n"
    assert log.leader_epoch_of(0) == 5
    assert next(log.batches()).leader_epoch == 5


def test_epochs_come_back(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        log = make_log(store)
        log.append(batch(), now_ms=NOW_MS)
        log.assign_leader_epoch(2)
        log.append(batch(), now_ms=NOW_MS)
        log.assign_leader_epoch(3)
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        # Epoch 3 has written nothing, and what ends where the log ends is forgotten, as in Kafka.
        assert log.epochs.entries() == [(0, 0), (2, 1)]
        assert log.leader_epoch == 2
