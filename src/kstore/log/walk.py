"""The log's files read as they lie: a segment's batches, an index's entries, in pieces.

For those who look at files that nobody is writing to: `dump` and `check`. Nothing is believed:
of a batch that claims to be large the CRC is verified piece by piece before it is read whole, so
memory is bounded by what the log really holds. Any thread may use this.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from crc32c import crc32c

from kstore._native.batch import BAD_CRC, TORN, BatchError, BatchHeader, check_batch, parse_header
from kstore.log.files import Files

__all__ = [
    "OFFSET_ENTRY",
    "TIME_ENTRY",
    "TRANSACTION_ENTRY",
    "BatchFile",
    "FileBatch",
    "entries",
    "file_size",
]

OFFSET_ENTRY = struct.Struct(">ii")  # offset less the segment's base, position
TIME_ENTRY = struct.Struct(">qi")  # timestamp, offset less the segment's base
TRANSACTION_ENTRY = struct.Struct(">hqqqq")  # version, producer, first, last, last stable offset

_PIECE_SIZE = 1 << 20
_ENTRIES_READ = 4096
_LENGTH = struct.Struct(">i")
_LENGTH_AT = 8
_UNCOUNTED_SIZE = 12  # bytes of a batch that its length does not count
_CHECKSUMMED_AT = 21

_TORN = "the bytes end inside the batch"


class FileBatch(NamedTuple):
    """One batch of a file. `header` belongs to `data`, which holds the whole batch if `is_sound`:
    if its CRC matches."""

    position: int
    header: BatchHeader
    data: bytes
    is_sound: bool


class BatchFile:
    """The batches of an open file from its start, each with its position.

    Iteration ends at the first bytes that are no batch: then `position` is where these begin,
    less than `size`, and `fault` says why. A batch whose CRC is wrong does not end it.
    """

    def __init__(self, files: Files, descriptor: int) -> None:
        self._files = files
        self._descriptor = descriptor
        self._data = b""
        self._data_at = -1  # nothing is read yet
        self.size = files.size(descriptor)
        self.position = 0
        self.fault = ""

    @classmethod
    @contextmanager
    def opened(cls, files: Files, path: Path) -> Iterator[BatchFile]:
        """The batches of `path`, open to be read for the length of a `with` block."""
        descriptor = files.open_to_read(path)
        try:
            yield cls(files, descriptor)
        finally:
            files.close(descriptor)

    def __iter__(self) -> Iterator[FileBatch]:
        while self.position < self.size:
            batch = self._next()
            if batch is None:
                return
            yield batch
            self.position += batch.header.size

    def rest_is_zero(self) -> bool:
        """Is there nothing but zeros from `position` on, as where a file was preallocated?"""
        for at in range(self.position, self.size, _PIECE_SIZE):
            data = self._files.read(self._descriptor, _PIECE_SIZE, at)
            if data.count(0) != len(data):
                return False
        return True

    def _next(self) -> FileBatch | None:
        """The batch at `position`; None, and `fault` is set, if there is none."""
        batch = self._parse()
        if batch is None and self.fault == _TORN and self._data_at != self.position:
            self._read(_PIECE_SIZE)
            batch = self._parse()
        if batch is None and self.fault == _TORN:
            batch = self._parse_large()
        return batch

    def _read(self, size: int) -> None:
        self._data = self._files.read(self._descriptor, size, self.position)
        self._data_at = self.position

    def _parse(self) -> FileBatch | None:
        at = self.position - self._data_at
        try:
            header = check_batch(self._data, at)
        except BatchError as error:
            if error.fault == BAD_CRC:
                header = parse_header(self._data, at)
                return FileBatch(self.position, header, self._data, False)
            self.fault = _TORN if error.fault == TORN else error.reason
            return None
        self.fault = ""
        return FileBatch(self.position, header, self._data, True)

    def _parse_large(self) -> FileBatch | None:
        """A batch that is larger than a piece, or cut by the end of the file."""
        if len(self._data) < _LENGTH_AT + _LENGTH.size:
            return None
        size = _UNCOUNTED_SIZE + _LENGTH.unpack_from(self._data, _LENGTH_AT)[0]
        if size > self.size - self.position or size <= len(self._data):
            return None
        try:
            header = parse_header(self._data)
        except BatchError as error:
            self.fault = error.reason
            return None
        self.fault = ""
        if self._checksum(size) != header.crc:
            return FileBatch(self.position, header, self._data, False)
        self._read(size)
        return self._parse()

    def _checksum(self, size: int) -> int:
        crc = 0
        at, end = self.position + _CHECKSUMMED_AT, self.position + size
        while at < end:
            data = self._files.read(self._descriptor, min(_PIECE_SIZE, end - at), at)
            crc = crc32c(data, crc)
            at += len(data) or end
        return crc


def entries(
    files: Files, path: Path, entry: struct.Struct
) -> Generator[tuple[int, tuple[Any, ...]], None, None]:
    """(position, fields) of each whole entry of a file, zeros at its end included."""
    descriptor = files.open_to_read(path)
    try:
        position = 0
        while data := files.read(descriptor, entry.size * _ENTRIES_READ, position):
            whole = len(data) - len(data) % entry.size
            for fields in entry.iter_unpack(memoryview(data)[:whole]):
                yield position, fields
                position += entry.size
            if whole < len(data):
                return
    finally:
        files.close(descriptor)


def file_size(files: Files, path: Path) -> int:
    """The size of a file in bytes."""
    descriptor = files.open_to_read(path)
    try:
        return files.size(descriptor)
    finally:
        files.close(descriptor)
