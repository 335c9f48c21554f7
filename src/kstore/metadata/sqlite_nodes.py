"""The nodes of a tree in one SQLite file: the part of the embedded store that works on the file.

One table, clustered by (parent, name), so that a node, its children and all below it are ranges of
one b-tree. The file is in WAL mode with `synchronous=FULL`: a commit is on disk when it returns.
The exclusive lock keeps other processes out and makes a file of shared memory needless.

Not thread-safe: one worker at a time, never the loop once the tree is open. `sqlite3.Error` leaves
this class as it is, except from opening.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kstore.errors import StoreError
from kstore.metadata.tree import (
    ANY_VERSION,
    BadVersion,
    Check,
    Create,
    NoChildrenForEphemerals,
    Node,
    NodeExists,
    NoNode,
    NotEmpty,
    Operation,
    Set,
    StoredNode,
    TreeError,
    parent_of,
)

__all__ = ["FORMAT", "NodeTable"]

FORMAT = 1
"""The version of the table, in SQLite's `user_version`."""

_APPLICATION_ID = 0x6B73746F

# Topics must be deletable on a full disk, and the broker start on one: the room for some changes is
# taken while there is some. SQLite deletes its log at a clean stop: a file keeps the room until the
# next start, as much as `_reserve` takes at most, in the log (twice) and in the file.
_RESERVE = 256 << 10
_RESERVE_SUFFIX = "-reserve"
_RESERVE_FILE_SIZE = 3 * _RESERVE + (128 << 10)
_CHECKPOINT_PAGES = 32

# What a big transaction leaves of its write-ahead log once it is no longer needed.
_WAL_SIZE_KEPT = 4 << 20

_SCHEMA = f"""
BEGIN;
CREATE TABLE node (
    parent TEXT NOT NULL,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    version INTEGER NOT NULL,
    ephemeral INTEGER NOT NULL,
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;
INSERT INTO node VALUES ('', '', x'', 0, 0);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {FORMAT};
COMMIT;
"""

_PATH = "CASE WHEN parent IN ('', '/') THEN '/' || name ELSE parent || '/' || name END"
_WALK_ALL = f"SELECT {_PATH}, data, version FROM node ORDER BY parent, name"
_WALK_BELOW = f"""
SELECT {_PATH}, data, version FROM node
WHERE parent = ? OR parent > ? AND parent < ? ORDER BY parent, name
"""


