"""The embedded tree: one SQLite file, for a broker that needs nothing else.

Calls queue up on the loop; a worker takes all that have gathered, does them in one transaction, and
the answers come back in order. So a call costs one hop to a worker and back, and many at once cost
one sync of the disk together. Only one worker is at it at a time.

A full disk fails the calls that it hits (`WriteFailed`) and nothing else. Any other fault of the
storage ends the tree: what was on its way may be on disk (`OutcomeUnknown`), all later calls fail
with `TreeClosed`, and the next start reads what is there.

Thread: the loop. `_run` alone runs in a worker.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from kstore.metadata.sqlite_nodes import NodeTable
from kstore.metadata.tree import (
    ANY_VERSION,
    Check,
    Create,
    Delete,
    EventKind,
    Node,
    NoNode,
    Operation,
    OutcomeUnknown,
    Set,
    StoredNode,
    TreeClosed,
    TreeError,
    Watch,
    WatchEvent,
    WriteFailed,
    check_data,
    check_path,
    parent_of,
)
from kstore.runtime import Later, Runtime

__all__ = ["METADATA_FILE", "SqliteTree"]

METADATA_FILE = "kstore-metadata.sqlite"
"""The file's name in a data directory. A file, since Kafka takes directories for partitions."""

log = logging.getLogger("kstore.metadata")

T = TypeVar("T")


class _Written(NamedTuple):
    """What a write did: the versions of its nodes, and the operations in full."""

    versions: list[int]
    operations: Sequence[Operation]


class _Request:
    """A call on its way: `work` runs in a worker, `answer` on the loop with what it gave."""

    __slots__ = ("answer", "later", "path", "work", "writes")

    def __init__(
        self,
        path: str,
        work: Callable[[NodeTable], Any],
        answer: Callable[[Any], None],
        later: Later[Any],
        *,
        writes: bool,
    ) -> None:
        self.path = path
        self.work = work
        self.answer = answer
        self.later = later
        self.writes = writes


