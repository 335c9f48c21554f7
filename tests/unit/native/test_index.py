"""Entries of indexes in memory, and the search for them."""

from __future__ import annotations

import pytest

from kstore._native.index import IndexTail, find_offset, find_time, find_time_offset


def test_searching_entries() -> None:
    offsets, times = IndexTail(8), IndexTail(12)
    keys = [3, 5, 5 + 2**20, 2**31 - 1]
    for number, key in enumerate(keys):
        offsets.add_offset(key, number)
        times.add_time(key * 10**6, key)
    for entries, find, scale in (
        (offsets, find_offset, 1),
        (times, find_time, 10**6),
        (times, find_time_offset, 1),
    ):
        for data in (entries, entries.to_bytes()):
            for target in (-1, 0, 2, 3, 4, 5, 6, 2**20, 5 + 2**20, 2**31 - 1, 2**40):
                expected = sum(key <= target for key in keys) - 1
                assert find(data, target * scale) == expected
    offsets.keep(2)
    assert offsets.count == 2
    assert find_offset(offsets, 2**40) == 1
    offsets.clear()
    assert offsets.to_bytes() == b""
    assert find_offset(offsets, 5) == find_offset(b"", 5) == -1


def test_entries_of_the_wrong_kind() -> None:
    with pytest.raises(TypeError):
        IndexTail(8).add_time(1, 1)
    with pytest.raises(TypeError):
        IndexTail(12).add_offset(1, 1)
    with pytest.raises(ValueError, match="10 bytes"):
        IndexTail(10)


def test_entries_of_the_other_index_are_refused() -> None:
    offsets, times = IndexTail(8), IndexTail(12)
    for number in range(8):
        offsets.add_offset(number, number)
    with pytest.raises(TypeError):
        find_time(offsets, 2**62)
    with pytest.raises(TypeError):
        find_time_offset(offsets, 5)
    with pytest.raises(TypeError):
        find_offset(times, 5)
