"""Entries of indexes in memory and in files, and the search for them."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from kstore._native.index import (
    BaseOffsets,
    IndexTail,
    find_offset,
    find_position,
    find_time,
    find_time_offset,
)

KEYS = st.lists(st.integers(0, 2**31 - 1), max_size=60).map(sorted)
SPLITS = st.integers(0, 60)
TARGETS = st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20)


@given(KEYS, SPLITS, TARGETS)
def test_an_offset_is_found_in_file_and_tail(keys: list[int], split: int, near: list[int]) -> None:
    split = min(split, len(keys))
    whole, tail = IndexTail(8), IndexTail(8)
    for number, key in enumerate(keys):
        whole.add_offset(key, 3 * number + 7)
        if number >= split:
            tail.add_offset(key, 3 * number + 7)
    file = whole.to_bytes()
    for target in [*near, *keys, *(key - 1 for key in keys)]:
        slot = bisect_right(keys, target) - 1
        position = 3 * slot + 7 if slot >= 0 else 0
        assert find_offset(file, split, tail, target) == slot
        assert find_offset(file, len(keys), None, target) == slot
        assert find_position(file, split, tail, target) == position
        assert find_position(file, len(keys), None, target) == position


@given(KEYS, SPLITS, TARGETS)
def test_a_time_is_found_in_file_and_tail(keys: list[int], split: int, near: list[int]) -> None:
    split = min(split, len(keys))
    whole, tail = IndexTail(12), IndexTail(12)
    for number, key in enumerate(keys):
        whole.add_time(key << 20, key)
        if number >= split:
            tail.add_time(key << 20, key)
    file = whole.to_bytes()
    for target in [*near, *keys, *(key - 1 for key in keys)]:
        slot = bisect_right(keys, target) - 1
        assert find_time_offset(file, split, tail, target) == slot
        assert find_time(file, split, tail, target << 20) == slot
        assert find_time(file, len(keys), None, target << 20) == slot


@given(st.binary(max_size=400), TARGETS)
def test_garbage_leads_somewhere_in_it(garbage: bytes, targets: list[int]) -> None:
    count = len(garbage) // 8
    positions = {int.from_bytes(garbage[8 * at + 4 : 8 * at + 8], "big") for at in range(count)}
    for target in targets:
        assert -1 <= find_offset(garbage, count, None, target) < count
        assert find_position(garbage, count, None, target) in {0, *positions}
        assert -1 <= find_time(garbage, len(garbage) // 12, None, target) < len(garbage) // 12


def test_a_tail_is_cut_and_cleared() -> None:
    tail = IndexTail(8)
    for number in range(4):
        tail.add_offset(number, number)
    tail.keep(2)
    assert tail.count == 2
    assert find_offset(b"", 0, tail, 2**40) == 1
    tail.clear()
    assert tail.to_bytes() == b""
    assert find_offset(b"", 0, tail, 5) == find_offset(b"", 0, None, 5) == -1


def test_entries_of_the_wrong_kind() -> None:
    with pytest.raises(TypeError):
        IndexTail(8).add_time(1, 1)
    with pytest.raises(TypeError):
        IndexTail(12).add_offset(1, 1)
    with pytest.raises(ValueError, match="10 bytes"):
        IndexTail(10)


def test_entries_of_the_other_index_are_refused() -> None:
    offsets, times = IndexTail(8), IndexTail(12)
    with pytest.raises(TypeError):
        find_time(b"", 0, offsets, 2**62)
    with pytest.raises(TypeError):
        find_time_offset(b"", 0, offsets, 5)
    for find in (find_offset, find_position):
        with pytest.raises(TypeError):
            find(b"", 0, times, 5)


def test_no_more_entries_than_there_are_bytes() -> None:
    for find, size in ((find_offset, 8), (find_position, 8), (find_time, 12)):
        for count in (-1, 3):
            with pytest.raises(ValueError, match="entries in"):
                find(bytes(3 * size - 1), count, None, 5)


def test_a_file_cut_under_its_map_is_an_error_of_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "index"
    path.write_bytes(bytes(8 * 4096))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as entries:
        assert find_position(entries, 4096, None, 5) == 0
        file.truncate(8)
        for find in (find_offset, find_position):
            with pytest.raises(OSError, match="the disk failed"):
                find(entries, 4096, None, 5)


@given(st.lists(st.integers(0, 2**62), unique=True, max_size=50).map(sorted), TARGETS)
def test_the_floor_of_base_offsets(offsets: list[int], targets: list[int]) -> None:
    bases = BaseOffsets()
    for offset in offsets:
        bases.add(offset)
    dropped = len(offsets) // 3
    bases.drop_first(dropped)
    bases.drop_last()
    kept = offsets[dropped : max(dropped, len(offsets) - 1)]
    assert [bases[at] for at in range(len(bases))] == kept
    for target in [*targets, *offsets, *(offset - 1 for offset in offsets)]:
        assert bases.floor(target) == bisect_right(kept, target) - 1


def test_base_offsets_rise() -> None:
    bases = BaseOffsets()
    bases.add(7)
    for offset in (7, 3):
        with pytest.raises(ValueError, match="not above 7"):
            bases.add(offset)
    for index in (-1, 1):
        with pytest.raises(IndexError):
            bases[index]
    bases.drop_first(5)
    bases.drop_last()
    assert len(bases) == 0
    assert bases.floor(9) == -1
