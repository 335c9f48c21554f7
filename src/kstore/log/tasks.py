"""Work on a log's files that a worker does, unless the log itself needs it done, or undone, before.

A lock keeps the two apart: it is held while the work is being done, so the thread of the log waits
no longer than it would take to do the same.
"""

from __future__ import annotations

import logging
import mmap
import threading
from pathlib import Path

from kstore.log.files import TEMPORARY_ERRNOS, Files
from kstore.log.handles import Handle

__all__ = ["Task", "Trim", "WriteSnapshot"]

logger = logging.getLogger("kstore.log")


class Task:
    """Work that is done once, by whoever comes first, or never if it is cancelled before."""

    __slots__ = ("_ended", "_error", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = False
        self._error: OSError | None = None

    def run(self) -> None:
        """Returns when the work is done, or cancelled. Any thread.

        An OSError of the work is raised each time: it must not look as if it had been done.
        """
        with self._lock:
            if not self._ended:
                self._ended = True
                try:
                    self._work()
                except OSError as error:
                    self._error = error
            if self._error is not None:
                raise self._error

    def cancel(self) -> None:
        """Waits for the work if it is being done, else it never will be. Idempotent."""
        with self._lock:
            self._ended = True

    def _work(self) -> None:
        raise NotImplementedError


class Trim(Task):
    """Cuts the file of a sealed segment to what is written: it had room for more.

    Its maps, which are no longer needed, go too.
    """

    __slots__ = ("_files", "_handle", "_maps", "_size")

    def __init__(self, files: Files, handle: Handle, size: int, maps: list[mmap.mmap]) -> None:
        super().__init__()
        self._files = files
        self._handle: Handle | None = handle
        self._size = size
        self._maps = maps

    def _work(self) -> None:
        # The task may outlive the need for an open file.
        handle, self._handle = self._handle, None
        assert handle is not None
        while self._maps:
            self._files.unmap(self._maps.pop())
        self._files.truncate(handle.descriptor, self._size)


class WriteSnapshot(Task):
    """Writes and syncs the file of a snapshot. It is a help, so a full disk does without it."""

    __slots__ = ("_data", "_files", "_path")

    def __init__(self, files: Files, path: Path, data: bytes) -> None:
        super().__init__()
        self._files = files
        self._path = path
        self._data = data

    def _work(self) -> None:
        try:
            self._files.replace_file(self._path, self._data)
        except OSError as error:
            if error.errno not in TEMPORARY_ERRNOS:
                raise
            logger.warning("no snapshot of the producers at %s: %s", self._path, error)
