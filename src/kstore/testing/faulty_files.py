"""A file system that fails as it is told, and one that loses what was not synced.

`FaultyFiles` stands in for `kstore.log.files.Files`, the log's one door to the disk. It does the
real thing in a real directory, but for the calls it was told to fail or to delay, but for the room
that it pretends to have, and but for syncs: nothing is cut off from power here, so these are only
noted. `after_power_cut` copies a directory as the disk might hold it if the power went now (see
`kstore.testing.disk`). `after_call` is called after each call that changed something, while no
other call can come: the world stands still.

For tests of the log, ours and those of programs that embed it. Any thread may use it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from kstore.log.files import Files
from kstore.testing.disk import Disk, DiskFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FaultyFiles"]


class _Fault(NamedTuple):
    """The error of a method's calls for paths that end in `suffix`, from a call on."""

    errno: int
    suffix: str
    first: int
    times: int


class FaultyFiles(Files):
    """`calls` counts what was done, by the name of the method."""

    page_size = 4096
    """Where bytes may be torn; a disk's sectors may be smaller than the system's pages."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.room: int | None = None
        """Bytes that may still be preallocated or written; None for no limit."""
        self.after_call: Callable[[str, Path | None], None] | None = None
        self._faults: dict[str, _Fault] = {}
        self._delays_s: dict[str, float] = {}
        self._failing_call: tuple[int, int] | None = None
        self._paths: dict[int, Path] = {}
        self._disk = Disk()
        self._nodes: dict[int, DiskFile] = {}
        self._lock = threading.RLock()

    # What tests say

    def fail(
        self, method: str, errno: int, *, suffix: str = "", first: int = 1, count: int = 1 << 62
    ) -> None:
        """`method` raises this error, for paths that end in `suffix`, until `heal`: from its
        `first` such call from now on, `count` times."""
        self._faults[method] = _Fault(errno, suffix, first, count)

    def fail_call(self, number: int, errno: int) -> None:
        """The call that is `number` calls of any kind from now raises this error."""
        self._failing_call = self.calls.total() + number, errno

    def delay(self, method: str, seconds: float) -> None:
        """`method` takes so much longer, until `heal`."""
        self._delays_s[method] = seconds

    def heal(self) -> None:
        """Nothing fails any more."""
        self._faults.clear()
        self._delays_s.clear()
        self._failing_call = None
        self.room = None

    def left_by_power_cut(
        self, directory: Path, choose: Random | None = None
    ) -> dict[Path, bytes | None]:
        """What might be left of `directory`: relative paths, and the bytes of those that are files.

        Without `choose` nothing but what was synced, with it also some of what was not.
        """
        with self._lock:
            return self._disk.after_cut(directory, choose, self.page_size)

    def after_power_cut(self, directory: Path, copy: Path, choose: Random | None = None) -> None:
        """Writes that to `copy`, a new directory."""
        copy.mkdir()
        for path, data in sorted(self.left_by_power_cut(directory, choose).items()):
            if data is None:
                (copy / path).mkdir()
            else:
                (copy / path).write_bytes(data)

    # What the log does

    def _step(self, method: str, path: Path | None) -> None:
        with self._lock:
            self.calls[method] += 1
            errno = self._error_of(method, path)
        if method in self._delays_s:
            time.sleep(self._delays_s[method])
        if errno:
            raise OSError(errno, os.strerror(errno), str(path))

    def _error_of(self, method: str, path: Path | None) -> int:
        if self._failing_call is not None and self.calls.total() == self._failing_call[0]:
            return self._failing_call[1]
        fault = self._faults.get(method)
        if fault is None or not str(path or "").endswith(fault.suffix):
            return 0
        self._faults[method] = fault._replace(first=fault.first - 1)
        return fault.errno if 1 - fault.times < fault.first <= 1 else 0

    def _did(self, method: str, path: Path | None) -> None:
        if self.after_call is not None:
            self.after_call(method, path)

    def _take(self, size: int) -> None:
        if self.room is not None:
            if size > self.room:
                raise OSError(28, os.strerror(28))
            self.room -= size

    def _resized(self, descriptor: int) -> None:
        self._nodes[descriptor].sizes.add(self.size(descriptor))

    def open(self, path: Path, *, create: bool = False) -> int:
        self._step("open", path)
        with self._lock:
            is_new = create and not path.exists()
            descriptor, node = self._disk.opened(
                path, lambda: super(FaultyFiles, self).open(path, create=create)
            )
            self._paths[descriptor], self._nodes[descriptor] = path, node
            if is_new:
                self._did("open", path)
        return descriptor

    def open_to_read(self, path: Path) -> int:
        self._step("open", path)
        descriptor = super().open_to_read(path)
        self._paths[descriptor] = path
        return descriptor

    def close(self, descriptor: int) -> None:
        # Without the lock: a handle may be closed by the collector, in a thread for which somebody
        # waits who holds it.
        self._paths.pop(descriptor, None)
        self._nodes.pop(descriptor, None)
        super().close(descriptor)

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        self._step("read", self._paths.get(descriptor))
        return super().read(descriptor, size, position)

    def read_into(self, descriptor: int, buffer: memoryview, position: int) -> int:
        self._step("read", self._paths.get(descriptor))
        return super().read_into(descriptor, buffer, position)

    def write(self, descriptor: int, data: bytes | memoryview, position: int) -> None:
        path = self._paths.get(descriptor)
        self._step("write", path)
        self._take(len(data))
        with self._lock:
            super().write(descriptor, data, position)
            self._resized(descriptor)
            self._did("write", path)

    def write_parts(self, descriptor: int, parts: list[Buffer], position: int) -> None:
        path = self._paths.get(descriptor)
        self._step("write", path)
        self._take(sum(memoryview(part).nbytes for part in parts))
        with self._lock:
            super().write_parts(descriptor, parts, position)
            self._resized(descriptor)
            self._did("write", path)

    def preallocate(self, descriptor: int, position: int, size: int) -> None:
        path = self._paths.get(descriptor)
        self._step("preallocate", path)
        self._take(size)
        with self._lock:
            super().preallocate(descriptor, position, size)
            self._resized(descriptor)
            self._did("preallocate", path)

    def truncate(self, descriptor: int, size: int) -> None:
        path = self._paths.get(descriptor)
        self._step("truncate", path)
        with self._lock:
            node = self._nodes[descriptor]
            node.least_size = min(node.least_size, size)
            super().truncate(descriptor, size)
            self._resized(descriptor)
            self._did("truncate", path)

    def sync(self, descriptor: int) -> None:
        path = self._paths[descriptor]
        self._step("sync", path)
        with self._lock:
            self._nodes[descriptor].sync()
            self._did("sync", path)

    def sync_directory(self, directory: Path) -> None:
        self._step("sync_directory", directory)
        with self._lock:
            self._disk.synced_directory(directory)
            self._did("sync_directory", directory)

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename", old)
        with self._lock:
            self._disk.renamed(old, new, lambda: super(FaultyFiles, self).rename(old, new))
            for descriptor, path in list(self._paths.items()):
                if path == old or old in path.parents:
                    self._paths[descriptor] = new / path.relative_to(old)
            self._did("rename", new)

    def delete(self, path: Path, *, missing_ok: bool = False) -> None:
        self._step("delete", path)
        with self._lock:
            existed = path.exists()
            self._disk.removed(
                path, lambda: super(FaultyFiles, self).delete(path, missing_ok=missing_ok)
            )
            if existed:
                self._did("delete", path)

    def make_directory(self, directory: Path, *, parents: bool = False) -> None:
        self._step("make_directory", directory)
        with self._lock:
            is_new = not directory.exists()
            self._disk.made_directory(
                directory,
                lambda: super(FaultyFiles, self).make_directory(directory, parents=parents),
            )
            if is_new:
                self._did("make_directory", directory)

    def remove_directory(self, directory: Path) -> None:
        self._step("remove_directory", directory)
        with self._lock:
            self._disk.removed(
                directory, lambda: super(FaultyFiles, self).remove_directory(directory)
            )
            self._did("remove_directory", directory)
