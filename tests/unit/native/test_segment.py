"""Writing a segment: what goes into its map, and what has to be done before."""

from __future__ import annotations

import mmap

import pytest

from kstore._native.batch import HEADER_SIZE, BatchHeader, check_batch
from kstore._native.index import SegmentIndexer
from kstore._native.segment import FITS, GROW, ROLL, SPILL, WRITE, SegmentWriter
from tests.support.logs import NOW_MS, altered, batch


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


def test_a_large_batch_is_left_to_be_written(writer: SegmentWriter) -> None:
    data = batch(b"a" * 500)
    room = mmap.mmap(-1, 4096)
    writer.attach(room)
    writer.write_from = len(data)
    header = check_batch(b"xx" + data, 2)
    assert writer.append(b"xx" + data, header, 10, 3, NOW_MS) == WRITE
    assert (header.base_offset, header.leader_epoch) == (10, 3)
    assert writer.head == altered(data, base_offset=10, leader_epoch=3)[:HEADER_SIZE]
    assert room[:] == bytes(4096)
    assert writer.size == 0
    room[: len(data)] = data
    writer.failed_to_write(header)
    assert room[:] == bytes(4096)
    with pytest.raises(ValueError, match="no such batch"):
        writer.wrote(header)
    assert writer.append(b"xx" + data, header, 10, 3, NOW_MS) == WRITE
    assert writer.wrote(header) == FITS
    assert writer.wrote_last
    assert writer.size == len(data)
    assert writer.append(batch(b"small"), check_batch(batch(b"small")), 11, 3, NOW_MS) == FITS
    assert not writer.wrote_last
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
