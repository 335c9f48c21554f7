"""What the active segment needs next, made ahead of need: its next step, and the next segment.

A busy log asks for it when half of its newest step is written (`SegmentWriter.ahead_at`), and it is
made in a worker: blocks, a map, and for a log that writes through it memory behind the map, which
the system hands out slowly. If it is needed before it is there it is made as if nobody had begun. A
full disk, or any other error, is no error here: it is met again at need.

The files of the next segment have names that end in `.deleted`, which Kafka and we remove at load,
so a crash may come at any time. They get their own names when the segment begins.

`run` is for a worker, everything else for the thread of the log.
"""

from __future__ import annotations

import logging
import mmap
from contextlib import suppress
from pathlib import Path

from kstore._native.segment import touch
from kstore.log.files import Files
from kstore.log.handles import Handle, Handles
from kstore.log.names import DELETED, INDEX, LOG, TIME_INDEX, file_name
from kstore.log.tasks import Task

__all__ = ["MAX_STEP", "NextSegment", "Room", "first_capacity", "next_capacity"]

logger = logging.getLogger("kstore.log")

MAX_STEP = 4 << 20

_PAGE_SIZE = 4096
_SECOND_STEP = 64 << 10
_NEXT = "next"
_SUFFIXES = (INDEX, TIME_INDEX, LOG)  # in the order in which they get their names: the log last


def next_capacity(capacity: int, size: int, max_size: int, needed: int) -> int:
    """How long the file of a segment of `size` bytes is to become, with `needed` bytes at least.

    It has room for `capacity` bytes now; the steps grow with it.
    """
    if not capacity:
        step = _PAGE_SIZE
    elif capacity < _SECOND_STEP:
        step = _SECOND_STEP - capacity
    else:
        step = min(capacity, MAX_STEP)
    wanted = max(needed, max(capacity, size) + step)
    pages = -(-wanted // _PAGE_SIZE) * _PAGE_SIZE
    return max(needed, min(pages, max_size))


def first_capacity(max_size: int) -> int:
    """As `next_capacity`, for a segment that is made ahead: of a busy log."""
    return min(MAX_STEP, max(_SECOND_STEP, max_size // 16))


class Room(Task):
    """`size` more bytes for the file of `handle`, from `position` on, and a map of it all.

    With `touched` the system has given memory for them too. `old` is a map that nobody needs.
    """

    __slots__ = ("_files", "_handle", "_map", "_old", "_position", "_size", "_touched")

    def __init__(
        self,
        files: Files,
        handle: Handle,
        position: int,
        size: int,
        *,
        touched: bool,
        old: mmap.mmap | None = None,
    ) -> None:
        super().__init__()
        self._old = old
        self._files = files
        self._handle: Handle | None = handle
        self._position = position
        self._size = size
        self._touched = touched
        self._map: mmap.mmap | None = None

    def run(self) -> None:
        """Never raises: what could not be made is made at need, or the error is met there."""
        try:
            super().run()
            # Outside the lock: who needs the map now takes it, and its memory comes as it may.
            map = self._map
            if map is not None and self._touched:
                touch(map, self._position)
            old, self._old = self._old, None
            if old is not None:
                self._files.unmap(old)
        except OSError as error:
            logger.debug("no room made ahead: %s", error)

    def _work(self) -> None:
        assert self._handle is not None
        descriptor = self._handle.descriptor
        try:
            self._files.preallocate(descriptor, self._position, self._size)
            self._map = self._files.map(descriptor, self._position + self._size)
        except OSError:
            self._files.truncate(descriptor, self._position)
            raise

    def take(self) -> mmap.mmap | None:
        """The map of the whole file, if it is there; none is made afterwards.

        A worker may come by much later, so nothing is held any more that keeps a file's room.
        """
        self.cancel()
        self._handle = self._old = None
        map, self._map = self._map, None
        return map


class NextSegment(Task):
    """The files of a log's next segment, with room for its first batches."""

    __slots__ = ("_directory", "_handles", "_made", "_room", "_size", "_touched")

    def __init__(self, handles: Handles, directory: Path, size: int, *, touched: bool) -> None:
        super().__init__()
        self._handles = handles
        self._directory = directory
        self._size = size
        self._touched = touched
        self._made = False
        self._room: Room | None = None

    def run(self) -> None:
        """Never raises, as `Room.run`."""
        try:
            super().run()
        except OSError as error:
            logger.debug("no segment made ahead in %s: %s", self._directory, error)
        room = self._room
        if room is not None:
            room.run()

    def _work(self) -> None:
        files = self._handles.files
        try:
            for suffix in _SUFFIXES:
                with files.opened(self._path(suffix), create=True) as descriptor:
                    files.truncate(descriptor, 0)
            handle = self._handles.get(self._path(LOG))
        except OSError:
            self._delete()
            raise
        self._room = Room(files, handle, 0, self._size, touched=self._touched)
        self._made = True

    def take(self, base_offset: int) -> mmap.mmap | None:
        """Gives the files the names of the segment that begins at `base_offset`.

        The map of its log, None if nothing was made ahead, or not all of it. What stands under
        these names is replaced. Raises OSError.
        """
        self.cancel()
        map = None if self._room is None else self._room.take()
        if map is None:
            self.discard()
            return None
        for suffix in _SUFFIXES:
            old, new = self._path(suffix), self._directory / file_name(base_offset, suffix)
            self._handles.files.rename(old, new)
            self._handles.renamed(old, new)
        return map

    def discard(self) -> None:
        """Removes the files; what can't be removed is removed at the next start."""
        self.cancel()
        if self._room is not None:
            self._room.take()
            self._room = None
        if self._made:
            self._made = False
            self._delete()

    def _delete(self) -> None:
        for suffix in _SUFFIXES:
            path = self._path(suffix)
            self._handles.forget(path)
            with suppress(OSError):
                self._handles.files.delete(path, missing_ok=True)

    def _path(self, suffix: str) -> Path:
        return self._directory / (_NEXT + suffix + DELETED)
