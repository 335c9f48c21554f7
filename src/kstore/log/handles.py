"""Open files of segments, and maps of those that are written: a few are kept, the rest are made
when they are needed.

The hard limit of open files is far below the number of segments of a large store, so a segment
holds no descriptor of its own. Whoever reads asks `Handles` for a `Handle` and may keep it: the
descriptor closes when the last one who holds the handle lets it go. That is how a slice that is
still being sent outlives the roll, the deletion or the closing of its log.

A segment that is written has a map, of which a process may have 65,530, and before Python 3.13 each
of them holds a descriptor too. So with more busy partitions than `Maps` allows, the segment that
was not written to for longest gives its map up, and gets another one with its next append.

Any thread may use both (logs are loaded several at a time, and synced in workers).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from kstore.log.files import NO_HANDLE_ERRNOS, Files

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Handle", "Handles", "Maps"]

MAX_MAPS = 4096
_LOOKS = 64

T = TypeVar("T")

_MOST = 512
_SHARE = 4  # of all descriptors that the process may have; the rest is for sockets and for a moment


class Handle:
    """One open file; closed with its last reference, as is the map of it if there is one."""

    __slots__ = ("_files", "_map", "_mapped_size", "descriptor", "used")

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._map: Buffer = b""
        self._mapped_size = 0
        self.used = False
        """Since `Handles` last thought of giving it up."""
        self.descriptor = -1
        self.descriptor = files.open(path)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            self._files.close(self.descriptor)

    def read_now(self, size: int, position: int) -> bytearray | None:
        return self._files.read_now(self.descriptor, size, position)

    def size(self) -> int:
        return self._files.size(self.descriptor)

    def mapped(self, size: int) -> Buffer:
        """At least the first `size` bytes, where the system has them; see `Files.map_to_read`."""
        if self._mapped_size < size:
            self._map = self._files.map_to_read(self.descriptor, size)
            self._mapped_size = size
        return self._map

    def read(self, size: int, position: int) -> bytes:
        return self._files.read(self.descriptor, size, position)

    def read_into(self, buffer: memoryview, position: int) -> int:
        return self._files.read_into(self.descriptor, buffer, position)


class Handles:
    """The open files of one store; the oldest that nobody used lately is given up first.

    Where the process runs out of descriptors, those here are given up one by one.

    Lookups go by path, so `forget` comes before a file is deleted or its directory renamed.
    """

    def __init__(self, files: Files, limit: int | None = None) -> None:
        self.files = files
        self._limit = limit or max(1, min(_MOST, files.descriptor_limit() // _SHARE))
        self._open: OrderedDict[Path, Handle] = OrderedDict()
        self._lock = threading.RLock()
        self.maps = Maps()

    def get(self, path: Path) -> Handle:
        """The handle of `path`, opened if need be. Raises OSError."""
        handle = self._open.get(path)
        if handle is not None:
            handle.used = True
            return handle
        with self._lock:
            handle = self._open.get(path)
            if handle is None:
                handle = self.with_descriptor(lambda: Handle(self.files, path))
                self._make_room()
                self._open[path] = handle
        return handle

    def with_descriptor(self, work: Callable[[], T]) -> T:
        """Does work that needs a descriptor for a moment, and has done nothing if it gets none.

        Raises OSError.
        """
        while True:
            try:
                return work()
            except OSError as error:
                if error.errno not in NO_HANDLE_ERRNOS or not self._give_up_one():
                    raise

    def _give_up_one(self) -> bool:
        with self._lock:
            if self._open:
                self._open.popitem(last=False)
                return True
        return False

    def sync_directory(self, directory: Path) -> None:
        """As `Files.sync_directory`. Raises OSError."""
        self.with_descriptor(lambda: self.files.sync_directory(directory))

    def renamed(self, old: Path, new: Path) -> None:
        """The file at `old` has the name `new` now."""
        with self._lock:
            self._open.pop(new, None)
            handle = self._open.pop(old, None)
            if handle is not None:
                self._open[new] = handle

    def _make_room(self) -> None:
        while len(self._open) >= self._limit:
            path, oldest = self._open.popitem(last=False)
            if oldest.used:
                # A second chance, behind all others.
                oldest.used = False
                self._open[path] = oldest

    def has(self, path: Path) -> bool:
        """Whether that file is open, which is to say that it was in use lately."""
        return path in self._open

    def forget(self, *paths: Path) -> None:
        with self._lock:
            for path in paths:
                self._open.pop(path, None)

    def forget_directory(self, directory: Path) -> None:
        with self._lock:
            for path in [path for path in self._open if path.parent == directory]:
                del self._open[path]

    def clear(self) -> None:
        with self._lock:
            self._open.clear()

    def __len__(self) -> int:
        return len(self._open)


class _Mapped(Protocol):
    """A segment that is written through a map."""

    @property
    def size(self) -> int:
        """Grows with each append."""

    def unmap(self) -> None:
        """Gives the map up. Thread of the log."""


class Maps:
    """The segments that have a map, in the order in which they were found to be in use."""

    def __init__(self, limit: int = MAX_MAPS) -> None:
        self.limit = limit
        self._sizes: OrderedDict[_Mapped, int] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, segment: _Mapped) -> None:
        """`segment` has one now. Another one may lose its own. Thread of the logs."""
        with self._lock:
            self._sizes.pop(segment, None)
            oldest = self._oldest() if len(self._sizes) >= self.limit else None
            self._sizes[segment] = segment.size
        if oldest is not None:
            oldest.unmap()

    def _oldest(self) -> _Mapped:
        """Takes out the one that was not written to for longest, as far as a few looks tell."""
        for _ in range(_LOOKS):
            oldest, size = self._sizes.popitem(last=False)
            if oldest.size == size:
                return oldest
            # A second chance, behind all others.
            self._sizes[oldest] = oldest.size
        return self._sizes.popitem(last=False)[0]

    def discard(self, segment: _Mapped) -> None:
        """It has none any more. Any thread."""
        with self._lock:
            self._sizes.pop(segment, None)

    def __len__(self) -> int:
        return len(self._sizes)