class SqliteTree:
    """A `Tree` in `file`. Opening reads little and raises StoreError if the file can't be used."""

    def __init__(self, file: Path, runtime: Runtime) -> None:
        self._table = NodeTable(file)
        self._runtime = runtime
        self._queue: list[_Request] = []
        self._in_worker = False
        self._pumping = False
        self._ended: str | None = None
        self._closing: Later[None] | None = None
        self._data_watches: dict[str, list[Watch]] = {}
        self._child_watches: dict[str, list[Watch]] = {}

    # Reading

    def get(self, path: str, watch: Watch | None = None) -> Later[Node]:
        def work(table: NodeTable) -> Node:
            node = table.find(path)
            if node is None:
                raise NoNode(path)
            return node

        return self._read(path, work, self._data_watches, watch)

    def exists(self, path: str, watch: Watch | None = None) -> Later[Node | None]:
        return self._read(path, lambda table: table.find(path), self._data_watches, watch)

    def children(self, path: str, watch: Watch | None = None) -> Later[list[str]]:
        return self._read(path, lambda table: table.children(path), self._child_watches, watch)

    def walk(self, path: str) -> Later[list[StoredNode]]:
        return self._read(path, lambda table: table.walk(path), {}, None)

    def _read(
        self,
        path: str,
        work: Callable[[NodeTable], T],
        watches: dict[str, list[Watch]],
        watch: Watch | None,
    ) -> Later[T]:
        check_path(path)
        later: Later[T] = Later()

        def answer(value: T) -> None:
            # The answers of later writes come after this one, so none of them is missed.
            if watch is not None:
                watches.setdefault(path, []).append(watch)
            later.complete(value)

        return self._submit(_Request(path, work, answer, later, writes=False))

    # Writing

    def create(
        self, path: str, data: bytes = b"", *, parents: bool = False, ephemeral: bool = False
    ) -> Later[None]:
        last = Create(path, data, ephemeral)

        def expand(table: NodeTable) -> Sequence[Operation]:
            return [*map(Create, table.missing_parents(path)), last] if parents else [last]

        return self._write([last], expand).map(lambda _: None)

    def set(self, path: str, data: bytes, version: int = ANY_VERSION) -> Later[int]:
        return self.transact([Set(path, data, version)]).map(lambda versions: versions[0])

    def delete(self, path: str, version: int = ANY_VERSION) -> Later[None]:
        return self.transact([Delete(path, version)]).map(lambda _: None)

    def transact(self, operations: Sequence[Operation]) -> Later[list[int]]:
        if not operations:
            return Later.of([])
        return self._write(operations, lambda _: operations)

    def _write(
        self,
        operations: Sequence[Operation],
        expand: Callable[[NodeTable], Sequence[Operation]],
    ) -> Later[list[int]]:
        for operation in operations:
            check_path(operation.path)
            if isinstance(operation, Create | Set):
                check_data(operation.path, operation.data)
            if isinstance(operation, Delete) and operation.path == "/":
                raise ValueError("the root can't be deleted")
        later: Later[list[int]] = Later()

        def work(table: NodeTable) -> _Written:
            expanded = expand(table)
            return _Written(table.apply(expanded), expanded)

        def answer(written: _Written) -> None:
            for operation in written.operations:
                self._notify(operation)
            later.complete(written.versions)

        return self._submit(_Request(operations[0].path, work, answer, later, writes=True))

    # Watches

    def _notify(self, operation: Operation) -> None:
        path = operation.path
        if isinstance(operation, Check):
            return
        if isinstance(operation, Set):
            _call(self._data_watches, WatchEvent(EventKind.CHANGED, path))
            return
        if isinstance(operation, Create):
            _call(self._data_watches, WatchEvent(EventKind.CREATED, path))
        else:
            _call(self._data_watches, WatchEvent(EventKind.DELETED, path))
            _call(self._child_watches, WatchEvent(EventKind.DELETED, path))
        _call(self._child_watches, WatchEvent(EventKind.CHILDREN, parent_of(path)))

    # The queue and its worker

    def _submit(self, request: _Request) -> Later[Any]:
        if self._ended is not None:
            request.later.fail(TreeClosed(request.path, self._ended))
        else:
            self._queue.append(request)
            self._pump()
        return request.later

    def close(self) -> Later[None]:
        if self._closing is None:
            self._closing = Later()
            self._ended = self._ended or "the tree is closed"
            self._pump()
        return self._closing

    def _pump(self) -> None:
        """Sends what has gathered to a worker, unless one is at it.

        A loop and not a call from `_finish` to here: with a synchronous runtime answers come at
        once, and what they lead to would pile up on the stack.
        """
        if self._pumping:
            return
        self._pumping = True
        try:
            while not self._in_worker and (self._queue or self._close_is_due()):
                self._in_worker = True
                self._send()
        finally:
            self._pumping = False

    def _close_is_due(self) -> bool:
        return self._closing is not None and not self._closing.done

    def _send(self) -> None:
        if self._queue:
            batch, self._queue = self._queue, []
            work = partial(_run, self._table, batch)
            self._runtime.run_in_worker(work).then(partial(self._finish, batch))
        else:
            self._runtime.run_in_worker(self._table.close).then(self._closed)

    def _finish(self, batch: list[_Request], done: Later[list[Any]]) -> None:
        if done.error is not None:
            self._give_up(batch, done.error)
        else:
            for request, outcome in zip(batch, done.result(), strict=True):
                _answer(request, outcome)
        self._in_worker = False
        self._pump()

    def _give_up(self, batch: list[_Request], error: BaseException) -> None:
        log.error("metadata store failed, no change is taken any more", exc_info=error)
        self._ended = f"the metadata store failed: {error}"
        waiting, self._queue = self._queue, []
        for request in batch:
            unknown = OutcomeUnknown if request.writes else TreeClosed
            _answer(request, unknown(request.path, self._ended))
        for request in waiting:
            _answer(request, TreeClosed(request.path, self._ended))

    def _closed(self, done: Later[None]) -> None:
        assert self._closing is not None
        self._data_watches.clear()
        self._child_watches.clear()
        if done.error is not None:
            self._closing.fail(done.error)
        else:
            self._closing.complete(None)


def _run(table: NodeTable, batch: list[_Request]) -> list[Any]:
    """Does a batch in one transaction; gives each request's value or TreeError.

    Reads see the batch's own writes, so no answer may leave before the commit. sqlite3.Error means
    that the storage failed.
    """
    try:
        table.begin()
        outcomes = [_attempt(table, request) for request in batch]
        table.commit()
    except sqlite3.Error as error:
        # Of a full disk SQLite knows for certain that nothing was committed.
        table.roll_back()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
            raise
        if len(batch) > 1:
            return [outcome for request in batch for outcome in _run(table, [request])]
        return [WriteFailed(batch[0].path, str(error))]
    return outcomes


def _attempt(table: NodeTable, request: _Request) -> Any:
    try:
        return request.work(table)
    except TreeError as error:
        return error


def _answer(request: _Request, outcome: Any) -> None:
    """Answers one request. A callback that raises must not cost the others their answers."""
    try:
        if isinstance(outcome, TreeError):
            request.later.fail(outcome)
        else:
            request.answer(outcome)
    except Exception:
        log.exception("a callback failed path=%s", request.path)


def _call(watches: dict[str, list[Watch]], event: WatchEvent) -> None:
    for watch in watches.pop(event.path, ()):
        try:
            watch(event)
        except Exception:
            log.exception("a watch failed path=%s", event.path)
