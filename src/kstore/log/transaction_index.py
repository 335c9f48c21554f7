"""The transaction index of a segment: which transactions were aborted by a marker in it.

    version int16 = 0 | producer_id int64 | first_offset int64 | last_offset int64 |
    last_stable_offset int64

One entry of 34 bytes per aborted transaction, in the segment that holds the marker; the file is
made with the first one. Source: Kafka's TransactionIndex, AbortedTxn.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kstore.errors import CorruptLogError
from kstore.log.files import Files
from kstore.log.names import TRANSACTION_INDEX, file_name
from kstore.log.producers import CompletedTransaction
from kstore.log.segment import Segment

__all__ = [
    "ENTRY_SIZE",
    "AbortedTransaction",
    "encode_aborted",
    "note_aborted",
    "read_aborted",
]

_ENTRY = struct.Struct(">hqqqq")
ENTRY_SIZE = _ENTRY.size


class AbortedTransaction(NamedTuple):
    """An entry: `last_offset` is that of the marker."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable_offset: int


def read_aborted(files: Files, path: Path) -> list[AbortedTransaction]:
    """The entries of a file that may be missing. Raises OSError, CorruptLogError."""
    data = files.read_file(path) or b""
    if len(data) % ENTRY_SIZE:
        raise CorruptLogError(str(path), len(data), f"the size is no multiple of {ENTRY_SIZE}")
    found = []
    for number, (version, *fields) in enumerate(_ENTRY.iter_unpack(data)):
        if version != 0:
            raise CorruptLogError(str(path), number * ENTRY_SIZE, f"version {version}")
        found.append(AbortedTransaction(*fields))
    return found


def encode_aborted(transactions: Iterable[AbortedTransaction]) -> bytes:
    """The bytes of a file with these entries."""
    return b"".join(_ENTRY.pack(0, *transaction) for transaction in transactions)


def note_aborted(files: Files, segment: Segment, transaction: CompletedTransaction) -> None:
    """Adds an aborted transaction whose marker stands in `segment`. Raises OSError."""
    entry = _ENTRY.pack(
        0,
        transaction.producer_id,
        transaction.first_offset,
        transaction.last_offset,
        transaction.last_stable_offset,
    )
    path = segment.directory / file_name(segment.base_offset, TRANSACTION_INDEX)
    with files.opened(path, create=True) as descriptor:
        files.write(descriptor, entry, files.size(descriptor))
