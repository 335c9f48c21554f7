"""The tree against a model: a dictionary of paths, over random operations and reopenings."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.tree import (
    ANY_VERSION,
    Check,
    Create,
    Delete,
    EventKind,
    Operation,
    Set,
    TreeError,
    parent_of,
)
from kstore.runtime import SynchronousRuntime

names = st.sampled_from(["a", "b", "a-", "a0"])
paths = st.lists(names, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
data = st.binary(max_size=3)
versions = st.sampled_from([ANY_VERSION, ANY_VERSION, 0, 1])
operations = st.one_of(
    st.builds(Create, paths, data),
    st.builds(Set, paths, data, versions),
    st.builds(Delete, paths, versions),
    st.builds(Check, paths, st.integers(0, 1)),
)


class Refused(Exception):
    pass


class Model:
    """Nodes as a dictionary; refuses what a tree refuses."""

    def __init__(self) -> None:
        self.nodes: dict[str, tuple[bytes, int]] = {"/": (b"", 0)}

    def children(self, path: str) -> list[str]:
        below = [other for other in self.nodes if parent_of(other) == path]
        return sorted(other.rpartition("/")[2] for other in below)

    def apply(self, todo: list[Operation]) -> list[int]:
        before = dict(self.nodes)
        try:
            return [self._apply(operation) for operation in todo]
        except Refused:
            self.nodes = before
            raise

    def _apply(self, operation: Operation) -> int:
        path = operation.path
        if isinstance(operation, Create):
            if path in self.nodes or parent_of(path) not in self.nodes:
                raise Refused
            self.nodes[path] = (operation.data, 0)
            return 0
        version = self.nodes.get(path, (b"", None))[1]
        if version is None or operation.version not in (ANY_VERSION, version):
            raise Refused
        if isinstance(operation, Check):
            return version
        if isinstance(operation, Set):
            self.nodes[path] = (operation.data, version + 1)
            return version + 1
        if self.children(path):
            raise Refused
        del self.nodes[path]
        return -1


class TreeMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.model = Model()
        self.expected: list[tuple[EventKind, str]] = []
        self.told: list[tuple[EventKind, str]] = []
        self.watched: dict[str, bool] = {}
        self.open()

    def open(self) -> None:
        file = Path(self.directory.name) / METADATA_FILE
        self.tree = SqliteTree(file, SynchronousRuntime())

    @rule()
    def reopen(self) -> None:
        self.tree.close().result()
        self.watched.clear()
        self.open()

    @rule(todo=st.lists(operations, min_size=1, max_size=4))
    def transact(self, todo: list[Operation]) -> None:
        try:
            expected = self.model.apply(todo)
        except Refused:
            assert isinstance(self.tree.transact(todo).error, TreeError)
            return
        for operation in todo:
            self.expect_event(operation)
        assert self.tree.transact(todo).result() == expected

    def expect_event(self, operation: Operation) -> None:
        if isinstance(operation, Check) or operation.path not in self.watched:
            return
        del self.watched[operation.path]
        kinds = {Create: EventKind.CREATED, Set: EventKind.CHANGED, Delete: EventKind.DELETED}
        self.expected.append((kinds[type(operation)], operation.path))

    @rule(path=paths)
    def watch(self, path: str) -> None:
        if path not in self.watched:
            self.watched[path] = True
            self.tree.exists(path, lambda event: self.told.append((event.kind, event.path)))

    @rule(path=paths)
    def children(self, path: str) -> None:
        answer = self.tree.children(path)
        if path in self.model.nodes:
            assert answer.result() == self.model.children(path)
        else:
            assert isinstance(answer.error, TreeError)

    @rule(path=paths)
    def walk(self, path: str) -> None:
        inside = {p for p in self.model.nodes if p == path or p.startswith(f"{path}/")}
        assert {node.path for node in self.tree.walk(path).result()} == inside

    @invariant()
    def tree_and_model_are_equal(self) -> None:
        nodes = self.tree.walk("/").result()
        assert {node.path: (node.data, node.version) for node in nodes} == self.model.nodes
        seen: set[str] = {""}
        for node in nodes:
            assert parent_of(node.path) in seen
            seen.add(node.path)
        # Watches of one transaction are called in any order.
        assert sorted(self.told, key=str) == sorted(self.expected, key=str)

    def teardown(self) -> None:
        self.tree.close().result()
        self.directory.cleanup()


TestTreeModel = TreeMachine.TestCase
TestTreeModel.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
