"""Records with keys, as a compacted topic gets them: from a seed, as columns.

`overwrite_ratio` of all records have a key that came before, the others are the first of theirs; so
`keys` keys make keys / (1 - overwrite_ratio) records. Which key is written again is a uniform
choice among those that are there, or Zipf's: the n-th of them 1/n as often as the first. Of these
records `tombstone_share` have no value. Loads numpy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from kstore.cli.bench.batches import Values
from kstore.cli.bench.workloads import Load
from kstore.log.columns import BinaryColumn

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KEY_SIZE", "KeyedRecords"]

KEY_SIZE = 16
_DIGITS = 10 ** np.arange(KEY_SIZE - 1, -1, -1, dtype=np.int64)
_TEXT_SIZE = 2 << 20


class KeyedRecords:
    """All records of a load, in chunks; `count` of them."""

    def __init__(self, load: Load, seed: int) -> None:
        self.count = max(1, round(load.keys / (1 - load.overwrite_ratio)))
        self._load = load
        self._chance = np.random.default_rng(seed)
        self._text = Values(load, seed, _TEXT_SIZE).text
        self._known = 0

    def chunks(self, largest: int) -> Iterator[tuple[BinaryColumn, BinaryColumn]]:
        """(keys, values) of at most `largest` records at a time."""
        for start in range(0, self.count, largest):
            yield self._chunk(start, min(largest, self.count - start))

    def _chunk(self, start: int, count: int) -> tuple[BinaryColumn, BinaryColumn]:
        load, chance = self._load, self._chance
        fresh = self._first_ones(self.count - start, count)
        known = self._known + np.cumsum(fresh)
        self._known = int(known[-1])
        numbers = np.where(fresh, known - 1, self._choice(known))
        digits = (numbers[:, None] // _DIGITS % 10 + ord("0")).astype(np.uint8)
        sizes = np.full(count, load.record_size, np.int64)
        sizes[(chance.random(count) < load.tombstone_share) & ~fresh] = -1
        starts = chance.integers(0, len(self._text) - load.record_size, count)
        return (
            BinaryColumn(
                digits.reshape(-1).data,
                np.arange(count, dtype=np.int64) * KEY_SIZE,
                np.full(count, KEY_SIZE, np.int64),
            ),
            BinaryColumn(self._text, starts, sizes),
        )

    def _first_ones(self, left: int, count: int) -> NDArray[np.bool_]:
        """Which of the next records are the first of their keys: as many as are still wanted,
        evenly among all that are left; the very first record is one."""
        wanted = self._load.keys - self._known
        some = int(self._chance.hypergeometric(wanted, left - wanted, count))
        order = self._chance.permutation(count)
        fresh = np.zeros(count, np.bool_)
        if not self._known:
            fresh[0] = True
            some -= 1
            order = order[order > 0]
        fresh[order[: max(some, 0)]] = True
        return fresh

    def _choice(self, known: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each record one of the keys that are known by then."""
        share = self._chance.random(len(known))
        if self._load.distribution == "zipf":
            return (known.astype(np.float64) ** share).astype(np.int64) - 1
        return (known * share).astype(np.int64)
