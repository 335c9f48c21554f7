"""The tree of nodes that the cluster agrees on: ZooKeeper's model, as an interface.

A node has a path, up to 1 MB of data and a version, which is 0 when the node is created and grows
by one with each `set`. Several stores can stand behind `Tree`; nobody but who opens one knows which
it is. What holds for each of them:

- Answers come as `Later`s on the loop, in the order of the calls. What is acknowledged is durable.
- A call sees every change that was acknowledged before it was made.
- A watch is called once, on the loop, after its change is visible and before any answer shows it.
  Between reading with a watch and the watch's call nothing is missed. Watches of one transaction
  are called in any order; all watches end with the tree.
- A write that fails with `OutcomeUnknown` may have been applied or not, now or a little later.
- `transact` applies all of its operations or none, and fails with the error of the first that
  can't be applied.

Calls are made on the loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from kstore.runtime import Later

__all__ = [
    "ANY_VERSION",
    "MAX_DATA_SIZE",
    "BadVersion",
    "Check",
    "Create",
    "Delete",
    "EventKind",
    "NoChildrenForEphemerals",
    "NoNode",
    "Node",
    "NodeExists",
    "NotEmpty",
    "Operation",
    "OutcomeUnknown",
    "Set",
    "StoredNode",
    "Tree",
    "TreeClosed",
    "TreeError",
    "Watch",
    "WatchEvent",
    "WriteFailed",
    "check_operation",
    "check_path",
    "parent_of",
]

ANY_VERSION = -1
"""As an expected version: whatever the node has."""

MAX_DATA_SIZE = 1_000_000
"""Bytes of data in one node. ZooKeeper's limit is 2**20 - 1 for a whole packet, path included."""


class TreeError(Exception):
    """An operation on a node that could not be done; `path` is the node's."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NoNode(TreeError):
    """The node, or the parent of a node to be created, does not exist."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "no such node")


class NodeExists(TreeError):
    """The node to be created exists."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "the node exists")


class BadVersion(TreeError):
    """The node has another version than the one expected: somebody changed it."""

    def __init__(self, path: str, expected: int, actual: int) -> None:
        super().__init__(path, f"version {actual} where {expected} was expected")


class NotEmpty(TreeError):
    """The node to be deleted has children."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "the node has children")


class NoChildrenForEphemerals(TreeError):
    """A node was to be created below an ephemeral one."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "an ephemeral node has no children")


class WriteFailed(TreeError):
    """The store had no room for a write and did not apply it. Room can be made."""


class OutcomeUnknown(TreeError):
    """A write of which nobody can say whether it was applied. Read before trying again."""


class TreeClosed(TreeError):
    """The tree was closed, or gave up after its storage failed."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a node holds."""

    data: bytes
    version: int


class StoredNode(NamedTuple):
    """A node with its place, as `walk` gives it."""

    path: str
    data: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Create:
    """A new node, whose parent must exist. An ephemeral node goes when its creator's tree ends."""

    path: str
    data: bytes = b""
    ephemeral: bool = False


@dataclass(frozen=True, slots=True)
class Set:
    """New data for a node."""

    path: str
    data: bytes
    version: int = ANY_VERSION


@dataclass(frozen=True, slots=True)
class Delete:
    """The end of a node without children."""

    path: str
    version: int = ANY_VERSION


@dataclass(frozen=True, slots=True)
class Check:
    """No change: the transaction fails if the node has another version."""

    path: str
    version: int


Operation = Create | Set | Delete | Check


class EventKind(Enum):
    """What happened to a watched node; CHILDREN: one came or went."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    CHILDREN = "children"


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """Says that a node changed, not to what: read it again."""

    kind: EventKind
    path: str


Watch = Callable[[WatchEvent], None]


class Tree(Protocol):
    """A store of nodes. Malformed paths and oversized data fail with ValueError."""

    def get(self, path: str, watch: Watch | None = None) -> Later[Node]:
        """A node; NoNode. `watch` is told of the next change of its data, or of its end."""

    def exists(self, path: str, watch: Watch | None = None) -> Later[Node | None]:
        """A node or None. `watch` is told of its creation, or as with `get`."""

    def children(self, path: str, watch: Watch | None = None) -> Later[list[str]]:
        """The names of a node's children, sorted; NoNode.

        `watch` is told when a child comes or goes, or of the node's end.
        """

    def walk(self, path: str) -> Later[list[StoredNode]]:
        """A node and all below it, parents before their children; empty if there is none.

        Not a snapshot: with other writers at work, a node may be newer than one before it.
        """

    def create(
        self, path: str, data: bytes = b"", *, parents: bool = False, ephemeral: bool = False
    ) -> Later[None]:
        """A new node; NodeExists, NoNode if its parent is missing.

        `parents` creates what is missing above it, which may stay if the creation itself fails.
        """

    def set(self, path: str, data: bytes, version: int = ANY_VERSION) -> Later[int]:
        """New data for a node, and its new version; NoNode, BadVersion."""

    def delete(self, path: str, version: int = ANY_VERSION) -> Later[None]:
        """The end of a node; NoNode, BadVersion, NotEmpty."""

    def transact(self, operations: Sequence[Operation]) -> Later[list[int]]:
        """All operations or none; the version of each node afterwards (-1 for a deleted one)."""

    def close(self) -> Later[None]:
        """Finishes what was called before; later calls fail with TreeClosed."""


# The characters that ZooKeeper refuses: controls, surrogates and private use, specials.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff]")


def check_path(path: str) -> None:
    """ValueError unless `path` obeys ZooKeeper's rules (`PathUtils.validatePath`)."""
    if path == "/":
        return
    if not path.startswith("/"):
        raise ValueError(f"a path starts with '/': {path!r}")
    for name in path[1:].split("/"):
        if not name or name in (".", ".."):
            raise ValueError(f"a path has no empty or relative names: {path!r}")
    if _FORBIDDEN.search(path):
        raise ValueError(f"a path has no control or private characters: {path!r}")


def check_operation(operation: Operation) -> None:
    """ValueError for a bad path, for more data than a node can hold, for the end of the root."""
    check_path(operation.path)
    if isinstance(operation, Create | Set) and len(operation.data) > MAX_DATA_SIZE:
        raise ValueError(
            f"{operation.path}: {len(operation.data)} bytes of data, the limit is {MAX_DATA_SIZE}"
        )
    if isinstance(operation, Delete) and operation.path == "/":
        raise ValueError("the root can't be deleted")


def parent_of(path: str) -> str:
    """The path of the parent; that of the root is empty."""
    if path == "/":
        return ""
    return path[: path.rindex("/")] or "/"
