"""Lookups in the index of a segment, in memory and in its file, also one that was damaged."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path

import pytest

from kstore.errors import CorruptLogError, ErrorCode, KafkaError
from kstore.log.log import Log
from kstore.log.store import Store
from tests.support.logs import NOW_MS, altered, batch, make_log, open_store

COUNT = 1500
"""Batches with an entry each: two pages of entries go to the file, the rest stay in memory."""


def indexed(store: Store) -> Log:
    log = make_log(store, index_interval_bytes=0)
    for _ in range(COUNT):
        log.append(batch(b"one", b"two", b"three"), now_ms=NOW_MS)
    return log


def expected_entries(log: Log) -> list[tuple[int, int]]:
    """(last offset, position) of all batches but the first, as an interval of 0 bytes wants it."""
    return [(header.last_offset, header.position) for header in log.batches()][1:]


def check_lookups(log: Log, offsets: list[int]) -> None:
    entries = expected_entries(log)
    index = log.segments.first.offsets
    for offset in offsets:
        below = [position for last, position in entries if last <= offset]
        assert index.lookup(offset) == (below[-1] if below else 0)
        found = log.segments.first.find(offset)
        assert found is not None
        assert found[0] == offset // 3 * found[1]


def test_lookups_in_file_and_memory(data_dir: Path, seed: int) -> None:
    picked = random.Random(seed).sample(range(3 * COUNT), 60)
    offsets = sorted({0, 1, 2, 3, 5, 6, 3 * COUNT - 1, *picked})
    with open_store(data_dir) as store:
        log = indexed(store)
        index = log.segments.first.offsets
        assert 0 < index.file_count < index.count == COUNT - 1
        check_lookups(log, offsets)
        log.roll()
        assert index.tail is None
        assert index.file_count == COUNT - 1
        check_lookups(log, offsets)
    with open_store(data_dir) as store:
        check_lookups(store.logs["topic", 0], offsets)


def test_a_map_grows_with_its_file(store: Store) -> None:
    log = make_log(store, index_interval_bytes=0)
    for offset in range(COUNT):
        log.append(batch(), now_ms=NOW_MS)
        if offset % 100 == 0:
            found = log.segments.first.find(offset // 2)
            assert found is not None
            assert found[0] == offset // 2 * found[1]


def test_an_index_cut_before_it_is_looked_at_is_corrupt(store: Store) -> None:
    log = indexed(store)
    log.roll()
    assert log.segments.first.offsets.file_count > 0
    os.truncate(log.segments.first.offsets.path, 800)
    with pytest.raises(KafkaError) as caught:
        log.read(COUNT, 100, upto_offset=3 * COUNT)
    assert caught.value.code is ErrorCode.CORRUPT_MESSAGE


def test_an_index_cut_under_its_map_takes_the_partition_offline(store: Store) -> None:
    log = indexed(store)
    log.roll()
    assert log.read(COUNT, 100, upto_offset=3 * COUNT) is not None
    os.truncate(log.segments.first.offsets.path, 0)
    with pytest.raises(KafkaError) as caught:
        log.read(COUNT, 100, upto_offset=3 * COUNT)
    assert caught.value.code is ErrorCode.KAFKA_STORAGE_ERROR
    assert log.failed is not None


@pytest.mark.parametrize("active", [True, False])
def test_an_index_full_of_garbage_never_leads_out_of_the_segment(
    store: Store, active: bool, seed: int
) -> None:
    """What is read then is wrong or an error, but of this segment, and the process lives on."""
    log = indexed(store)
    if not active:
        log.roll()
    segment = log.segments.first
    count = segment.offsets.file_count
    chosen = random.Random(seed)
    for _ in range(50):
        with segment.offsets.path.open("r+b") as file:
            file.write(chosen.randbytes(8 * count))
        found = None
        with suppress(CorruptLogError):
            found = segment.find(chosen.randrange(3 * COUNT))
        assert found is None or 0 <= found[0] < segment.size


def test_an_index_from_before_compaction_leads_to_the_next_batch(store: Store) -> None:
    log = make_log(store, index_interval_bytes=0)
    for number in range(10):
        log.append_verbatim(altered(batch(b"value"), base_offset=10 * number))
    for offset in range(91):
        found = log.segments.first.find(offset)
        assert found is not None
        assert found[0] == -(-offset // 10) * found[1]
    assert log.segments.first.find(91) is None
