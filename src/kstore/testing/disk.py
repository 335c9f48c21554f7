"""What a disk may hold after a power cut, while the files themselves lie in a real directory.

Of each file the bytes of its last sync are kept, and of each directory the names of its last sync
and what was done to names since. A cut leaves what was synced, and of the rest whatever a choice
takes: each page old or new, any size that the file had or passed on its way (a size without its
data is zeros), and of the names in a directory none, all, the first ones or any of the changes. A
rename is one change. What is torn is torn at the borders of pages. Without a choice nothing is left
but what was synced.

What lies in a directory that was made by somebody else counts as synced as it is when it is met
first. Called by `FaultyFiles`, which holds its lock meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

__all__ = ["Disk", "DiskFile"]

T = TypeVar("T")


class _Node:
    """A file or a directory; `parent` is None once its name is gone."""

    def __init__(self, parent: _Directory | None, name: str) -> None:
        self.parent = parent
        self.name = name

    @property
    def path(self) -> Path | None:
        above = None if self.parent is None else self.parent.path
        return None if above is None else above / self.name


class DiskFile(_Node):
    """`synced` is None as long as nobody has opened it to write: the file is as it was."""

    def __init__(self, parent: _Directory | None, name: str, synced: bytes | None) -> None:
        super().__init__(parent, name)
        self.synced = synced
        self.sizes: set[int] = set()
        """Sizes that it had since the sync."""
        self.least_size = 1 << 62
        """The least of those that it was cut to: zeros may be left behind it."""
        self.last = b""
        """What it held when its name went."""

    def content(self) -> bytes:
        path = self.path
        try:
            return self.last if path is None else path.read_bytes()
        except OSError:  # somebody else has taken it away
            return self.last

    def sync(self) -> None:
        self.synced = self.content()
        self.sizes.clear()
        self.least_size = 1 << 62

    def after_cut(self, choose: Random | None, page_size: int) -> bytes:
        now = self.content()
        old = now if self.synced is None else self.synced
        if choose is None or self.synced is None or (now == old and not self.sizes):
            return old
        size = self._size_after_cut(choose, old, now, page_size)
        all_alike = choose.choice([old, now, None, None])
        left = bytearray()
        for at in range(0, size, page_size):
            pages = [old, now] if all_alike is None else [all_alike]
            if at >= self.least_size:
                pages.append(b"")
            left += choose.choice(pages)[at : at + page_size].ljust(page_size, b"\0")
        return bytes(left[:size])

    def _size_after_cut(self, choose: Random, old: bytes, now: bytes, page_size: int) -> int:
        least, most = sorted((len(old), len(now)))
        passed = choose.randrange(least, most + 1) // page_size * page_size
        return choose.choice([len(old), len(now), max(least, passed), *sorted(self.sizes)])


class _Change(NamedTuple):
    """Of one name in a directory, or of two at once: a rename."""

    node: _Node
    removed: str | None
    added: str | None

    def apply(self, names: dict[str, _Node]) -> None:
        if self.removed is not None and names.get(self.removed) is self.node:
            del names[self.removed]
        if self.added is not None:
            names[self.added] = self.node


class _Directory(_Node):
    """`root` is the path of one whose parent nobody has asked for."""

    def __init__(self, parent: _Directory | None, name: str, root: Path | None = None) -> None:
        super().__init__(parent, name)
        self._root = root
        self.names: dict[str, _Node] = {}
        self.synced: dict[str, _Node] = {}
        self.changes: list[_Change] = []

    @property
    def path(self) -> Path | None:
        return super().path if self._root is None else self._root

    def change(self, node: _Node, *, removed: str | None = None, added: str | None = None) -> None:
        change = _Change(node, removed, added)
        change.apply(self.names)
        self.changes.append(change)

    def sync(self) -> None:
        self.synced = dict(self.names)
        self.changes.clear()

    def after_cut(self, choose: Random | None) -> dict[str, _Node]:
        left = dict(self.synced)
        for change in [] if choose is None else _some(choose, self.changes):
            change.apply(left)
        return left


def _some(choose: Random, changes: list[T]) -> list[T]:
    """None, all, the first ones, or any of them."""
    kind = choose.randrange(4)
    if kind == 0:
        return []
    if kind == 1:
        return changes
    if kind == 2:
        return changes[: choose.randrange(len(changes) + 1)]
    return [change for change in changes if choose.random() < 0.5]


class Disk:
    """The directories that somebody has worked in."""

    def __init__(self) -> None:
        self._directories: dict[Path, _Directory] = {}

    # What is done to it

    def opened(self, path: Path, open_it: Callable[[], int]) -> tuple[int, DiskFile]:
        """Opens a file to write, which may be a new one."""
        directory = self._directory(path.parent)
        is_new = not path.exists()
        node = directory.names.get(path.name)
        if node is None and not is_new:
            node = directory.names[path.name] = DiskFile(directory, path.name, None)
            directory.synced[path.name] = node
        if isinstance(node, DiskFile) and node.synced is None:
            node.synced = node.content()
        descriptor = open_it()
        if node is None or is_new:
            node = DiskFile(directory, path.name, b"")
            directory.change(node, added=path.name)
        assert isinstance(node, DiskFile), f"{path} is a directory"
        return descriptor, node

    def renamed(self, old: Path, new: Path, rename: Callable[[], None]) -> None:
        source, target = self._directory(old.parent), self._directory(new.parent)
        node = source.names.get(old.name)
        replaced = target.names.get(new.name)
        kept = replaced.content() if isinstance(replaced, DiskFile) else b""
        rename()
        if node is None:
            return
        if isinstance(replaced, DiskFile):
            replaced.last, replaced.parent = kept, None
        if source is target:
            source.change(node, removed=old.name, added=new.name)
        else:
            source.change(node, removed=old.name)
            target.change(node, added=new.name)
        node.parent, node.name = target, new.name
        if isinstance(node, _Directory):
            for path in [path for path in self._directories if path == old or old in path.parents]:
                self._directories[new / path.relative_to(old)] = self._directories.pop(path)

    def removed(self, path: Path, remove: Callable[[], None]) -> None:
        """Removes a file or an empty directory."""
        directory = self._directory(path.parent)
        node = directory.names.get(path.name)
        kept = node.content() if isinstance(node, DiskFile) else b""
        remove()
        if isinstance(node, DiskFile):
            node.last = kept
        if node is not None:
            directory.change(node, removed=path.name)
            node.parent = None
            self._directories.pop(path, None)

    def made_directory(self, path: Path, make: Callable[[], None]) -> None:
        """Makes a directory, perhaps with those above it."""
        missing = [path for path in [path, *path.parents] if not path.exists()]
        above = self._directory(missing[-1].parent) if missing else None
        make()
        for made in reversed(missing):
            assert above is not None
            directory = _Directory(above, made.name)
            above.change(directory, added=made.name)
            self._directories[made] = above = directory

    def synced_directory(self, path: Path) -> None:
        self._directory(path).sync()

    def _directory(self, path: Path) -> _Directory:
        """The directory at a path; what lies in one that is met first counts as synced."""
        found = self._directories.get(path)
        if found is not None:
            return found
        above = self._directories.get(path.parent)
        known = None if above is None else above.names.get(path.name)
        if isinstance(known, _Directory):
            directory = known
        else:
            directory = _Directory(above, path.name, path if above is None else None)
            if above is not None:
                above.names[path.name] = above.synced[path.name] = directory
        self._directories[path] = directory
        if path.is_dir():
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directory.names[entry.name] = _Directory(directory, entry.name)
                    else:
                        directory.names[entry.name] = DiskFile(directory, entry.name, None)
        directory.synced = dict(directory.names)
        return directory

    # What is left of it

    def after_cut(
        self, directory: Path, choose: Random | None, page_size: int
    ) -> dict[Path, bytes | None]:
        """What a power cut now leaves in `directory`: relative paths, and the bytes of files."""
        left: dict[Path, bytes | None] = {}
        self._collect(self._directory(directory), Path(), left, choose, page_size)
        return left

    def _collect(
        self,
        directory: _Directory,
        to: Path,
        left: dict[Path, bytes | None],
        choose: Random | None,
        page_size: int,
    ) -> None:
        path = directory.path
        if path is not None and path not in self._directories:
            # Nobody has worked in it.
            for found in path.rglob("*"):
                left[to / found.relative_to(path)] = None if found.is_dir() else found.read_bytes()
            return
        for name, node in sorted(directory.after_cut(choose).items()):
            if isinstance(node, _Directory):
                left[to / name] = None
                self._collect(node, to / name, left, choose, page_size)
            elif isinstance(node, DiskFile):
                left[to / name] = node.after_cut(choose, page_size)
