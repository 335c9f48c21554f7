"""The two indexes of a segment: from an offset, or a timestamp, to a place in its file.

An index is a run of entries in a file and, for the active segment, the newest of them in memory
(`_native.index.IndexTail`). `spill` moves whole pages of them to the file, `finish` all; so an
index file needs no map, no preallocation and no trimming, and after a crash it is simply short.
Nobody trusts it then: recovery builds it again. Where recovery finds no room for that, the rest of
the entries stays in memory until `finish`, and the file has a size that no index has: the next
start builds it anew, if it comes before.

A lookup is one native search over both. It sees the file through a map, which the handle of the
file keeps: as long as a segment is in use it costs no system call, and a cold one has no map. Used
by the thread of the log; sources: Kafka's AbstractIndex, OffsetIndex, TimeIndex.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kstore._native.index import (
    IndexTail,
    find_offset,
    find_position,
    find_time,
    find_time_offset,
)
from kstore._native.segment import SegmentWriter
from kstore.errors import CorruptLogError
from kstore.log.files import TEMPORARY_ERRNOS
from kstore.log.handles import Handle, Handles
from kstore.log.names import INDEX, TIME_INDEX, file_name

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["OffsetIndex", "TimeEntry", "TimeIndex"]

logger = logging.getLogger("kstore.log")

_PAGE_SIZE = 4096
_READ_AHEAD_SIZE = 1 << 20


class TimeEntry(NamedTuple):
    """The largest timestamp up to the batch that ends at `offset`."""

    timestamp_ms: int
    offset: int


class _Index:
    """What both have in common: entries in a file, entries in memory, and a search over both.

    `_file_count` is the number of entries in the file, -1 while nobody has looked; `_entries` is
    the map of them while there is a tail too. The path is made when it is asked for: most indexes
    of a large store are never read.
    """

    __slots__ = (
        "_directory",
        "_entries",
        "_file_count",
        "_handles",
        "_is_damaged",
        "_mark",
        "_path",
        "base_offset",
        "tail",
    )

    entry_size = 0
    suffix = ""

    def __init__(
        self, handles: Handles, directory: Path, base_offset: int, tail: IndexTail | None
    ) -> None:
        self.base_offset = base_offset
        self.moved(directory, "")
        self.tail = tail
        self._handles = handles
        self._file_count = -1
        self._entries: Buffer | None = None
        self._is_damaged = False

    def moved(self, directory: Path, mark: str) -> None:
        """The file is in `directory`, and its name ends in `mark`."""
        self._directory = directory
        self._mark = mark
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        if self._path is None:
            self._path = self._directory / (file_name(self.base_offset, self.suffix) + self._mark)
        return self._path

    def found(self, size: int) -> None:
        """The size of the file, -1 if there is none, from who has looked."""
        whole = size >= 0 and size % self.entry_size == 0
        self._file_count = size // self.entry_size if whole else -1

    @property
    def is_whole(self) -> bool:
        """Is the file there, with a size that an index can have? After `found`."""
        return self._file_count >= 0

    @property
    def file_count(self) -> int:
        if self._file_count < 0:
            size = self._handles.get(self.path).size()
            self._file_count = size // self.entry_size
            if size % self.entry_size:
                raise CorruptLogError(
                    str(self.path), size, f"the size is no multiple of {self.entry_size}"
                )
        return self._file_count

    @property
    def count(self) -> int:
        return self.file_count + (self.tail.count if self.tail is not None else 0)

    def read_entries(self, slot: int, count: int) -> bytes:
        """`count` entries from `slot` on, which may stand in the file or in memory."""
        in_file = max(0, min(count, self.file_count - slot))
        data = b""
        if in_file:
            size = in_file * self.entry_size
            data = self._handles.get(self.path).read(size, slot * self.entry_size)
            if len(data) != size:
                raise CorruptLogError(str(self.path), slot * self.entry_size, "the file is cut")
        if in_file < count and self.tail is not None:
            data += self.tail.read(slot + in_file - self.file_count, count - in_file)
        return data

    def entries(self) -> Buffer:
        """The `file_count` entries of the file, and perhaps more, mapped."""
        if self._entries is not None:
            return self._entries
        size = self.file_count * self.entry_size
        try:
            entries = self._handles.get(self.path).mapped(size) if size else b""
        except ValueError:
            raise CorruptLogError(str(self.path), size, "the file is cut") from None
        if self.tail is not None:
            self._entries = entries
        return entries

    @property
    def is_warm(self) -> bool:
        """Whether the entries were looked at lately, so that they are in memory."""
        return self._file_count == 0 or self._entries is not None or self._handles.has(self.path)

    def read_ahead(self) -> None:
        """Brings the file into memory; for a worker, as it waits for the disk."""
        handle = self._handles.get(self.path)
        for position in range(0, handle.size(), _READ_AHEAD_SIZE):
            handle.read(_READ_AHEAD_SIZE, position)

    def spill(self, *, least_size: int = _PAGE_SIZE) -> None:
        """Moves the entries in memory to the file, once they fill `least_size` bytes."""
        tail = self.tail
        if tail is None or not tail.count or tail.count * self.entry_size < least_size:
            return
        self._write(tail)

    def spill_if_room(self, *, least_size: int = _PAGE_SIZE) -> None:
        """As `spill`, but a full disk is no error: the entries stay in memory."""
        try:
            self.spill(least_size=least_size)
        except OSError as error:
            if error.errno not in TEMPORARY_ERRNOS:
                raise

    def _write(self, tail: IndexTail) -> None:
        handle = self._handles.get(self.path)
        position = self.file_count * self.entry_size
        self._handles.files.write(handle.descriptor, tail.to_bytes(), position)
        self._file_count += tail.count
        self._entries = None
        tail.clear()

    def detach(self) -> None:
        """Lets the tail and the map go."""
        self.tail = self._entries = None

    def finish(self) -> None:
        """Moves all entries to the file: the segment is rolled, synced or closed."""
        self.spill(least_size=0)

    def keep(self, count: int) -> None:
        """Drops all but the first `count` entries."""
        if self.tail is not None:
            self.tail.keep(max(0, count - self.file_count))
        if count < self.file_count:
            handle = self._handles.get(self.path)
            self._handles.files.truncate(handle.descriptor, count * self.entry_size)
            self._file_count = count

    def create(self) -> None:
        """Makes the file, or empties it."""
        files = self._handles.files
        with files.opened(self.path, create=True) as descriptor:
            if files.size(descriptor):
                files.truncate(descriptor, 0)
        self._file_count = 0

    def begin_anew(self, tail: IndexTail) -> None:
        """Forgets all entries; those of `tail` are written over them until `end_anew`.

        A crash in between leaves old and new ones, which nobody trusts then.
        """
        if not self._handles.files.exists(self.path):
            self.create()
        self._file_count = 0
        self.tail = tail

    def end_anew(self) -> None:
        """The index is complete: cuts off what is left of the old one."""
        self.spill_if_room(least_size=0)
        handle = self._handles.get(self.path)
        size = self.file_count * self.entry_size
        if self.tail is not None and self.tail.count:
            size += 1
        else:
            self.detach()
        if handle.size() != size:
            self._handles.files.truncate(handle.descriptor, size)

    def handle(self) -> Handle:
        """The open file, for a sync."""
        return self._handles.get(self.path)

    def _keep_below(self, relative_offset: int, slot: int, at: int) -> None:
        """Drops `slot` if it is exactly for that offset, and all behind it."""
        if slot >= 0:
            entry = self.read_entries(slot, 1)
            if int.from_bytes(entry[at : at + 4], "big", signed=True) == relative_offset:
                slot -= 1
        self.keep(slot + 1)


class OffsetIndex(_Index):
    """Entries (relative offset: the last of a batch, position where that batch begins)."""

    __slots__ = ()

    entry_size = 8
    suffix = INDEX

    def lookup(self, offset: int) -> int:
        """A position at or before the batch that holds `offset`, and close to it."""
        if self._is_damaged:
            return 0
        relative = offset - self.base_offset
        return find_position(self.entries(), self.file_count, self.tail, relative)

    def find_in(self, writer: SegmentWriter, offset: int) -> tuple[int, int]:
        """`writer.find` for the segment that is being written."""
        return writer.find(self.entries(), self._file_count, offset)

    def distrust(self) -> None:
        """The entries were found not to fit the log: nobody is led by them any more."""
        if not self._is_damaged:
            logger.error("the index %s is damaged; its segment is searched without it", self.path)
            self._is_damaged = True

    def last_offset(self) -> int:
        """The offset of the last entry, the base offset if there is none."""
        if not self.count:
            return self.base_offset
        entry = self.read_entries(self.count - 1, 1)
        return self.base_offset + int.from_bytes(entry[:4], "big", signed=True)

    def offset_behind(self, position: int) -> int | None:
        """The offset of the first entry that is for a batch at or behind `position`, or None."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if int.from_bytes(self.read_entries(middle, 1)[4:], "big") < position:
                low = middle + 1
            else:
                high = middle
        if low == self.count:
            return None
        return self.base_offset + int.from_bytes(self.read_entries(low, 1)[:4], "big", signed=True)

    def truncate_to(self, offset: int) -> None:
        """Drops the entries at and above `offset`."""
        relative = offset - self.base_offset
        slot = find_offset(self.entries(), self.file_count, self.tail, relative)
        self._keep_below(relative, slot, 0)


