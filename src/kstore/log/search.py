"""Finding a batch in the file of a segment, with the help of its index.

The index says where to begin, and headers are read from there on. It is a help, not the truth: an
entry that leads to no batch, or behind what is looked for, is damaged; then the file is gone
through from its start, and the index of that segment is asked no more. Runs on the thread of the
log; `NotInMemory.read_ahead` in a worker.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from kstore._native.scan import find_batch
from kstore.errors import CorruptLogError
from kstore.log.handles import Handle

if TYPE_CHECKING:
    from kstore.log.segment import Segment

__all__ = ["SCAN_SIZE", "NotInMemory", "find_in_file", "position_near", "search"]

SCAN_SIZE = 16 << 10  # read at a time while looking for a batch: the index points close to it

_Find = Callable[[bytes | bytearray, int, int, int], tuple[int, int]]


class NotInMemory(Exception):
    """What is to be read has to come from the disk first: let a worker call `read_ahead`."""

    def __init__(self, segment: Segment, offset: int) -> None:
        super().__init__(f"offset {offset} of {segment.path}")
        self._segment = segment
        self._offset = offset

    def read_ahead(self) -> None:
        """Waits for the disk. What goes wrong is for the next reading to tell."""
        with suppress(OSError, CorruptLogError):
            self._segment.read_ahead(self._offset)


def position_near(segment: Segment, offset: int) -> int:
    """A position at or before the batch that holds `offset`, as the index has it."""
    position = segment.offsets.lookup(offset)
    if position and not 0 < position < segment.size:
        segment.offsets.distrust()
        return 0
    return position


def find_in_file(
    segment: Segment, handle: Handle, offset: int, *, wait: bool
) -> tuple[int, int] | None:
    """(position, size) of the batch that holds `offset`, or of the first one after it.

    Raises OSError, CorruptLogError, NotInMemory without `wait`.
    """
    position = position_near(segment, offset)
    try:
        found = search(segment, handle, find_batch, offset, position, wait=wait)
        # Where the search began is the batch that holds `offset`, or others may stand before it.
        if not position or found is None or found[0] > position or _holds(segment, found, offset):
            return found
    except CorruptLogError:
        if not position:
            raise
    segment.offsets.distrust()
    return search(segment, handle, find_batch, offset, 0, wait=wait)


def _holds(segment: Segment, batch: tuple[int, int], offset: int) -> bool:
    return next(segment.headers(batch[0])).base_offset <= offset


def search(
    segment: Segment,
    handle: Handle,
    find: _Find,
    target: int,
    position: int,
    *,
    wait: bool = True,
) -> tuple[int, int] | None:
    """What `find` finds from `position`, a batch's begin, on. Raises as `find_in_file`."""
    end = segment.size
    while position < end:
        wanted = min(SCAN_SIZE, end - position)
        data = handle.read(wanted, position) if wait else handle.read_now(wanted, position)
        if data is None:
            raise NotInMemory(segment, target)
        at, size = find(data, 0, len(data), target)
        if size > 0:
            return position + at, size
        if size < 0 or at == 0 or len(data) < wanted:
            reason = "no batch begins here" if len(data) == wanted else "the file is cut"
            raise CorruptLogError(str(segment.path), position + at, reason)
        position += at
    return None
