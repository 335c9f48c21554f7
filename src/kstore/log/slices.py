"""A run of bytes of a segment, on its way to a reader.

What a fetch sends is never decoded: it is a `Slice`, a place in a file. The part of a log that is
being written is mapped, and then `view` is the bytes themselves, without a copy; the rest is read
or sent from its file. A slice keeps the map or the file alive until it is released or dropped, so
rolling, deleting or closing the log meanwhile does no harm. Any thread may use one slice.
"""

from __future__ import annotations

from pathlib import Path

from kstore._native.scan import copy_out
from kstore.log.handles import Handle, Handles

__all__ = ["Slice"]


class Slice:
    """`size` bytes at `position` of a segment's file."""

    __slots__ = ("_handle", "_handles", "_view", "path", "position", "size")

    def __init__(
        self,
        handles: Handles,
        path: Path,
        position: int,
        size: int,
        handle: Handle | None = None,
        view: memoryview | None = None,
    ) -> None:
        self.position = position
        self.size = size
        self._handles = handles
        self.path = path
        self._handle = handle
        self._view = view

    def view(self) -> memoryview | None:
        """The bytes, read-only, where they are mapped; else None. Not to be used after release.

        To be handed to the system only, for which a disk that fails, or a file that was cut short
        meanwhile, is an error: a program that touches such bytes itself is ended by SIGBUS. `read`
        is safe.
        """
        return self._view

    def fileno(self) -> int:
        """A descriptor to send or read from at `position`; it is open until release.

        Raises OSError: FileNotFoundError if it was not opened while the file had its name.
        """
        if self._handle is None:
            self._handle = self._handles.get(self.path)
        return self._handle.descriptor

    def has_file(self) -> bool:
        """Whether there is a descriptor: a map outlives the name of its file. Raises OSError."""
        try:
            self.fileno()
        except FileNotFoundError:
            return False
        return True

    def read(self) -> bytes:
        """A copy of the bytes; fewer than `size` if the log was truncated since. Raises OSError."""
        if self._view is not None:
            return copy_out(self._view)
        return self._handles.files.read(self.fileno(), self.size, self.position)

    def rest(self, sent_size: int) -> Slice:
        """What is left behind the first `sent_size` bytes; it shares this slice's file or map."""
        return Slice(
            self._handles,
            self.path,
            self.position + sent_size,
            self.size - sent_size,
            self._handle,
            None if self._view is None else self._view[sent_size:],
        )

    def is_resident(self, size: int) -> bool:
        """Whether the first `size` bytes of the file can be had without waiting for the disk.

        Raises OSError.
        """
        return self._handles.files.is_resident(self.fileno(), min(size, self.size), self.position)

    def read_now(self) -> bytearray | None:
        """A copy of the bytes of a slice that has no view; None if not all can be had without
        waiting for the disk. OSError."""
        return self._handles.files.read_now(self.fileno(), self.size, self.position)

    def read_ahead(self, size: int) -> None:
        """Brings the first `size` bytes into memory; for a worker, as it waits for the disk."""
        self._handles.files.read(self.fileno(), min(size, self.size), self.position)

    def release(self) -> None:
        """Lets the file or the map go; idempotent."""
        self._handle = None
        self._view = None

    def __repr__(self) -> str:
        return f"Slice({self.path.name}, position {self.position}, size {self.size})"