class TimeIndex(_Index):
    """Entries (timestamp in milliseconds, relative offset of the batch that holds it)."""

    __slots__ = ()

    entry_size = 12
    suffix = TIME_INDEX

    def entry(self, slot: int) -> TimeEntry:
        """The entry at `slot`; (-1, base offset) for -1, as Kafka answers for "none"."""
        if slot < 0:
            return TimeEntry(-1, self.base_offset)
        data = self.read_entries(slot, 1)
        return TimeEntry(
            int.from_bytes(data[:8], "big", signed=True),
            self.base_offset + int.from_bytes(data[8:], "big", signed=True),
        )

    def lookup(self, timestamp_ms: int) -> TimeEntry:
        """The last entry whose timestamp is at most `timestamp_ms`."""
        return self.entry(find_time(self.entries(), self.file_count, self.tail, timestamp_ms))

    def last(self) -> TimeEntry:
        return self.entry(self.count - 1)

    def add(self, entry: TimeEntry) -> None:
        """Writes an entry to the file, if its timestamp is news."""
        if entry.timestamp_ms > self.last().timestamp_ms:
            self.finish()
            tail = IndexTail(self.entry_size)
            tail.add_time(entry.timestamp_ms, entry.offset - self.base_offset)
            self._write(tail)

    def truncate_to(self, offset: int) -> None:
        """Drops the entries at and above `offset`."""
        relative = offset - self.base_offset
        slot = find_time_offset(self.entries(), self.file_count, self.tail, relative)
        self._keep_below(relative, slot, 8)
