"""The segment that a compaction writes, under names that end in `.cleaned` until it is complete.
`Nowhere` stands in its place where only its size is asked for.

Belongs to the worker that writes it. Whatever a crash leaves of it is removed at load.
"""

from __future__ import annotations

from contextlib import suppress

from kstore._native.index import SegmentIndexer
from kstore._native.scan import index_run
from kstore.errors import CorruptLogError
from kstore.log.handles import Handle, Handles
from kstore.log.names import CLEANED
from kstore.log.segment import Segment
from kstore.log.transaction_index import AbortedTransaction, encode_aborted

__all__ = ["Nowhere", "Output"]

_NO_EPOCHS = (1 << 31) - 1  # above all, so that none is told of
_MAX_SIZE = (1 << 31) - 1
_BEGIN_SIZE = 8 << 20


class Nowhere:
    """Counts what would be written."""

    def __init__(self) -> None:
        self.size = 0
        self.aborted: list[AbortedTransaction] = []

    def append(self, data: bytes) -> None:
        self.size += len(data)


class Output:
    """One new segment; `size` bytes are written so far. Every method raises OSError."""

    def __init__(self, handles: Handles, first: Segment, index_interval_bytes: int) -> None:
        """In the place of `first`."""
        self.size = 0
        self.aborted: list[AbortedTransaction] = []
        """Transactions whose markers stand in the segment."""
        self._begun = 0
        self._files = handles.files
        self._handles = handles
        self._indexer = SegmentIndexer(first.base_offset, index_interval_bytes)
        self.segment = Segment.create(
            handles, first.directory, first.base_offset, first.created_ms, CLEANED
        )
        self.segment.offsets.begin_anew(self._indexer.offsets)
        self.segment.times.begin_anew(self._indexer.times)

    def append(self, data: bytes) -> None:
        """Writes whole batches behind those before."""
        if not data:
            return
        segment = self.segment
        if self.size + len(data) > _MAX_SIZE:
            raise CorruptLogError(str(segment.path), self.size, "the segment would be too large")
        handle = self._handles.get(segment.path)
        self._files.write(handle.descriptor, data, self.size)
        self._begin_sync(handle, self.size + len(data))
        index_run(data, len(data), self.size, self._indexer, _NO_EPOCHS)
        segment.offsets.spill()
        segment.times.spill()
        self.size += len(data)

    def _begin_sync(self, handle: Handle, end: int) -> None:
        """Has the disk begin what `finish` would else wait for all at once."""
        if end - self._begun >= _BEGIN_SIZE:
            self._files.begin_sync(handle.descriptor, end - self._begun, self._begun)
            self._begun = end

    def finish(self, last: Segment) -> Segment:
        """Brings all of it to the disk.

        `last` is the last of the segments that it replaces: without timestamps their age is that of
        the file.
        """
        segment, indexer, files = self.segment, self._indexer, self._files
        indexer.finish()
        for index in (segment.offsets, segment.times):
            index.finish()
            index.detach()
        segment.recovered(self.size, indexer.max_timestamp, indexer.max_timestamp_offset)
        if self.aborted:
            with files.opened(segment.paths()[3], create=True) as descriptor:
                files.write(descriptor, encode_aborted(self.aborted), 0)
        files.set_modified_ms(segment.path, files.modified_ms(last.path))
        for handle in segment.open_files():
            files.sync(handle.descriptor)
        self._handles.sync_directory(segment.directory)
        return segment

    def discard(self) -> None:
        """Removes what was written."""
        paths = self.segment.paths()
        self._handles.forget(*paths)
        for path in paths:
            with suppress(OSError):
                self._files.delete(path, missing_ok=True)
