"""The one door to the file system for the log.

Nothing else in `kstore.log` opens, maps, preallocates, writes, syncs, renames or deletes a file.
A `Files` is passed into `Store` and `Log`, so that tests put a faulty one in its place: a full
disk, a failed sync, everything lost that was not synced. It has no state, and every method may be
called on any thread. Errors are the OSErrors of the system, untouched.

Writing through a map is safe only where the disk has really given the blocks: `preallocate` asks
for them, and meets a full disk as an OSError instead of a SIGBUS.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import resource
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "FILE_ERRNOS",
    "NO_HANDLE_ERRNOS",
    "TEMPORARY_ERRNOS",
    "Files",
    "ReadOnlyFiles",
]

# After these errors nothing is broken: the same call may succeed once there is room again.
TEMPORARY_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
)

# The process, or the system, has no descriptor left. The disk was not even asked.
NO_HANDLE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE})

# These say that one name or one file is not what it should be. All others speak of the disk.
FILE_ERRNOS = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOTEMPTY,
        errno.EACCES,
        errno.EPERM,
        errno.ELOOP,
        errno.EFBIG,
        errno.ENAMETOOLONG,
    }
)

# Only Linux can say whether bytes are in memory; elsewhere the probe is a plain read.
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)

# C's struct flock: type, whence, start, length (0: to the end), process.
_FLOCK = struct.Struct("hhqqi4x")

# Some file systems give blocks only to who writes to them.
_NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS})


class Files:
    """The real file system."""

    def open(self, path: Path, *, create: bool = False) -> int:
        """A descriptor for reading and writing; with `create` the file may be new."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return os.open(path, flags, 0o644)

    def open_to_read(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    @contextmanager
    def opened(self, path: Path, *, create: bool = False) -> Iterator[int]:
        """A descriptor for the length of a `with` block."""
        descriptor = self.open(path, create=create)
        try:
            yield descriptor
        finally:
            self.close(descriptor)

    def size(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_size

    def modified_ms(self, path: Path) -> int:
        return os.stat(path).st_mtime_ns // 1_000_000

    def set_modified_ms(self, path: Path, modified_ms: int) -> None:
        os.utime(path, ns=(modified_ms * 1_000_000, modified_ms * 1_000_000))

    def read(self, descriptor: int, size: int, position: int) -> bytes:
        """Up to `size` bytes at `position`; fewer only at the end of the file."""
        data = os.pread(descriptor, size, position)
        if len(data) == size or not data:
            return data
        parts = [data]
        missing = size - len(data)
        while missing and (data := os.pread(descriptor, missing, position + size - missing)):
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def read_into(self, descriptor: int, buffer: memoryview, position: int) -> int:
        """Fills `buffer` from `position` on; how many bytes: fewer only at the end of the file."""
        filled = 0
        while filled < len(buffer):
            count = os.preadv(descriptor, [buffer[filled:]], position + filled)
            if not count:
                break
            filled += count
        return filled

    def read_ahead(self, descriptor: int, size: int, position: int) -> None:
        """Asks for bytes that will be read soon; does not wait for them."""
        with suppress(OSError):
            os.posix_fadvise(descriptor, position, size, os.POSIX_FADV_WILLNEED)

    def is_resident(self, descriptor: int, size: int, position: int) -> bool:
        """Whether the last of `size` bytes at `position` is in memory, so that none is waited for.

        The last page stands for all: what is read ahead or written comes in order. Where the
        system can't tell, the answer is yes.
        """
        try:
            os.preadv(descriptor, [bytearray(1)], position + size - 1, _NOWAIT)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        return True

    def read_now(self, descriptor: int, size: int, position: int) -> bytearray | None:
        """`size` bytes at `position`, None if they are not all there and in memory."""
        data = bytearray(size)
        try:
            count = os.preadv(descriptor, [data], position, _NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            return None
        return data if count == size else None

    def write(self, descriptor: int, data: bytes | memoryview, position: int) -> None:
        """Writes all of `data` at `position`."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(descriptor, rest, position)
            rest = rest[written:]
            position += written

    def write_parts(self, descriptor: int, parts: list[Buffer], position: int) -> None:
        """Writes `parts` one after the other at `position`, if the system will in one call."""
        written = os.pwritev(descriptor, parts, position)
        for part in [memoryview(data) for data in parts]:
            if written < len(part):
                self.write(descriptor, part[written:], position + written)
            position += len(part)
            written = max(0, written - len(part))

    def preallocate(self, descriptor: int, position: int, size: int) -> None:
        """Makes the file `position + size` bytes long, with blocks behind all that is new.

        `position` is the file's end, or in what was preallocated before.
        """
        try:
            os.posix_fallocate(descriptor, position, size)
        except OSError as error:
            if error.errno not in _NOT_SUPPORTED:
                raise
            start = max(position, self.size(descriptor))
            self.write(descriptor, bytes(position + size - start), start)

    def truncate(self, descriptor: int, size: int) -> None:
        os.ftruncate(descriptor, size)

    def map(self, descriptor: int, size: int) -> mmap.mmap:
        """The first `size` bytes, shared and writable; unmapped when the last view is gone."""
        return _map(descriptor, size, mmap.PROT_READ | mmap.PROT_WRITE)

    def unmap(self, map: mmap.mmap) -> None:
        """Ends a map now rather than with its last reference; it stays while it has views.

        Without the GIL: the system takes a while to forget all pages.
        """
        with suppress(BufferError):
            map.close()

    def map_to_read(self, descriptor: int, size: int) -> Buffer:
        """The first `size` bytes as they are at any time, to be touched under a guard only.

        Raises ValueError if the file is shorter.
        """
        return _map(descriptor, size, mmap.PROT_READ)

    def sync(self, descriptor: int) -> None:
        """Returns when the file's bytes, mapped writes included, and its size are on the disk."""
        os.fdatasync(descriptor)

    def begin_sync(self, descriptor: int, size: int, position: int) -> None:
        """Has the system begin to bring bytes to the disk that were just written; does not wait.

        What is asked for is to forget them: Linux then begins to write those that are not on the
        disk yet, and keeps them.
        """
        with suppress(OSError):
            os.posix_fadvise(descriptor, position, size, os.POSIX_FADV_DONTNEED)

    def sync_directory(self, directory: Path) -> None:
        """Makes names that were created, renamed or deleted in `directory` last."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def delete(self, path: Path, *, missing_ok: bool = False) -> None:
        path.unlink(missing_ok=missing_ok)

    def exists(self, path: Path) -> bool:
        return path.exists()

    def is_file_of(self, descriptor: int, path: Path) -> bool:
        """Whether `path` leads to the file that is open here. Raises OSError if nowhere."""
        return os.path.samestat(os.fstat(descriptor), os.stat(path))

    def scan(self, directory: Path) -> list[tuple[str, int]]:
        """Names and sizes of the plain files of `directory`, sorted by name."""
        with os.scandir(directory) as entries:
            return sorted(
                (entry.name, entry.stat().st_size)
                for entry in entries
                if entry.is_file(follow_symlinks=False)
            )

    def directories(self, directory: Path) -> list[str]:
        """Names of the directories in `directory`, sorted."""
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())

    def make_directory(self, directory: Path, *, parents: bool = False) -> None:
        directory.mkdir(parents=parents, exist_ok=parents)

    def remove_directory(self, directory: Path) -> None:
        directory.rmdir()

    def read_file(self, path: Path) -> bytes | None:
        """The whole of a small file, None if there is none."""
        try:
            descriptor = self.open_to_read(path)
        except FileNotFoundError:
            return None
        try:
            return self.read(descriptor, self.size(descriptor), 0)
        finally:
            self.close(descriptor)

    def replace_file(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        """Writes a small file so that a crash leaves the old one or the new one.

        An error leaves nothing half written: on a full disk that would take what room there is.
        With `durable` the new one is on the disk on return; without, a power cut may still undo it.
        """
        temporary = path.with_name(path.name + ".tmp")
        try:
            with self.opened(temporary, create=True) as descriptor:
                self.truncate(descriptor, 0)
                self.write(descriptor, data, 0)
                if durable:
                    self.sync(descriptor)
            self.rename(temporary, path)
        except OSError:
            with suppress(OSError):
                self.delete(temporary, missing_ok=True)
            raise
        if durable:
            self.sync_directory(path.parent)

    def volume(self, directory: Path) -> tuple[int, int]:
        """Bytes of the file system that holds `directory`: all, and those that may be written."""
        found = os.statvfs(directory)
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    def descriptor_limit(self) -> int:
        """How many descriptors the process may have open, sockets included."""
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    def lock(self, path: Path) -> int | None:
        """Locks `path`, None if another process or descriptor holds it; closing unlocks.

        Takes both kinds of locks that there are, as they don't see each other: `flock`, and the
        record lock, which is what Kafka takes.
        """
        descriptor = self.open(path, create=True)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _lock_record(descriptor)
        except (BlockingIOError, PermissionError):
            self.close(descriptor)
            return None
        except OSError:
            self.close(descriptor)
            raise
        return descriptor


def _map(descriptor: int, size: int, access: int) -> mmap.mmap:
    if sys.version_info >= (3, 13):
        # Without it every map would hold a descriptor of its own.
        return mmap.mmap(descriptor, size, mmap.MAP_SHARED, access, trackfd=False)
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED, access)


def _lock_record(descriptor: int) -> None:
    """Takes the record lock of a whole file, or raises BlockingIOError or PermissionError.

    Where there is one, it is Linux's that belongs to the descriptor: a plain one is lost as soon as
    the process closes any other descriptor of that file.
    """
    command = getattr(fcntl, "F_OFD_SETLK", None)
    if command is None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        fcntl.fcntl(descriptor, command, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))


class ReadOnlyFiles(Files):
    """The real file system for those who only look: whatever is opened is opened to be read."""

    def open(self, path: Path, *, create: bool = False) -> int:
        if create:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return self.open_to_read(path)
