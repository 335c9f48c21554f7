"""The transaction index of a segment: which transactions were aborted by a marker in it.

    version int16 = 0 | producer_id int64 | first_offset int64 | last_offset int64 |
    last_stable_offset int64

One entry of 34 bytes per aborted transaction, in the segment that holds the marker, in the order of
the markers; the file is made with the first one. `Segment.last_aborted` spares most readers a look
into it. Source: Kafka's TransactionIndex, AbortedTxn.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from kstore.errors import CorruptLogError
from kstore.log.files import Files
from kstore.log.handles import Handle
from kstore.log.producers import CompletedTransaction
from kstore.log.segment import NONE_ABORTED, Segment
from kstore.log.state import LogState

__all__ = [
    "ENTRY_SIZE",
    "AbortedTransaction",
    "aborted_from",
    "drop_aborted",
    "encode_aborted",
    "note_aborted",
    "read_aborted",
]

_ENTRY = struct.Struct(">hqqqq")
ENTRY_SIZE = _ENTRY.size
_FIRST_COUNT = 4  # read at a time: most readers need one or two
_MOST_COUNT = 1024


class AbortedTransaction(NamedTuple):
    """An entry: `last_offset` is that of the marker."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


def read_aborted(files: Files, path: Path) -> list[AbortedTransaction]:
    """The entries of a file that may be missing. Raises OSError, CorruptLogError."""
    data = files.read_file(path) or b""
    _check_size(path, len(data))
    return list(_decode(path, data))


def encode_aborted(transactions: Iterable[AbortedTransaction]) -> bytes:
    """The bytes of a file with these entries."""
    return b"".join(_ENTRY.pack(0, *transaction) for transaction in transactions)


def note_aborted(log: LogState, segment: Segment, transaction: CompletedTransaction) -> None:
    """Adds an aborted transaction whose marker stands in `segment`; all of it, or nothing.

    Raises OSError.
    """
    entry = _ENTRY.pack(
        0,
        transaction.producer_id,
        transaction.first_offset,
        transaction.last_offset,
        transaction.last_stable_offset,
    )
    files = log.files
    with files.opened(segment.paths()[3], create=True) as descriptor:
        size = files.size(descriptor)
        try:
            files.write(descriptor, entry, size)
        except OSError:
            files.truncate(descriptor, size)
            raise
    segment.last_aborted = transaction.last_offset
    log.has_aborted = True


def drop_aborted(log: LogState, segment: Segment, offset: int) -> None:
    """Drops the transactions whose markers are no longer in the log, which ends at `offset`.

    Raises OSError, CorruptLogError.
    """
    path = segment.paths()[3]
    found = read_aborted(log.files, path)
    kept = [transaction for transaction in found if transaction.last_offset < offset]
    if len(kept) < len(found):
        with log.files.opened(path) as descriptor:
            log.files.truncate(descriptor, len(kept) * ENTRY_SIZE)
    segment.last_aborted = kept[-1].last_offset if kept else NONE_ABORTED


def aborted_from(log: LogState, segment: Segment, offset: int) -> Iterator[AbortedTransaction]:
    """The transactions of `segment` whose markers are at or above `offset`.

    Raises OSError, CorruptLogError.
    """
    last = segment.last_aborted
    if last is not None and last < offset:
        return
    path = segment.paths()[3]
    if last is None and not log.files.exists(path):
        segment.last_aborted = NONE_ABORTED
        return
    entries = _Entries(log.handles.get(path), path)
    if last is None:
        segment.last_aborted = entries[len(entries) - 1].last_offset if entries else NONE_ABORTED
    slot = bisect_left(entries, offset, key=attrgetter("last_offset"))
    count = _FIRST_COUNT
    while slot < len(entries):
        yield from entries.read(slot, count)
        slot += count
        count = min(4 * count, _MOST_COUNT)


class _Entries:
    """The entries of an open file, read as they are asked for."""

    def __init__(self, handle: Handle, path: Path) -> None:
        self._handle = handle
        self._path = path
        size = handle.size()
        _check_size(path, size)
        self._count = size // ENTRY_SIZE

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, slot: int) -> AbortedTransaction:
        return self.read(slot, 1)[0]

    def read(self, slot: int, count: int) -> list[AbortedTransaction]:
        count = min(count, self._count - slot)
        data = self._handle.read(count * ENTRY_SIZE, slot * ENTRY_SIZE)
        if len(data) != count * ENTRY_SIZE:
            raise CorruptLogError(str(self._path), slot * ENTRY_SIZE, "the file is cut")
        return list(_decode(self._path, data))


def _check_size(path: Path, size: int) -> None:
    if size % ENTRY_SIZE:
        raise CorruptLogError(str(path), size, f"the size is no multiple of {ENTRY_SIZE}")


def _decode(path: Path, data: bytes) -> Iterator[AbortedTransaction]:
    for number, (version, *fields) in enumerate(_ENTRY.iter_unpack(data)):
        if version != 0:
            raise CorruptLogError(str(path), number * ENTRY_SIZE, f"version {version}")
        yield AbortedTransaction(*fields)
