"""What recovery notes of a segment in its one walk: above all, the producers are the same as if
each batch had been replayed."""

from __future__ import annotations

import random
import struct

import pytest
from crc32c import crc32c

from kstore._native.batch import BAD_CRC, TORN, parse_header, walk
from kstore._native.index import SegmentIndexer
from kstore._native.recovery import SegmentScan
from kstore._native.scan import BACKWARDS, check_run, index_run
from kstore.log.producers import ProducerStates
from kstore.log.records import ControlType, EndTransactionMarker, build_end_transaction_marker
from tests.support.logs import NOW_MS, altered, batch


def scanned(data: bytes, *, piece: int = 1 << 30, base_offset: int = 0) -> SegmentScan:
    scan = SegmentScan(SegmentIndexer(base_offset, 100))
    while scan.position < len(data):
        before = scan.position
        scan.check(data[before : before + piece])
        assert scan.position > before
    return scan


def replayed(data: bytes, positions: list[int] | None = None) -> ProducerStates:
    """The producers, by all batches or by those at some positions."""
    states = ProducerStates()
    for header in walk(data):
        if positions is None or header.position in positions:
            end = header.position + header.size
            states.replay(parse_header(data[header.position : end]), data[header.position : end])
    return states


def known(states: ProducerStates) -> tuple[object, ...]:
    entries = sorted(states.active(), key=lambda entry: entry.producer_id)
    return entries, states.transactions.first_undecided()


def random_log(seed: int, count: int) -> bytes:
    """Batches and transactions of a few producers, some of which come back with new epochs."""
    choice = random.Random(seed)
    epochs = dict.fromkeys(range(1, 5), 0)
    in_transaction: set[int] = set()
    sequences = dict.fromkeys(epochs, 0)
    parts = []
    for offset in range(count):
        producer = choice.choice([*epochs, None, None])
        if producer is None:
            parts.append(altered(batch(b"v"), base_offset=offset, leader_epoch=offset // 50))
            continue
        if producer in in_transaction and choice.random() < 0.2:
            in_transaction.discard(producer)
            data = build_end_transaction_marker(
                EndTransactionMarker(choice.choice([ControlType.ABORT, ControlType.COMMIT]), 3),
                producer_id=producer,
                producer_epoch=epochs[producer],
                timestamp_ms=NOW_MS + offset,
            )
            parts.append(altered(data, base_offset=offset))
            continue
        if producer not in in_transaction and choice.random() < 0.1:
            epochs[producer] += 1
            sequences[producer] = 0
        if choice.random() < 0.3:
            in_transaction.add(producer)
        parts.append(
            altered(
                batch(b"v", timestamp_ms=NOW_MS + offset),
                base_offset=offset,
                attributes=0x10 if producer in in_transaction else 0,
                producer_id=producer,
                producer_epoch=epochs[producer],
                base_sequence=sequences[producer],
                leader_epoch=offset // 50,
            )
        )
        sequences[producer] += 1
    return b"".join(parts)


@pytest.mark.parametrize("seed", range(20))
def test_the_batches_that_are_kept_tell_as_much_as_all(seed: int) -> None:
    data = random_log(seed, 300)
    batches = scanned(data, piece=700).producer_batches()
    assert batches is not None
    assert len(batches) < 250
    positions = [header.position for header in batches]
    assert positions == sorted(positions)
    assert known(replayed(data, positions)) == known(replayed(data))


def test_it_is_one_walk_for_all() -> None:
    data = random_log(1, 300)
    scan = scanned(data)
    indexer = SegmentIndexer(0, 100)
    size, next_offset, fault = check_run(data, 0, 0)
    epochs = index_run(data, size, 0, indexer, -1)
    assert (scan.position, scan.next_offset, fault) == (len(data), next_offset, 0)
    assert scan.epochs == epochs
    assert scan.indexer.offsets.to_bytes() == indexer.offsets.to_bytes()
    assert scan.indexer.times.to_bytes() == indexer.times.to_bytes()


def test_where_it_ends() -> None:
    one, two = altered(batch(b"a"), base_offset=10), altered(batch(b"b"), base_offset=11)

    def fault(data: bytes) -> tuple[int, int, int]:
        scan = SegmentScan(SegmentIndexer(10, 100))
        found = scan.check(data)
        return found, scan.position, scan.next_offset

    assert fault(b"") == (0, 0, 10)
    assert fault(one + two) == (0, len(one + two), 12)
    assert fault(one + two[:-1]) == (TORN, len(one), 11)
    assert fault(one + two[:-1] + b"?") == (BAD_CRC, len(one), 11)
    assert fault(one + one) == (BACKWARDS, len(one), 11)
    assert fault(altered(batch(b"a"), base_offset=9)) == (BACKWARDS, 0, 10)
    scan = SegmentScan(SegmentIndexer(10, 100))
    assert scan.take(parse_header(two)) == 0
    assert scan.take(parse_header(one)) == BACKWARDS
    assert (scan.position, scan.next_offset) == (len(two), 12)


def test_more_producers_than_can_be_kept() -> None:
    """65,536 batches, each of another producer: who wants to know has to read them again."""
    made = bytearray(batch(b"", producer_id=1, producer_epoch=0, base_sequence=0))
    parts = []
    for number in range(65_537):
        struct.pack_into(">q", made, 0, number)
        struct.pack_into(">q", made, 43, number % 65_536)
        struct.pack_into(">I", made, 17, crc32c(memoryview(made)[21:]))
        parts.append(bytes(made))
    assert scanned(b"".join(parts)).producer_batches() is None
    many = b"".join(parts[:65_536])
    batches = scanned(many).producer_batches()
    assert batches is not None
    assert len(batches) == 65_536


def test_many_batches_of_one_producer_are_thinned_out_on_the_way() -> None:
    made = bytearray(batch(b"", producer_id=1, producer_epoch=0, base_sequence=0))
    parts = []
    for number in range(70_000):
        struct.pack_into(">q", made, 0, number)
        struct.pack_into(">i", made, 53, number)
        struct.pack_into(">I", made, 17, crc32c(memoryview(made)[21:]))
        parts.append(bytes(made))
    batches = scanned(b"".join(parts)).producer_batches()
    assert batches is not None
    assert [header.base_offset for header in batches] == list(range(69_995, 70_000))
