"""Walking the bytes of a segment: searching, checking after a crash, and writing."""

from __future__ import annotations

import mmap

import pytest

from kstore._native.batch import BAD_CRC, TORN, BatchHeader, check_batch
from kstore._native.index import (
    IndexTail,
    SegmentIndexer,
    find_offset,
    find_time,
    find_time_offset,
)
from kstore._native.segment import (
    BACKWARDS,
    FITS,
    GROW,
    ROLL,
    SPILL,
    SegmentWriter,
    check_run,
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


@pytest.fixture
def writer() -> SegmentWriter:
    writer = SegmentWriter(SegmentIndexer(10, 4096), 0)
    writer.max_size = 1 << 20
    writer.roll_ms = 1000
    writer.max_offset_entries = writer.max_time_entries = 100
    return writer


def test_writing(writer: SegmentWriter) -> None:
    data = batch(b"a", b"b")
    header = check_batch(b"xx" + data, 2)
    assert writer.append(b"xx" + data, header, 10, 3, NOW_MS) == GROW
    assert header.base_offset == 0, "nothing has happened"
    room = mmap.mmap(-1, 4096)
    writer.attach(room)
    assert writer.append(b"xx" + data, header, 10, 3, NOW_MS) == FITS
    assert (header.base_offset, header.last_offset, header.leader_epoch) == (10, 11, 3)
    assert room[: len(data)] == altered(data, base_offset=10, leader_epoch=3)
    assert (writer.size, writer.capacity) == (len(data), 4096)
    writer.cut(0)
    assert room[:] == bytes(4096)
    writer.detach()
    room.close()


def test_a_header_that_is_not_of_these_bytes(writer: SegmentWriter) -> None:
    writer.attach(bytearray(4096))
    header = check_batch(batch())
    with pytest.raises(ValueError, match="not in these bytes"):
        writer.append(batch()[:-1], header, 10, 0, NOW_MS)
    assert writer.size == 0


def test_a_header_of_no_batch(writer: SegmentWriter) -> None:
    room = bytearray(4096)
    writer.attach(memoryview(room)[:0])
    with pytest.raises(ValueError, match="not in these bytes"):
        writer.append(batch(), BatchHeader(), 10, 0, NOW_MS)
    with pytest.raises(ValueError, match="no -1 bytes"):
        SegmentWriter(SegmentIndexer(10, 4096), -1)
    writer.detach()
    assert room == bytes(4096)


def test_timestamps_beyond_all_bounds_roll(writer: SegmentWriter) -> None:
    """Their difference wraps, as in Kafka."""
    writer.attach(bytearray(4096))
    early = altered(batch(), max_timestamp=-(2**63))
    assert writer.append(batch(), check_batch(batch()), 10, 0, NOW_MS) == FITS
    assert writer.append(early, check_batch(early), 11, 0, NOW_MS) == ROLL


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


def test_when_a_segment_is_full(writer: SegmentWriter) -> None:
    writer.attach(bytearray(4096))
    data = batch(b"a")

    def append(timestamp_ms: int = NOW_MS, offset: int = 10) -> int:
        one = batch(b"a", timestamp_ms=timestamp_ms)
        return writer.append(one, check_batch(one), offset, 0, NOW_MS)

    assert append(offset=10 + 2**31) == ROLL
    assert append() == FITS
    assert append(NOW_MS + 1001) == ROLL
    assert append(NOW_MS + 1000) == FITS
    writer.max_size = 3 * len(data) - 1
    assert append() == ROLL
    writer.max_size = 3 * len(data)
    assert append() == FITS
    writer.max_size = 1 << 20
    writer.max_offset_entries = 0
    assert append() == ROLL


def test_index_entries_want_to_be_spilled(writer: SegmentWriter) -> None:
    writer.attach(bytearray(1 << 20))
    writer.indexer.interval_bytes = 0
    writer.max_offset_entries = writer.max_time_entries = 1 << 20
    data = batch(b"a")
    results = [
        writer.append(data, check_batch(data), 10 + number, 0, NOW_MS) for number in range(514)
    ]
    assert results == [FITS] * 513 + [SPILL]
    writer.indexer.offsets.clear()
    assert writer.append(data, check_batch(data), 523, 0, NOW_MS) == FITS


def test_a_map_that_is_too_small_or_read_only(writer: SegmentWriter) -> None:
    other = SegmentWriter(SegmentIndexer(0, 0), 100)
    with pytest.raises(ValueError, match="100 written"):
        other.attach(bytearray(99))
    with pytest.raises(BufferError):
        writer.attach(bytes(4096))
    with pytest.raises(ValueError, match="can't cut"):
        writer.cut(1)


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
