"""A file system that fails as it is told, and one that remembers what was synced.

`FaultyFiles` stands in for `kstore.log.files.Files`, the log's one door to the disk. It does the
real thing in a real directory, but for the calls it was told to fail, and but for the room that it
pretends to have. `after_power_cut` copies a directory as the disk would hold it if the power went
now: only names and bytes that were synced.

For tests of the log, ours and those of programs that embed it. Any thread may use it.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from kstore.log.files import Files

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FaultyFiles"]


class FaultyFiles(Files):
    """`calls` counts what was done, by the name of the method."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.room: int | None = None
        """Bytes that may still be preallocated or written; None for no limit."""
        self._faults: dict[str, tuple[int, str]] = {}
        self._paths: dict[int, Path] = {}
        self._synced: dict[Path, bytes] = {}
        self._names: dict[Path, dict[str, Path]] = {}
        self._lock = threading.Lock()

    # What tests say

    def fail(self, method: str, errno: int, *, suffix: str = "") -> None:
        """`method` raises this error, for paths that end in `suffix`, until `heal`."""
        self._faults[method] = (errno, suffix)

    def heal(self) -> None:
        """Nothing fails any more."""
        self._faults.clear()
        self.room = None

    def after_power_cut(self, directory: Path, copy: Path) -> None:
        """Writes to `copy`, a new directory, what would be left of `directory`.

        A file is there if its name was synced with its directory, with the bytes of its own last
        sync. Directories in `directory` count as synced.
        """
        copy.mkdir()
        for place in [directory, *(entry for entry in directory.iterdir() if entry.is_dir())]:
            to = copy / place.relative_to(directory)
            to.mkdir(exist_ok=True)
            for name, path in self._names.get(place, {}).items():
                (to / name).write_bytes(self._synced.get(path, b""))

    # What the log does

    def _step(self, method: str, path: Path | None) -> None:
        with self._lock:
            self.calls[method] += 1
        errno, suffix = self._faults.get(method, (0, ""))
        if errno and str(path or "").endswith(suffix):
            raise OSError(errno, os.strerror(errno), str(path))

    def _take(self, size: int) -> None:
        if self.room is not None:
            if size > self.room:
                raise OSError(28, os.strerror(28))
            self.room -= size

    def open(self, path: Path, *, create: bool = False) -> int:
        self._step("open", path)
        descriptor = super().open(path, create=create)
        self._paths[descriptor] = path
        return descriptor

    def open_to_read(self, path: Path) -> int:
        self._step("open", path)
        descriptor = super().open_to_read(path)
        self._paths[descriptor] = path
        return descriptor

    def close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        super().close(descriptor)

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        self._step("read", self._paths.get(descriptor))
        return super().read(descriptor, size, position)

    def read_into(self, descriptor: int, buffer: memoryview, position: int) -> int:
        self._step("read", self._paths.get(descriptor))
        return super().read_into(descriptor, buffer, position)

    def write(self, descriptor: int, data: bytes | memoryview, position: int) -> None:
        self._step("write", self._paths.get(descriptor))
        self._take(len(data))
        super().write(descriptor, data, position)

    def write_parts(self, descriptor: int, parts: list[Buffer], position: int) -> None:
        self._step("write", self._paths.get(descriptor))
        self._take(sum(memoryview(part).nbytes for part in parts))
        super().write_parts(descriptor, parts, position)

    def preallocate(self, descriptor: int, position: int, size: int) -> None:
        self._step("preallocate", self._paths.get(descriptor))
        self._take(size)
        super().preallocate(descriptor, position, size)

    def truncate(self, descriptor: int, size: int) -> None:
        self._step("truncate", self._paths.get(descriptor))
        super().truncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        path = self._paths[descriptor]
        self._step("sync", path)
        super().sync(descriptor)
        self._synced[path] = super().read(descriptor, self.size(descriptor), 0)

    def sync_directory(self, directory: Path) -> None:
        self._step("sync_directory", directory)
        super().sync_directory(directory)
        self._names[directory] = {
            entry.name: entry for entry in directory.iterdir() if entry.is_file()
        }

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename", old)
        super().rename(old, new)
        for path in [path for path in self._synced if path == old or old in path.parents]:
            self._synced[new / path.relative_to(old)] = self._synced.pop(path)
        for names in self._names.values():
            # The name that is on the disk still leads to these bytes.
            names.update({name: new for name, path in names.items() if path == old})
        for descriptor, path in list(self._paths.items()):
            if path == old:
                self._paths[descriptor] = new
        if old in self._names:
            self._names[new] = {name: new / name for name in self._names.pop(old)}

    def delete(self, path: Path, *, missing_ok: bool = False) -> None:
        self._step("delete", path)
        super().delete(path, missing_ok=missing_ok)
