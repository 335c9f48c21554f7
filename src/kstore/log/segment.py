"""One segment of a log: a file of batches, its two indexes, and what is known about it.

A sealed segment is read through its file; only the segment that is being written has a map, made
at its first append. Offsets rise from batch to batch; the file of the segment being written is
longer than what is written (`size`): preallocated, and zero there. Belongs to the thread of its
log. Source: Kafka's LogSegment.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kstore._native.batch import HEADER_SIZE, BatchHeader
from kstore._native.index import SegmentIndexer
from kstore._native.scan import find_newer, read_headers
from kstore._native.segment import SegmentWriter
from kstore.configs import LogConfig
from kstore.errors import CorruptLogError
from kstore.log.ahead import NextSegment, Room, first_capacity, next_capacity
from kstore.log.files import TEMPORARY_ERRNOS
from kstore.log.handles import Handle, Handles
from kstore.log.index import OffsetIndex, TimeEntry, TimeIndex
from kstore.log.names import (
    DELETED,
    LOG,
    SNAPSHOT,
    TRANSACTION_INDEX,
    file_name,
)
from kstore.log.search import SCAN_SIZE, NotInMemory, find_in_file, position_near, search
from kstore.log.slices import Slice
from kstore.log.tasks import Trim

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["NONE_ABORTED", "WRITE_FROM", "Segment"]

NONE_ABORTED = -1

WRITE_FROM = 32 << 10
"""Batches of so many bytes and more go to the file, smaller ones through the map."""
_AHEAD_CAPACITY = 256 << 10  # a segment that grows beyond is busy: what follows is made ahead
_NEVER = (1 << 63) - 1


class Segment:
    """The batches from `base_offset` on, up to the next segment's."""

    __slots__ = (
        "_first_timestamp",
        "_handles",
        "_index_size",
        "_is_aside",
        "_map",
        "_mark",
        "_max_time",
        "_old_map",
        "_path",
        "_readable",
        "_room",
        "_size",
        "base_offset",
        "created_ms",
        "directory",
        "last_aborted",
        "offsets",
        "replaced",
        "times",
        "trim",
        "writer",
    )

    def __init__(
        self, handles: Handles, directory: Path, base_offset: int, *, size: int, created_ms: int
    ) -> None:
        self.base_offset = base_offset
        self.created_ms = created_ms
        self.writer: SegmentWriter | None = None
        self.replaced = False
        """By the output of a compaction: its files are no longer to be read by their names."""
        self.last_aborted: int | None = None
        """The offset of the last marker here that aborts a transaction; None: nobody has looked."""
        self._handles = handles
        self._mark = ""
        self._first_timestamp: int | None = None
        self._size = size
        self._map: mmap.mmap | None = None
        self._old_map: mmap.mmap | None = None
        self._readable: memoryview | None = None
        self._room: Room | None = None
        self._index_size = 0
        self._is_aside = False
        self._max_time: TimeEntry | None = None
        self.trim: Trim | None = None
        self.directory = directory
        self._path: Path | None = None
        self.offsets = OffsetIndex(handles, directory, base_offset, None)
        self.times = TimeIndex(handles, directory, base_offset, None)

    @classmethod
    def create(
        cls, handles: Handles, directory: Path, base_offset: int, created_ms: int, mark: str = ""
    ) -> Segment:
        """An empty segment and its files, whose names end in `mark`. What stands under these is a
        failed attempt's."""
        segment = cls(handles, directory, base_offset, size=0, created_ms=created_ms)
        segment.named(mark)
        handles.forget(*segment.paths())
        with handles.files.opened(segment.path, create=True) as descriptor:
            handles.files.truncate(descriptor, 0)
        segment.offsets.create()
        segment.times.create()
        return segment

    @classmethod
    def take(
        cls,
        handles: Handles,
        directory: Path,
        base_offset: int,
        created_ms: int,
        ahead: NextSegment,
    ) -> Segment | None:
        """As `create`, with the files that were made ahead; None if they were not.

        Such a segment has room already: it is to be activated at once, and sealed in the end.
        """
        segment = cls(handles, directory, base_offset, size=0, created_ms=created_ms)
        segment._map = ahead.take(base_offset)
        return None if segment._map is None else segment

    def __repr__(self) -> str:
        return f"Segment({self.path}, size {self.size})"

    @property
    def size(self) -> int:
        """Bytes of batches; the file may be longer."""
        return self._size if self.writer is None else self.writer.size

    @property
    def path(self) -> Path:
        """Of the file of batches; made when it is asked for, as those of the indexes are."""
        if self._path is None:
            self._path = self.directory / (file_name(self.base_offset, LOG) + self._mark)
        return self._path

    @property
    def has_indexes(self) -> bool:
        """Are both there, and of a size that an index can have? After they were `found`."""
        return self.offsets.is_whole and self.times.is_whole

    def paths(self) -> list[Path]:
        """The files that belong to the segment, whether they are there or not."""
        transactions = file_name(self.base_offset, TRANSACTION_INDEX) + self._mark
        return [self.path, self.offsets.path, self.times.path, self.directory / transactions]

    def named(self, mark: str) -> None:
        """The names of the files end in `mark`."""
        self._mark = mark
        self._path = None
        self.offsets.moved(self.directory, mark)
        self.times.moved(self.directory, mark)

    def rename(self, mark: str) -> None:
        """Gives the files names that end in `mark`, the log first. Raises OSError."""
        old = self.paths()
        self.named(mark)
        for path, new in zip(old, self.paths(), strict=True):
            with suppress(FileNotFoundError):
                self._handles.files.rename(path, new)
            self._handles.renamed(path, new)

    def moved(self, directory: Path) -> None:
        """The directory has a new name."""
        self.directory = directory
        self.named(self._mark)

    # Reading

    def find(self, offset: int, *, wait: bool = True) -> tuple[int, int] | None:
        """(position, size) of the batch that holds `offset`, or of the first one after it.

        Raises NotInMemory without `wait`, if the segment is sealed and the disk would be asked.
        """
        if self._map is None:
            if not wait and self.writer is None and not self.offsets.is_warm:
                raise NotInMemory(self, offset)
            return find_in_file(self, self._handles.get(self.path), offset, wait=wait)
        assert self.writer is not None, "what is mapped is being written"
        return self._found(self.offsets.find_in(self.writer, offset))

    def find_newer(self, timestamp_ms: int, position: int) -> tuple[int, int] | None:
        """As `find`, for the first batch from `position` on whose max timestamp is not below."""
        if self._map is None:
            handle = self._handles.get(self.path)
            return search(self, handle, find_newer, timestamp_ms, position)
        return self._found(find_newer(self._map, position, self.size, timestamp_ms))

    def _found(self, found: tuple[int, int]) -> tuple[int, int] | None:
        """What a search of the whole map has found."""
        position, size = found
        if size > 0:
            return found
        if size < 0 or position < self.size:
            raise CorruptLogError(str(self.path), position, "no batch begins here")
        return None

    def read_ahead(self, offset: int) -> None:
        """Brings what `find` looks at into memory; for a worker, as it waits for the disk.

        Raises OSError, CorruptLogError, as `find` does.
        """
        self.offsets.read_ahead()
        self.find(offset)

    def read(self, position: int, size: int) -> bytes:
        """Bytes of the file. Raises OSError, CorruptLogError if they are not all there."""
        data = self._handles.get(self.path).read(size, position)
        if len(data) != size:
            raise CorruptLogError(str(self.path), position, "the file is cut")
        return data

    def slice(self, position: int, size: int) -> Slice:
        if self._readable is not None:
            view = self._readable[position : position + size]
            return Slice(self._handles, self.path, position, size, None, view)
        handle = self._handles.get(self.path)
        return Slice(self._handles, self.path, position, size, handle)

    def headers(self, position: int = 0) -> Iterator[BatchHeader]:
        """The headers of the batches from `position`, a batch's begin, to the end."""
        while position < self.size:
            data = self.read(position, min(SCAN_SIZE, self.size - position))
            headers = read_headers(data, position)
            if not headers:
                raise CorruptLogError(str(self.path), position, "no batch begins here")
            yield from headers
            position = headers[-1].position + headers[-1].size

    def next_offset(self) -> int:
        """The offset after the segment's last batch, found by a walk from the last index entry."""
        next_offset, highest = self.base_offset, self.base_offset + (1 << 31)
        if not self.size:
            return next_offset
        for header in self.headers(position_near(self, self.offsets.last_offset())):
            if not next_offset <= header.base_offset <= header.last_offset < highest:
                raise CorruptLogError(str(self.path), header.position, "the offset is wrong")
            next_offset = header.last_offset + 1
        return next_offset

    def max_time(self) -> TimeEntry:
        """The largest timestamp and the last offset of its batch; (-1, base offset) if none."""
        if self.writer is not None:
            indexer = self.writer.indexer
            return TimeEntry(indexer.max_timestamp, indexer.max_timestamp_offset)
        if self._max_time is None:
            self._max_time = self.times.last()
        return self._max_time

    def largest_timestamp(self) -> int:
        """What decides about age: the largest timestamp, or the file's if no batch has one."""
        timestamp = self.max_time().timestamp_ms
        return timestamp if timestamp >= 0 else self._handles.files.modified_ms(self.path)

    @property
    def began_ms(self) -> int:
        """When it was made or opened, or the first batch's timestamp if that is later."""
        return max(self.created_ms, -1 if self.writer is None else self.writer.first_timestamp)

    def first_timestamp(self) -> int:
        """The largest timestamp of the first batch, -1 without one."""
        if self._first_timestamp is None:
            first = next(self.headers(), None)
            if first is None:
                return -1
            self._first_timestamp = first.max_timestamp
        return self._first_timestamp

    def index_sizes(self) -> tuple[int, int]:
        """Bytes of the entries in each index."""
        return (
            self.offsets.count * OffsetIndex.entry_size,
            self.times.count * TimeIndex.entry_size,
        )

    # Writing

    def activate(self, config: LogConfig, roll_ms: int) -> SegmentWriter:
        """The writer, made at the first call. Raises OSError."""
        if self.writer is None:
            indexer = SegmentIndexer(self.base_offset, config.index_interval_bytes)
            indexer.max_timestamp, indexer.max_timestamp_offset = self.max_time()
            indexer.last_time_entry = self.times.last().timestamp_ms
            writer = SegmentWriter(indexer, self._size)
            writer.created_ms = self.created_ms
            if self._size:
                writer.first_timestamp = next(self.headers()).max_timestamp
            self.offsets.tail, self.times.tail = indexer.offsets, indexer.times
            self.writer = writer
            if self.trim is not None:
                # It was sealed, but no other could follow. What was to be cut off is used again.
                self.trim.cancel()
                self.trim = None
            if self._map is not None:
                self._attach(self._map, busy=True)
        self.configure(config, roll_ms)
        return self.writer

    def configure(self, config: LogConfig, roll_ms: int) -> None:
        """Takes over what makes a segment full."""
        writer = self.writer
        if writer is not None:
            writer.max_size = config.segment_bytes
            writer.roll_ms = roll_ms
            writer.write_from = 0 if config.kstore_acks_all_flush else WRITE_FROM
            writer.indexer.interval_bytes = config.index_interval_bytes
            self._limit_entries(writer, config.segment_index_bytes)

    def _limit_entries(self, writer: SegmentWriter, index_size: int) -> None:
        self._index_size = index_size
        writer.max_offset_entries = index_size // OffsetIndex.entry_size - self.offsets.file_count
        writer.max_time_entries = index_size // TimeIndex.entry_size - self.times.file_count

    def spill_indexes(self, index_size: int) -> None:
        """Moves index entries to their files once there is a page of them."""
        self.offsets.spill()
        self.times.spill()
        if self.writer is not None:
            self._limit_entries(self.writer, index_size)

    @property
    def indexes_finished(self) -> bool:
        """Are all index entries in their files? Of a segment that is not written to."""
        return self.offsets.tail is None and self.times.tail is None

    def finish_indexes(self) -> None:
        """Writes the index entries for which recovery had no room. Raises OSError."""
        if self.writer is None:
            self.offsets.finish()
            self.times.finish()

    def grow(self, batch_size: int) -> None:
        """Preallocates and maps room for a batch of that size, and some more.

        Raises OSError; then nothing has changed, and the file is no longer than before.
        """
        writer = self.writer
        assert writer is not None, "only an active segment grows"
        map = self._take_room()
        if map is None:
            map = self._make_room(writer, writer.size + batch_size)
        self._attach(map, busy=writer.capacity >= _AHEAD_CAPACITY)

    def _take_room(self) -> mmap.mmap | None:
        """The next step, if it was made ahead; it won't be made afterwards."""
        room, self._room = self._room, None
        return None if room is None else room.take()

    def _make_room(self, writer: SegmentWriter, needed: int) -> mmap.mmap:
        files = self._handles.files
        handle = self._handles.get(self.path)
        old = max(writer.capacity, writer.size)
        capacity = next_capacity(writer.capacity, writer.size, writer.max_size, needed)
        try:
            files.preallocate(handle.descriptor, old, capacity - old)
        except OSError as error:
            files.truncate(handle.descriptor, old)
            if error.errno not in TEMPORARY_ERRNOS or capacity == needed:
                raise
            capacity = needed
            try:
                files.preallocate(handle.descriptor, old, capacity - old)
            except OSError:
                files.truncate(handle.descriptor, old)
                raise
        return files.map(handle.descriptor, capacity)

    def room_ahead(self, *, touched: bool) -> Room | None:
        """The next step, to be made by a worker; None if the segment grows no more."""
        writer = self.writer
        assert writer is not None
        writer.ahead_at = _NEVER
        capacity = next_capacity(writer.capacity, writer.size, writer.max_size, writer.capacity)
        if capacity <= writer.capacity:
            return None
        size = capacity - writer.capacity
        handle = self._handles.get(self.path)
        old, self._old_map = self._old_map, None
        self._room = Room(
            self._handles.files, handle, writer.capacity, size, touched=touched, old=old
        )
        return self._room

    def next_ahead(self, *, touched: bool) -> NextSegment:
        """The segment that will follow, to be made by a worker: with room as this one had it."""
        assert self.writer is not None
        size = first_capacity(self.writer.max_size)
        return NextSegment(self._handles, self.directory, size, touched=touched)

    def _attach(self, map: mmap.mmap, *, busy: bool) -> None:
        writer = self.writer
        assert writer is not None
        old = writer.capacity
        writer.attach(map)
        step = writer.capacity - old
        writer.ahead_at = writer.capacity - step // 2 if busy else _NEVER
        if map is not self._map:
            # A worker lets the old one go, if one comes by.
            self._map, self._old_map = map, self._map
        self._readable = memoryview(map).toreadonly()
        self.offsets.tail, self.times.tail = writer.indexer.offsets, writer.indexer.times
        self._handles.maps.add(self)

    def unmap(self) -> None:
        """Gives up the map of a segment that nobody appends to lately; the next append makes one.

        Index entries go to their files, so that only an append changes what a reader looks at.
        """
        writer = self.writer
        if writer is None or self._map is None:
            return
        with suppress(OSError):  # of no matter: the map stays, and the next sync meets it
            for index in (self.offsets, self.times):
                index.finish()
            self._limit_entries(writer, self._index_size)
            self._let_go(writer)

    def _let_go(self, writer: SegmentWriter) -> None:
        self._take_room()
        self.offsets.detach()
        self.times.detach()
        self._map = self._old_map = self._readable = None
        writer.detach()

    def write(self, data: Buffer, header: BatchHeader) -> int:
        """Writes the batch in `data` that does not go through the map; FITS or AHEAD.

        That is a large one: the system clears each page before it is mapped, but not one that is
        written whole. And all batches of a log that is synced again and again: a write beside a
        sync waits less than one to a map, whose pages the sync takes away. Raises OSError; then
        the file is zero again behind what was there.
        """
        writer = self.writer
        assert writer is not None
        assert writer.head is not None
        handle = self._handles.get(self.path)
        records = memoryview(data)[header.position + HEADER_SIZE : header.position + header.size]
        try:
            self._handles.files.write_parts(handle.descriptor, [writer.head, records], writer.size)
        except OSError:
            with suppress(OSError):
                writer.failed_to_write(header)
            raise
        return writer.wrote(header)

    def seal(self) -> None:
        """Ends writing: the last time entry, all entries in their files.

        The log file is to be trimmed yet, by `trim`: syncs do that. The map lives on until its
        last slice is gone. Idempotent. Raises OSError.
        """
        writer = self.writer
        if writer is None:
            return
        writer.indexer.finish()
        self.offsets.tail, self.times.tail = writer.indexer.offsets, writer.indexer.times
        self.offsets.finish()
        self.times.finish()
        handle = self._handles.get(self.path)
        self._take_room()
        maps = [map for map in (self._map, self._old_map) if map is not None]
        self.trim = Trim(self._handles.files, handle, writer.size, maps)
        self._max_time = self.max_time()
        self.release()

    def release(self) -> None:
        """Lets the map go without writing anything; slices of it stay readable."""
        self._take_room()
        writer = self.writer
        if writer is not None:
            self._size = writer.size
            self.writer = None
            self._let_go(writer)
            self._handles.maps.discard(self)

    def recovered(self, size: int, max_timestamp: int, max_timestamp_offset: int) -> None:
        """What recovery found; the files are in order."""
        self._size = size
        self._max_time = TimeEntry(max_timestamp, max_timestamp_offset)

    def truncate_to(self, offset: int) -> None:
        """Drops the batches from the one that holds `offset` on. Raises OSError.

        A file that is mapped keeps its length, so that slices stay safe: the rest becomes zero.
        """
        found = self.find(offset)
        self.offsets.truncate_to(offset)
        self.times.truncate_to(offset)
        size = found[0] if found is not None else self.size
        writer = self.writer
        if writer is not None:
            writer.cut(size)
        if self._map is None:
            if self.trim is not None:
                self.trim.cancel()
                self.trim = None
            handle = self._handles.get(self.path)
            self._handles.files.truncate(handle.descriptor, size)
            self._size = size
        self._max_time = self._scan_max_time()
        if writer is None:
            # As when a segment is sealed: its largest timestamp is its last time entry.
            self.times.add(self._max_time)
        else:
            writer.indexer.max_timestamp, writer.indexer.max_timestamp_offset = self._max_time
            writer.indexer.last_time_entry = self.times.last().timestamp_ms
            writer.indexer.bytes_since_entry = 0

    def _scan_max_time(self) -> TimeEntry:
        best = self.times.last()
        for header in self.headers(position_near(self, best.offset)):
            if header.max_timestamp > best.timestamp_ms:
                best = TimeEntry(header.max_timestamp, header.last_offset)
        return best

    def open_files(self) -> list[Handle]:
        """The files of the segment that a sync is for: without indexes while it is written."""
        log = self._handles.get(self.path)
        if self.writer is not None:
            return [log]
        handles = [log, self.offsets.handle(), self.times.handle()]
        transactions = self.paths()[3]
        if self._handles.files.exists(transactions):
            handles.append(self._handles.get(transactions))
        return handles

    def set_aside(self) -> None:
        """Gives the files names that end in `.deleted`, the log first; slices stay readable.

        The segment must be out of its log, and only `delete` may follow. Raises OSError.
        """
        paths = self._all_paths()
        for path in paths:
            with suppress(FileNotFoundError):
                self._handles.files.rename(path, Path(f"{path}{DELETED}"))
        self._handles.forget(*paths)
        self._is_aside = True

    def delete(self) -> None:
        """Removes the files, and the snapshot of the producers before them; slices stay readable.

        Raises OSError.
        """
        paths = self._all_paths()
        if self._is_aside:
            paths = [Path(f"{path}{DELETED}") for path in paths]
        self._handles.forget(*paths)
        for path in paths:
            self._handles.files.delete(path, missing_ok=True)

    def _all_paths(self) -> list[Path]:
        return [*self.paths(), self.directory / file_name(self.base_offset, SNAPSHOT)]