class NodeTable:
    """The nodes in `file`, which is created if it is missing. StoreError if it can't be used."""

    def __init__(self, file: Path) -> None:
        self._reserve_file = file.with_name(file.name + _RESERVE_SUFFIX)
        try:
            self._connection = sqlite3.connect(
                file, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreError(f"{file}: {error}") from error
        try:
            self._prepare(file)
        except sqlite3.Error as error:
            self._connection.close()
            raise StoreError(f"{file}: {error}") from error
        except StoreError:
            self._connection.close()
            raise

    def _prepare(self, file: Path) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute(f"PRAGMA journal_size_limit = {_WAL_SIZE_KEPT}")
        application_id = execute("PRAGMA application_id").fetchone()[0]
        version = execute("PRAGMA user_version").fetchone()[0]
        if application_id == 0 and execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            self._connection.executescript(_SCHEMA)
            self._reserve()
            return
        if application_id != _APPLICATION_ID:
            raise StoreError(f"{file}: this is not a metadata file of kstore")
        if version > FORMAT:
            raise StoreError(
                f"{file}: written by a newer kstore (format {version}, this one reads {FORMAT})"
            )
        with _full_disk_allowed():
            # What a kill has left in the log: it is begun anew after this.
            execute("PRAGMA wal_checkpoint(RESTART)")
        self._reserve()
        # Whoever created them is gone: the exclusive lock is ours.
        execute("DELETE FROM node WHERE ephemeral")

    def _reserve(self) -> None:
        """Takes room in the file (as free pages) and in its write-ahead log, and keeps it.

        The log is begun anew after every checkpoint, so small changes need no more room than this.
        The first change after it syncs the reserve too. A full disk is left with what was reserved
        before: a part of it would do harm, as no checkpoint could end.
        """
        if not self._keep_room():
            return
        self._reserve_file.unlink()
        execute = self._connection.execute
        execute("PRAGMA wal_autocheckpoint = 0")
        execute("PRAGMA synchronous = NORMAL")
        with _full_disk_allowed():
            execute("DROP TABLE IF EXISTS reserve")  # for want of room to drop it, the last time
            execute(f"CREATE TABLE reserve AS SELECT zeroblob({_RESERVE}) AS room")
            execute("DROP TABLE reserve")
        execute("PRAGMA synchronous = FULL")
        execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")

    # Transactions

    def begin(self) -> None:
        """Starts a transaction: of what follows, all or nothing is on disk."""
        self._connection.execute("BEGIN")

    def commit(self) -> None:
        """Makes it durable. After an error nobody knows whether it is."""
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Forgets the transaction, if SQLite has not done so already."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()
        self._keep_room()

    def _keep_room(self) -> bool:
        """Takes the room for `_reserve` with a file; False if there is not enough."""
        try:
            with self._reserve_file.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _RESERVE_FILE_SIZE)
        except OSError:
            with suppress(OSError):
                self._reserve_file.unlink(missing_ok=True)
            return False
        return True

    # Reading

    def find(self, path: str) -> Node | None:
        """The node at `path`."""
        row = self._connection.execute(
            "SELECT data, version FROM node WHERE parent = ? AND name = ?", _key(path)
        ).fetchone()
        return None if row is None else Node(*row)

    def children(self, path: str) -> list[str]:
        """The names of the children, sorted; NoNode."""
        if self.find(path) is None:
            raise NoNode(path)
        rows = self._connection.execute(
            "SELECT name FROM node WHERE parent = ? ORDER BY name", (path,)
        )
        return [name for (name,) in rows]

    def walk(self, path: str) -> list[StoredNode]:
        """The node and all below it, parents first."""
        if path == "/":
            return [StoredNode(*row) for row in self._connection.execute(_WALK_ALL)]
        top = self.find(path)
        if top is None:
            return []
        # "0" follows "/": between them lie the parents whose path begins with "<path>/".
        below = self._connection.execute(_WALK_BELOW, (path, f"{path}/", f"{path}0"))
        nodes = [StoredNode(path, top.data, top.version)]
        nodes.extend(StoredNode(*row) for row in below)
        return nodes

    def missing_parents(self, path: str) -> list[str]:
        """The paths above `path` that don't exist, the topmost first."""
        missing: list[str] = []
        parent = parent_of(path)
        while parent and self.find(parent) is None:
            missing.append(parent)
            parent = parent_of(parent)
        missing.reverse()
        return missing

    # Writing

    def apply(self, operations: Iterable[Operation]) -> list[int]:
        """Applies all operations, or none and raises the TreeError of the first that fails.

        To be called within a transaction. Returns each node's version afterwards, -1 if it is gone.
        """
        execute = self._connection.execute
        execute("SAVEPOINT request")
        try:
            versions = [self._apply(operation) for operation in operations]
        except TreeError:
            execute("ROLLBACK TO request")
            execute("RELEASE request")
            raise
        execute("RELEASE request")
        return versions

    def _apply(self, operation: Operation) -> int:
        if isinstance(operation, Create):
            return self._create(operation)
        path = operation.path
        key = _key(path)
        row = self._connection.execute(
            "SELECT version FROM node WHERE parent = ? AND name = ?", key
        ).fetchone()
        if row is None:
            raise NoNode(path)
        version: int = row[0]
        if operation.version not in (ANY_VERSION, version):
            raise BadVersion(path, operation.version, version)
        if isinstance(operation, Check):
            return version
        if isinstance(operation, Set):
            self._connection.execute(
                "UPDATE node SET data = ?, version = ? WHERE parent = ? AND name = ?",
                (operation.data, version + 1, *key),
            )
            return version + 1
        return self._delete(path)

    def _create(self, operation: Create) -> int:
        path = operation.path
        parent = self._connection.execute(
            "SELECT ephemeral FROM node WHERE parent = ? AND name = ?", _key(parent_of(path))
        ).fetchone()
        if parent is None:
            raise NoNode(parent_of(path))
        if parent[0]:
            raise NoChildrenForEphemerals(path)
        created = self._connection.execute(
            "INSERT OR IGNORE INTO node VALUES (?, ?, ?, 0, ?)",
            (*_key(path), operation.data, operation.ephemeral),
        )
        if not created.rowcount:
            raise NodeExists(path)
        return 0

    def _delete(self, path: str) -> int:
        child = self._connection.execute("SELECT 1 FROM node WHERE parent = ? LIMIT 1", (path,))
        if child.fetchone() is not None:
            raise NotEmpty(path)
        self._connection.execute("DELETE FROM node WHERE parent = ? AND name = ?", _key(path))
        return -1


@contextmanager
def _full_disk_allowed() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_FULL:
            raise


def _key(path: str) -> tuple[str, str]:
    parent = parent_of(path)
    return parent, path[len(parent) :].lstrip("/")
