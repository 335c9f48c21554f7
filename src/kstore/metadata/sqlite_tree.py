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
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from kstore.metadata.batches import Batches
from kstore.metadata.sqlite_nodes import NodeTable
from kstore.metadata.tree import (
    ANY_VERSION,
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
    check_operation,
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
    """What a write did: the versions of its nodes, and what their watches are to be told."""

    versions: list[int]
    data_events: dict[str, EventKind]
    child_events: dict[str, EventKind]


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
        self._batches: Batches[_Request] = Batches(self._send)
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
        later: Later[T] = Later()

        def checked_work(table: NodeTable) -> T:
            check_path(path)
            return work(table)

        def answer(value: T) -> None:
            # The answers of later writes come after this one, so none of them is missed.
            if watch is not None:
                watches.setdefault(path, []).append(watch)
            later.complete(value)

        return self._submit(_Request(path, checked_work, answer, later, writes=False))

    # Writing

    def create(
        self, path: str, data: bytes = b"", *, parents: bool = False, ephemeral: bool = False
    ) -> Later[None]:
        last = Create(path, data, ephemeral)

        def operations(table: NodeTable) -> Sequence[Operation]:
            check_path(path)
            return [*map(Create, table.missing_parents(path)), last] if parents else [last]

        return self._write(path, operations).map(lambda _: None)

    def set(self, path: str, data: bytes, version: int = ANY_VERSION) -> Later[int]:
        return self.transact([Set(path, data, version)]).map(lambda versions: versions[0])

    def delete(self, path: str, version: int = ANY_VERSION) -> Later[None]:
        return self.transact([Delete(path, version)]).map(lambda _: None)

    def transact(self, operations: Sequence[Operation]) -> Later[list[int]]:
        if not operations:
            return Later.of([])
        return self._write(operations[0].path, lambda _: operations)

    def _write(
        self, path: str, operations: Callable[[NodeTable], Sequence[Operation]]
    ) -> Later[list[int]]:
        later: Later[list[int]] = Later()

        def work(table: NodeTable) -> _Written:
            todo = operations(table)
            for operation in todo:
                check_operation(operation)
            return _Written(table.apply(todo), *_events(todo))

        def answer(written: _Written) -> None:
            _notify(self._data_watches, written.data_events)
            _notify(self._child_watches, written.child_events)
            later.complete(written.versions)

        return self._submit(_Request(path, work, answer, later, writes=True))

    # The queue and its worker

    def _submit(self, request: _Request) -> Later[Any]:
        if self._ended is not None:
            request.later.fail(TreeClosed(request.path, self._ended))
        else:
            self._batches.add(request)
        return request.later

    def close(self) -> Later[None]:
        if self._closing is None:
            self._closing = Later()
            # Once this one is answered nothing is under way, and nothing new is taken.
            last = self.exists("/")
            self._ended = self._ended or "the tree is closed"
            last.then(lambda _: self._runtime.run_in_worker(self._table.close).then(self._closed))
        return self._closing

    def _send(self, batch: list[_Request]) -> None:
        work = partial(_run, self._table, batch)
        self._runtime.run_in_worker(work).then(partial(self._finish, batch))

    def _finish(self, batch: list[_Request], done: Later[list[Any]]) -> None:
        if done.error is not None:
            self._give_up(batch, done.error)
        else:
            for request, outcome in zip(batch, done.result(), strict=True):
                _answer(request, outcome)
        self._batches.finished()

    def _give_up(self, batch: list[_Request], error: BaseException) -> None:
        log.error("metadata store failed, no change is taken any more", exc_info=error)
        self._ended = f"the metadata store failed: {error}"
        for request in batch:
            unknown = OutcomeUnknown if request.writes else TreeClosed
            _answer(request, unknown(request.path, self._ended))
        for request in self._batches.take_waiting():
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
    """Does a batch in one transaction; gives each request's value or its error.

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
    except (TreeError, ValueError) as error:
        return error


def _answer(request: _Request, outcome: Any) -> None:
    if isinstance(outcome, TreeError | ValueError):
        request.later.fail(outcome)
    else:
        request.answer(outcome)


def _events(operations: Iterable[Operation]) -> tuple[dict[str, EventKind], dict[str, EventKind]]:
    """What watches of data, and watches of children, are told: the first event of each path."""
    data: dict[str, EventKind] = {}
    children: dict[str, EventKind] = {}
    for operation in operations:
        path = operation.path
        if isinstance(operation, Set):
            data.setdefault(path, EventKind.CHANGED)
        elif isinstance(operation, Create):
            data.setdefault(path, EventKind.CREATED)
            children.setdefault(parent_of(path), EventKind.CHILDREN)
        elif isinstance(operation, Delete):
            data.setdefault(path, EventKind.DELETED)
            children.setdefault(path, EventKind.DELETED)
            children.setdefault(parent_of(path), EventKind.CHILDREN)
    return data, children


def _notify(watches: dict[str, list[Watch]], events: dict[str, EventKind]) -> None:
    # The smaller of both is walked: a transaction may touch many nodes, few of them watched.
    for path in watches.keys() & events.keys():
        event = WatchEvent(events[path], path)
        for watch in watches.pop(path):
            try:
                watch(event)
            except Exception:
                log.exception("a watch failed path=%s", path)
