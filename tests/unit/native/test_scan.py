"""Looking through the bytes of a segment: searching, and checking after a crash."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from kstore._native.batch import BAD_CRC, TORN
from kstore._native.index import SegmentIndexer
from kstore._native.scan import (
    BACKWARDS,
    check_run,
    copy_out,
    find_batch,
    find_newer,
    index_run,
    is_zero,
    read_headers,
)
from tests.support.logs import NOW_MS, altered, batch


def stored(count: int) -> list[bytes]:
    """Batches of two records each as they stand in a segment that begins at offset 10."""
    return [
        altered(
            batch(b"x" * number, b"y", timestamp_ms=NOW_MS + number),
            base_offset=10 + 2 * number,
            leader_epoch=number // 3,
        )
        for number in range(count)
    ]


def test_finding_an_offset() -> None:
    batches = stored(9)
    data = b"".join(batches)
    position = 0
    for number, one in enumerate(batches):
        for offset in (10 + 2 * number, 11 + 2 * number):
            assert find_batch(data, 0, len(data), offset) == (position, len(one))
            assert find_batch(data, position, len(data), offset) == (position, len(one))
        position += len(one)
    assert find_batch(data, 0, len(data), 28) == (len(data), 0)
    assert find_batch(data, 0, len(data), 0) == (0, len(batches[0]))


def test_finding_stops_where_no_whole_header_is_left() -> None:
    batches = stored(2)
    data = b"".join(batches)
    begin = len(batches[0])
    assert find_batch(data, 0, begin + 60, 12) == (begin, 0)
    assert find_batch(data, 0, begin + 61, 12) == (begin, len(batches[1]))
    assert find_batch(data[: begin + 61], 0, 1 << 40, 12) == (begin, len(batches[1]))


def test_finding_a_time() -> None:
    batches = stored(5)
    data = b"".join(batches)
    assert find_newer(data, 0, len(data), NOW_MS + 2) == (
        len(batches[0] + batches[1]),
        len(batches[2]),
    )
    assert find_newer(data, 0, len(data), NOW_MS + 5) == (len(data), 0)


def test_finding_between_positions_that_are_none() -> None:
    data = b"".join(stored(2))
    for position in (len(data), len(data) + 1, 2**63 - 1):
        for end in (-1, len(data), 2**63 - 1):
            assert find_batch(data, position, end, 12) == (position, 0)
    assert find_batch(data, -(2**63), -(2**63), 12) == (0, 0)


def test_finding_notices_what_is_no_batch() -> None:
    data = stored(1)[0] + bytes(100)
    assert find_batch(data, 0, len(data), 12) == (len(data) - 100, -1)


def test_checking_a_run() -> None:
    batches = stored(4)
    data = b"".join(batches)
    assert check_run(data, 10, 10) == (len(data), 18, 0)
    assert check_run(b"", 10, 10) == (0, 10, 0)
    assert check_run(data[:-1], 10, 10) == (len(data) - len(batches[3]), 16, TORN)
    assert check_run(data[:-1] + b"\xff", 10, 10)[2] == BAD_CRC
    assert check_run(data, 10, 11) == (0, 11, BACKWARDS)
    assert check_run(batches[1] + batches[0], 10, 10) == (len(batches[1]), 14, BACKWARDS)
    far = altered(batch(), base_offset=10 + 2**31)
    assert check_run(far, 10, 10) == (0, 10, BACKWARDS)
    assert check_run(altered(batch(), base_offset=9 + 2**31), 10, 10)[2] == 0
    assert check_run(altered(batch(), last_offset_delta=-1), 0, 0)[2] == BACKWARDS
    assert check_run(altered(batch(), base_offset=2**63 - 1), 10, 10)[2] == BACKWARDS
    last = 2**63 - 2
    assert check_run(altered(batch(), base_offset=last), last, last)[1:] == (last + 1, 0)
    assert check_run(altered(batch(), base_offset=last + 1), last, last)[2] == BACKWARDS


def test_indexing_a_run() -> None:
    batches = stored(7)
    data = b"".join(batches)
    indexer = SegmentIndexer(10, 0)
    assert index_run(data, len(data), 1000, indexer, 0) == [(1, 16), (2, 22)]
    assert indexer.offsets.count == 6
    assert indexer.max_timestamp == NOW_MS + 6
    assert indexer.max_timestamp_offset == 23
    entries = indexer.offsets.to_bytes()
    assert int.from_bytes(entries[:4], "big") == 3
    assert int.from_bytes(entries[4:8], "big") == 1000 + len(batches[0])
    indexer.finish()
    indexer.finish()
    assert indexer.times.count == 6


def test_reading_headers() -> None:
    batches = stored(3)
    data = b"".join(batches)
    headers = read_headers(data[:-10], 500)
    assert [header.position for header in headers] == [
        500,
        500 + len(batches[0]),
        500 + len(batches[0] + batches[1]),
    ]
    assert len(read_headers(data + bytes(100), 0)) == 3
    assert read_headers(bytes(100), 0) == []
    assert read_headers(b"", 0) == []


def test_zeros() -> None:
    assert is_zero(b"")
    assert is_zero(bytes(1000))
    assert is_zero(b"x" + bytes(9), 1)
    for position in range(40):
        data = bytearray(40)
        data[position] = 1
        assert not is_zero(data)


def test_copies() -> None:
    assert copy_out(b"") == b""
    assert copy_out(memoryview(b"abcd")[1:3]) == b"bc"


def test_a_map_whose_file_was_cut_short(tmp_path: Path) -> None:
    """Touching its bytes would end the process."""
    path = tmp_path / "file"
    path.write_bytes(bytes(3 * mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as room:
        os.truncate(path, 10)
        assert copy_out(memoryview(room)[: mmap.PAGESIZE]) == bytes(mmap.PAGESIZE)
        for look in (copy_out, lambda data: find_batch(data, 2 * mmap.PAGESIZE, len(data), 0)):
            with pytest.raises(OSError, match="disk failed under a mapped file"):
                look(room)
