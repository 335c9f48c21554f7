"""The transaction index of a segment: which transactions were aborted by a marker in it.

    version int16 = 0 | producer_id int64 | first_offset int64 | last_offset int64 |
    last_stable_offset int64

One entry of 34 bytes per aborted transaction, in the segment that holds the marker; the file is
made with the first one. Source: Kafka's TransactionIndex, AbortedTxn.
"""

from __future__ import annotations

import struct

from kstore.log.files import Files
from kstore.log.names import TRANSACTION_INDEX, file_name
from kstore.log.producers import CompletedTransaction
from kstore.log.segment import Segment

__all__ = ["ENTRY_SIZE", "note_aborted"]

_ENTRY = struct.Struct(">hqqqq")
ENTRY_SIZE = _ENTRY.size


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
