"""From an offset to a slice, and what becomes of slices while the log goes on."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from kstore._native.batch import walk
from kstore.errors import ErrorCode, KafkaError
from kstore.log.files import Files
from kstore.log.log import Log
from kstore.log.search import NotInMemory
from kstore.log.slices import Slice
from kstore.log.store import Store
from tests.support.logs import NOW_MS, batch, make_log, offsets, open_store

SIZES = [1, 700, 3, 5000, 20, 20_000, 1, 1, 900, 64] * 12


def filled(store: Store, **config: int) -> Log:
    """Batches of two records each, of many sizes, over several segments."""
    log = make_log(store, segment_bytes=100_000, **config)
    for number, size in enumerate(SIZES):
        log.append(batch(b"x" * size, b"%d" % number), now_ms=NOW_MS)
    assert len(log.segments) > 2
    return log


def bases(found: Slice | None) -> list[int]:
    assert found is not None
    return [header.base_offset for header in walk(found.read())]


def test_every_offset_leads_to_its_batch(store: Store) -> None:
    log = filled(store)
    for offset in range(log.log_end_offset):
        found = log.read(offset, 1, upto_offset=log.log_end_offset)
        assert bases(found) == [offset // 2 * 2]


def test_every_offset_is_found_again_after_reopening(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        end = filled(store).log_end_offset
    with open_store(data_dir) as store:
        log = store.logs["topic", 0]
        for offset in range(end):
            assert bases(log.read(offset, 1, upto_offset=end)) == [offset // 2 * 2]


def test_a_slice_ends_at_max_size_within_one_segment(store: Store) -> None:
    log = filled(store)
    whole = log.read(0, 1 << 30, upto_offset=log.log_end_offset)
    assert whole is not None
    assert whole.size == log.segments[0].size
    for max_size in (200, 1000, 4097, 50_000):
        cut = log.read(0, max_size, upto_offset=log.log_end_offset)
        assert cut is not None
        assert cut.read() == whole.read()[:max_size]


def test_a_slice_ends_before_the_batch_that_holds_upto(store: Store) -> None:
    log = filled(store)
    for upto in (1, 2, 7, 8, 9, 41):
        found = log.read(0, 1 << 30, upto_offset=upto)
        if upto == 1:
            assert found is None
        else:
            assert bases(found) == list(range(0, upto // 2 * 2, 2))


def test_the_first_batch_comes_whole_or_not_at_all(store: Store) -> None:
    log = make_log(store)
    log.append(batch(b"x" * 1000), now_ms=NOW_MS)
    log.append(batch(b"y"), now_ms=NOW_MS)
    assert bases(log.read(0, 10, upto_offset=2, at_least_one=True)) == [0]
    assert log.read(0, 10, upto_offset=2, at_least_one=False) is None


def test_the_ends_of_the_log(store: Store) -> None:
    log = make_log(store)
    assert log.read(0, 100, upto_offset=0) is None
    log.append(batch(), now_ms=NOW_MS)
    assert log.read(1, 100, upto_offset=1) is None
    assert log.read(1, 100, upto_offset=10) is None
    for offset in (-1, 2):
        with pytest.raises(KafkaError) as caught:
            log.read(offset, 100, upto_offset=1)
        assert caught.value.code is ErrorCode.OFFSET_OUT_OF_RANGE


def test_nothing_below_the_log_start_is_served(store: Store) -> None:
    log = filled(store)
    log.advance_log_start(7)
    with pytest.raises(KafkaError) as caught:
        log.read(6, 100, upto_offset=log.log_end_offset)
    assert caught.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
    assert offsets(log)[0] == 7
    with pytest.raises(KafkaError):
        log.advance_log_start(log.log_end_offset + 1)


def test_offsets_that_compaction_removed_lead_to_the_next_batch(store: Store) -> None:
    from tests.support.logs import altered

    log = make_log(store)
    log.append_verbatim(altered(batch(b"a"), base_offset=10))
    log.append_verbatim(altered(batch(b"b"), base_offset=20))
    assert bases(log.read(11, 100, upto_offset=21)) == [20]
    assert bases(log.read(0, 1, upto_offset=21)) == [10]


def test_the_active_segment_is_viewed_and_sealed_ones_are_files(store: Store) -> None:
    log = filled(store)
    last = log.read(log.log_end_offset - 1, 100, upto_offset=log.log_end_offset)
    first = log.read(0, 100, upto_offset=log.log_end_offset)
    assert last is not None
    assert first is not None
    view = last.view()
    assert view is not None
    assert view.readonly
    assert bytes(view) == os.pread(last.fileno(), last.size, last.position) == last.read()
    assert first.view() is None
    assert os.pread(first.fileno(), first.size, first.position) == first.read()


def test_slices_outlive_growth_roll_deletion_and_the_store(data_dir: Path) -> None:
    store = open_store(data_dir)
    log = make_log(store, segment_bytes=200_000)
    log.append(batch(b"first"), now_ms=NOW_MS)
    mapped = log.read(0, 100, upto_offset=1)
    assert mapped is not None
    bytes_before = mapped.read()
    for _ in range(30):
        log.append(batch(b"x" * 10_000), now_ms=NOW_MS)
    assert len(log.segments) > 1
    opened = log.read(0, 100, upto_offset=1)
    assert opened is not None
    assert opened.view() is None
    store.delete("topic")
    store.remove_deleted()
    store.close()
    assert mapped.read() == opened.read() == bytes_before
    assert list(data_dir.glob("topic*")) == []


class ColdFiles(Files):
    """Says that nothing is in memory until it was read."""

    warm = False

    def read_now(self, descriptor: int, size: int, position: int) -> bytearray | None:
        return super().read_now(descriptor, size, position) if self.warm else None

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        self.warm = True
        return super().read(descriptor, size, position)


def test_what_is_not_in_memory_is_not_waited_for(data_dir: Path) -> None:
    files = ColdFiles()
    with open_store(data_dir, files=files) as store:
        log = filled(store)
        end = log.log_end_offset
        expected = log.read(3, 100, upto_offset=end)
        assert expected is not None

        def read_cold() -> NotInMemory:
            with pytest.raises(NotInMemory) as caught:
                log.read(3, 100, upto_offset=end, wait=False)
            return caught.value

        files.warm = False
        cold = read_cold()
        cold.read_ahead()
        found = log.read(3, 100, upto_offset=end, wait=False)
        assert found is not None
        assert found.read() == expected.read()
        log.handles.clear()
        assert read_cold() is not None, "nobody knows of the index"
        last = log.read(end - 1, 100, upto_offset=end, wait=False)
        assert last is not None, "what is being written is in memory"
        log.segments.first.offsets.path.unlink()
        read_cold().read_ahead()
        assert log.failed is None, "the next reading tells"


def test_a_mapped_slice_of_a_deleted_log_can_still_be_sent(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        log = make_log(store)
        log.append(batch(b"x" * 10_000), now_ms=NOW_MS)
        found = log.read(0, 100, upto_offset=1)
        store.delete("topic")
        store.remove_deleted()
        assert found is not None
        assert not found.has_file()
        view = found.view()
        assert view is not None
        assert bytes(view) == found.read()


def test_released_slices_hold_no_descriptor(store: Store) -> None:
    log = filled(store)
    count = len(os.listdir("/proc/self/fd"))
    found = log.read(0, 100, upto_offset=10)
    assert found is not None
    found.fileno()
    log.handles.clear()
    assert len(os.listdir("/proc/self/fd")) <= count
    found.release()
    found.release()
    assert len(os.listdir("/proc/self/fd")) < count


def test_a_closed_store_leaves_no_descriptor(data_dir: Path) -> None:
    gc.collect()  # what the garbage of earlier tests holds does not count
    count = len(os.listdir("/proc/self/fd"))
    with open_store(data_dir) as store:
        filled(store)
        assert len(os.listdir("/proc/self/fd")) > count
    del store
    assert len(os.listdir("/proc/self/fd")) == count


def test_few_handles_serve_many_segments(data_dir: Path) -> None:
    with open_store(data_dir) as store:
        store._handles._limit = 3
        log = filled(store)
        assert offsets(log) == list(range(log.log_end_offset))
        assert len(log.handles) <= 3


def test_records_and_batches_are_iterated_from_an_offset(store: Store) -> None:
    log = filled(store)
    end = log.log_end_offset
    assert offsets(log, 33) == list(range(33, end))
    assert [header.base_offset for header in log.batches(33)] == list(range(32, end, 2))
    assert offsets(log, end) == []


def test_damage_under_a_read_is_an_error_with_a_place(store: Store) -> None:
    log = filled(store)
    path = log.segments[0].path
    found = log.segments[0].find(4)
    assert found is not None
    with path.open("r+b") as file:
        file.seek(found[0])
        file.write(bytes(64))
    with pytest.raises(KafkaError) as caught:
        log.read(5, 100, upto_offset=log.log_end_offset)
    assert caught.value.code is ErrorCode.CORRUPT_MESSAGE
    assert str(path) in caught.value.message
