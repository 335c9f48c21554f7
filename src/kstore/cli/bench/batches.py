"""The batches that a load sends: made once, before the clock runs, from a seed.

Values are random words of letters, so that codecs find something to do but not too much: zstd
leaves about a third of them. Every batch of a set holds the same number of records.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from kstore.cli.bench.workloads import Load
from kstore.log.records import build_batch

__all__ = ["Batch", "Values", "make_batches", "make_rest", "records_per_batch"]

# Bytes of all different batches of a set together: more would leave the processor's cache.
_SET_SIZE = 8 << 20
_MAX_COUNT = 16

# What surrounds a value without key and headers, at most, and what surrounds the records.
_RECORD_OVERHEAD_SIZE = 20
_BATCH_OVERHEAD_SIZE = 61

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD_COUNT = 4096
_WORD_SIZE = 3  # the shortest
_TEXT_SIZE = 2 << 20


@dataclass(frozen=True, slots=True)
class Batch:
    """An encoded record batch and how many records it holds."""

    data: bytes
    record_count: int


def records_per_batch(load: Load) -> int:
    """How many records fit into `batch_size`, and at least one."""
    room = load.batch_size - _BATCH_OVERHEAD_SIZE
    return max(1, room // (load.record_size + _RECORD_OVERHEAD_SIZE))


class Values:
    """Values of `record_size` bytes, cut out of one `text` that is made from a seed."""

    def __init__(self, load: Load, seed: int, total_size: int) -> None:
        """`total_size`: about how many bytes of values will be wanted."""
        self._size = load.record_size
        self._chance = random.Random(seed)
        words = ["".join(self._chance.choices(_LETTERS, k=3 + n % 7)) for n in range(_WORD_COUNT)]
        size = max(2 * self._size, min(total_size, _TEXT_SIZE))
        text = " ".join(self._chance.choices(words, k=size // _WORD_SIZE + 1))
        self.text = text.encode()

    def take(self, count: int) -> list[bytes]:
        last = len(self.text) - self._size
        starts = [self._chance.randrange(last) for _ in range(count)]
        return [self.text[start : start + self._size] for start in starts]


def _make_batch(load: Load, values: list[bytes]) -> Batch:
    """A batch of these values, of the current time."""
    data = build_batch(
        [(None, value) for value in values],
        compression=load.compression_type,
        timestamp_ms=time.time_ns() // 1_000_000,
    )
    return Batch(data, len(values))


def make_batches(load: Load, seed: int) -> list[Batch]:
    """The batches to send in turn."""
    count = records_per_batch(load)
    set_count = min(_MAX_COUNT, max(2, _SET_SIZE // (count * load.record_size)))
    values = Values(load, seed, set_count * count * load.record_size)
    return [_make_batch(load, values.take(count)) for _ in range(set_count)]


def make_rest(load: Load, seed: int, record_count: int) -> Batch:
    """A batch of fewer records, for the end of a run of so many."""
    values = Values(load, seed, record_count * load.record_size)
    return _make_batch(load, values.take(record_count))
