"""Are a segment's indexes true? Their entries are held against the batches as these go by.

Each checker is told of every batch in order (`visit`) and at the end (`finish`), and reads its file
at the same pace, so memory stays bounded. An entry that contradicts the one before it is reported
and passed over. Where the log was not closed cleanly, an index may end in zeros: Kafka makes its
files long and trims them when it closes them.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kstore.log.faults import Faults
from kstore.log.files import Files
from kstore.log.walk import OFFSET_ENTRY, TIME_ENTRY, FileBatch, entries, file_size

__all__ = ["OffsetEntries", "TimeEntries"]


class _Entries(ABC):
    """The entries of one index, one at a time: `at` is the place of the current one in the file,
    `first` and `second` its fields; `at` is -1 behind the last one."""

    entry: struct.Struct

    def __init__(self, files: Files, path: Path, faults: Faults, *, closed: bool) -> None:
        self.path = path
        self.faults = faults
        self.at = -1
        self.first = self.second = -1
        self._closed = closed
        self._entries = entries(files, path, self.entry)
        self._size = file_size(files, path)
        ragged = self._size % self.entry.size
        if ragged:
            self.fault(self._size - ragged, f"the size is no multiple of {self.entry.size}")
        self.advance()

    @abstractmethod
    def rises(self, first: int, second: int) -> bool:
        """May an entry with these fields follow the current one?"""

    def advance(self) -> None:
        """Moves to the next entry that may follow the current one."""
        for at, (first, second) in self._entries:
            if not (first or second) and not self._closed:
                self._pass_zeros(self._entries)
                break
            if self.rises(first, second):
                self.at, self.first, self.second = at, first, second
                return
            self.fault(at, "the entry does not rise above the one before it")
        self.at = -1

    def _pass_zeros(self, rest: Iterator[tuple[int, tuple[Any, ...]]]) -> None:
        for at, fields in rest:
            if any(fields):
                self.fault(at, "an entry stands behind zeros")
                return

    def fault(self, at: int, reason: str) -> None:
        self.faults.add(self.path, at, reason)

    def close(self) -> None:
        """Lets go of the file."""
        self._entries.close()


class OffsetEntries(_Entries):
    """`.index`: an entry names the last offset and the position of a batch."""

    entry = OFFSET_ENTRY

    def __init__(
        self, files: Files, path: Path, faults: Faults, *, closed: bool, base_offset: int
    ) -> None:
        self._base_offset = base_offset
        super().__init__(files, path, faults, closed=closed)

    def rises(self, first: int, second: int) -> bool:
        return first > self.first and second > self.second and first >= 0

    def visit(self, batch: FileBatch) -> None:
        while self.at >= 0 and self.second < batch.position:
            self._points_nowhere()
        if self.at >= 0 and self.second == batch.position:
            offset = self._base_offset + self.first
            if batch.is_sound and offset != batch.header.last_offset:
                self.fault(
                    self.at,
                    f"the entry says offset {offset}, the batch at position {batch.position} ends "
                    f"at offset {batch.header.last_offset}",
                )
            self.advance()

    def finish(self) -> None:
        while self.at >= 0:
            self._points_nowhere()

    def _points_nowhere(self) -> None:
        self.fault(self.at, f"no batch begins at position {self.second}, where the entry points")
        self.advance()


class TimeEntries(_Entries):
    """`.timeindex`: an entry names the largest timestamp so far and an offset of its batch.

    Kafka writes the last offset of the batch; older versions wrote that of the record itself.
    """

    entry = TIME_ENTRY

    def __init__(
        self, files: Files, path: Path, faults: Faults, *, closed: bool, base_offset: int
    ) -> None:
        self._base_offset = base_offset
        self._indexed = -1  # the largest timestamp in the index so far
        self._largest = -1  # and in the log
        super().__init__(files, path, faults, closed=closed)

    def rises(self, first: int, second: int) -> bool:
        return first > self.first and second >= max(self.second, 0)

    def visit(self, batch: FileBatch) -> None:
        header = batch.header
        while self.at >= 0 and self._base_offset + self.second < header.base_offset:
            self._points_nowhere()
        if batch.is_sound:
            self._largest = max(self._largest, header.max_timestamp)
        if self.at >= 0 and self._base_offset + self.second <= header.last_offset:
            offset = self._base_offset + self.second
            if batch.is_sound and self.first != header.max_timestamp:
                self.fault(
                    self.at,
                    f"the entry says timestamp {self.first}, the batch with offset {offset} has "
                    f"{header.max_timestamp}",
                )
            elif batch.is_sound and self.first < self._largest:
                self.fault(
                    self.at,
                    f"timestamp {self.first} is not the largest up to offset {offset}: that is "
                    f"{self._largest}",
                )
            self._indexed = self.first
            self.advance()

    def finish(self, *, complete: bool) -> None:
        """`complete`: the last entry has the largest timestamp of the segment."""
        while self.at >= 0:
            self._points_nowhere()
        if complete and self._indexed < self._largest:
            self.fault(
                self._size,
                f"the index ends with timestamp {self._indexed}, the largest in the segment is "
                f"{self._largest}",
            )

    def _points_nowhere(self) -> None:
        offset = self._base_offset + self.second
        self.fault(self.at, f"no batch holds offset {offset}, which the entry names")
        self.advance()
