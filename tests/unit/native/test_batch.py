"""Headers of batches, and what is said about bytes that are none."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import crc32c
import pytest

from kstore._native import batch as native
from kstore._native.batch import (
    BAD_CRC,
    BAD_LENGTH,
    BAD_MAGIC,
    HEADER_SIZE,
    OLD_MAGIC,
    TORN,
    BatchError,
    check_batch,
    parse_header,
    walk,
)
from kstore.log.records import iterate_records
from tests.support.logs import altered, batch

FIELDS = {
    "base_offset": 1 << 40,
    "leader_epoch": 77,
    "attributes": 0x7C,
    "last_offset_delta": 5,
    "base_timestamp": 1_700_000_000_000,
    "max_timestamp": 1_700_000_000_099,
    "producer_id": 1 << 50,
    "producer_epoch": 321,
    "base_sequence": 2**31 - 3,
    "record_count": 4,
}


def test_every_field() -> None:
    header = check_batch(altered(batch(), **FIELDS))
    for name, value in FIELDS.items():
        assert getattr(header, name) == value
    assert header.magic == 2
    assert header.last_offset == (1 << 40) + 5
    assert header.last_sequence == 2, "sequences wrap to 0"
    assert header.codec == 4
    assert header.is_log_append_time
    assert header.is_transactional
    assert header.is_control
    assert header.has_delete_horizon
    assert header.size == len(batch())
    assert "offsets 1099511627776..1099511627781" in repr(header)


def test_negative_fields() -> None:
    header = check_batch(batch())
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (-1, -1, -1)
    assert header.last_sequence == -1
    assert header.leader_epoch == -1
    for flag in ("is_log_append_time", "is_transactional", "is_control", "has_delete_horizon"):
        assert not getattr(header, flag)


def test_headers_are_read_only() -> None:
    header = check_batch(batch())
    with pytest.raises(AttributeError):
        header.base_offset = 1  # type: ignore[misc]
    with pytest.raises(AttributeError):
        header.position = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"batch_length": 13}, BAD_LENGTH),
        ({"batch_length": -1}, BAD_LENGTH),
        ({"batch_length": -(2**31)}, BAD_LENGTH),
        ({"batch_length": 48}, BAD_LENGTH),
        ({"batch_length": 2**31 - 1}, TORN),
        ({"magic": 0}, OLD_MAGIC),
        ({"magic": 1}, OLD_MAGIC),
        ({"magic": 3}, BAD_MAGIC),
        ({"magic": -1}, BAD_MAGIC),
        ({"crc": 0}, BAD_CRC),
    ],
)
def test_faults(changes: dict[str, int], fault: int) -> None:
    data = altered(batch(), fix_crc=False, **changes)
    with pytest.raises(BatchError) as caught:
        check_batch(b"junk" + data, 4)
    assert (caught.value.position, caught.value.fault) == (4, fault)
    assert caught.value.reason in str(caught.value)


def test_the_crc_may_be_left_unchecked() -> None:
    data = altered(batch(), crc=0)
    assert check_batch(data, crc=False).crc == 0
    assert len(list(walk(data * 2, crc=False))) == 2


def test_a_header_alone() -> None:
    header = parse_header(b"x" + batch()[:HEADER_SIZE], 1)
    assert (header.position, header.size) == (1, len(batch()))
    for position in (-1, 1, 1 << 40):
        with pytest.raises(BatchError) as caught:
            parse_header(batch()[:HEADER_SIZE], position)
        assert caught.value.fault == TORN
    with pytest.raises(BatchError):
        parse_header(altered(batch(), magic=1))
    with pytest.raises(BatchError):
        parse_header(altered(batch(), batch_length=48, fix_crc=False))


def test_positions_outside_the_bytes() -> None:
    for position in (-1, len(batch()) + 1, 1 << 62):
        with pytest.raises(BatchError):
            check_batch(batch(), position)


def test_a_walk() -> None:
    data = b"".join(batch(b"x" * size) for size in range(20))
    headers = list(walk(memoryview(data)))
    assert len(headers) == 20
    assert headers[0].position == 0
    for one, two in pairwise(headers):
        assert two.position == one.position + one.size
    assert [header.position for header in walk(data, headers[5].position)] == [
        header.position for header in headers[5:]
    ]
    torn = walk(data[:-1])
    for header in headers[:-1]:
        assert next(torn).position == header.position
    with pytest.raises(BatchError):
        next(torn)


def test_offsets_beyond_all_bounds_wrap_as_in_java() -> None:
    header = check_batch(altered(batch(), base_offset=2**63 - 1, last_offset_delta=5))
    assert header.last_offset == -(2**63) + 4
    data = altered(batch(b"a", b"b"), base_offset=2**63 - 1)
    assert [record.offset for record in iterate_records(data, from_offset=-(2**63))] == [
        2**63 - 1,
        -(2**63),
    ]


def test_only_bytes_are_read() -> None:
    with pytest.raises(TypeError):
        check_batch("text")  # type: ignore[arg-type]


def test_the_crc_is_that_of_another_library() -> None:
    """Every size around the blocks it is taken in, at every alignment, both ways to make it."""
    choose = Random(20)
    data = choose.randbytes(24_000)
    sizes = [*range(420), *range(3060, 3090), *(choose.randrange(20_000) for _ in range(200))]
    for number, size in enumerate(sizes):
        start = number % 16
        part = memoryview(data)[start : start + size]
        expected = crc32c.crc32c(part)
        assert native.crc32c(part) == expected, (start, size)
        assert native.crc32c(part, portable=True) == expected, (start, size)
