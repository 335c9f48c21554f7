"""What a fetch gives: whole batches, a cut one at the end, bytes that are none."""

from __future__ import annotations

import pytest

from kstore.cli.bench.fetch import whole_batches
from kstore.cli.errors import CommandError
from kstore.log.records import build_batch

FIRST = build_batch([(None, b"a")] * 3, base_offset=10)
SECOND = build_batch([(None, b"b")] * 2, base_offset=13)


def test_whole_batches_count_and_a_cut_one_does_not() -> None:
    assert whole_batches(FIRST + SECOND, 0, 10) == (len(FIRST + SECOND), 15)
    assert whole_batches(FIRST + SECOND[:-1], 0, 10) == (len(FIRST), 13)
    assert whole_batches(FIRST[:-1], 0, 10) == (0, 10)


def test_damage_is_one_line() -> None:
    damaged = FIRST[:-1] + b"x"
    with pytest.raises(CommandError, match="partition 4: what was fetched at offset 10 is not s"):
        whole_batches(damaged, 4, 10)
