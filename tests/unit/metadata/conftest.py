"""Runtimes and trees for the tests of this room."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest

from kstore.configs import TopicDefaults
from kstore.metadata.brokers import Brokers
from kstore.metadata.cluster import Cluster
from kstore.metadata.image import BrokerImage, MetadataImage
from kstore.metadata.partitions import TopicResult
from kstore.metadata.sqlite_tree import METADATA_FILE, SqliteTree
from kstore.metadata.topics import NewTopic, Topics
from kstore.metadata.tree import Tree
from kstore.runtime import Later, Runtime, SynchronousRuntime, Timer

T = TypeVar("T")


class ThreadRuntime:
    """A runtime with real worker threads, whose loop is the test's thread while it waits."""

    def __init__(self) -> None:
        self._to_loop: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._loop = threading.current_thread()
        self._threads: list[threading.Thread] = []

    def time_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ms(self) -> float:
        return time.monotonic_ns() / 1_000_000

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> None:
        self._to_loop.put(lambda: callback(*args))

    def call_on_loop(self, callback: Callable[..., Any], *args: Any) -> None:
        self._to_loop.put(lambda: callback(*args))

    def call_later(self, delay_ms: float, callback: Callable[..., Any], *args: Any) -> Timer:
        raise AssertionError("metadata has no timers")

    def run_in_worker(self, work: Callable[[], T]) -> Later[T]:
        assert threading.current_thread() is self._loop
        later: Later[T] = Later()

        def run() -> None:
            try:
                value = work()
            except Exception as error:
                failure = error
                self._to_loop.put(lambda: later.fail(failure))
            else:
                self._to_loop.put(lambda: later.complete(value))

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()
        return later

    def wait(self, later: Later[T]) -> T:
        while not later.done:
            self._to_loop.get(timeout=10)()
        return later.result()

    def close(self) -> None:
        for thread in self._threads:
            thread.join()


class Stores:
    """A place for one store: opens trees on it, one after the other, and closes what is left."""

    def __init__(
        self,
        runtime: Runtime,
        open_tree: Callable[[], Tree],
        wait: Callable[[Later[Any]], Any],
    ) -> None:
        self.runtime = runtime
        self.wait = wait
        self._open_tree = open_tree
        self._trees: list[Tree] = []

    def open(self) -> Tree:
        tree = self._open_tree()
        self._trees.append(tree)
        return tree

    def reopen(self) -> Tree:
        self.close()
        return self.open()

    def close(self) -> None:
        for tree in self._trees:
            self.wait(tree.close())
        self._trees.clear()


@pytest.fixture(params=["sqlite", "sqlite with workers"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Every store that can stand behind `Tree`, empty. A new one joins here."""
    file = tmp_path / METADATA_FILE
    if request.param == "sqlite":
        synchronous = SynchronousRuntime()
        stores = Stores(
            synchronous, lambda: SqliteTree(file, synchronous), lambda later: later.result()
        )
        yield stores
        stores.close()
        return
    threads = ThreadRuntime()
    stores = Stores(threads, lambda: SqliteTree(file, threads), threads.wait)
    yield stores
    stores.close()
    threads.close()


@pytest.fixture
def threads() -> Iterator[ThreadRuntime]:
    runtime = ThreadRuntime()
    yield runtime
    runtime.close()


class Metadata:
    """A cluster of one node, and a tree that can be looked at."""

    def __init__(self, stores: Stores, broker_count: int = 1) -> None:
        self._stores = stores
        self.wait = stores.wait
        self.broker_count = broker_count
        self.open()

    def open(self) -> None:
        self.tree = self._stores.open()
        self.cluster: Cluster = self.wait(
            Cluster.open(self.tree, self._stores.runtime, node_id=1, cluster_id="cluster-1")
        )
        self.brokers = Brokers(self.cluster)
        for node_id in range(1, self.broker_count + 1):
            self.wait(self.brokers.register(BrokerImage(node_id, f"host-{node_id}", 9092)))
        self.topics = Topics(self.cluster, TopicDefaults(num_partitions=2))

    def reopen(self) -> None:
        self._stores.close()
        self.open()

    @property
    def image(self) -> MetadataImage:
        return self.cluster.image

    def create(self, *topics: NewTopic, validate_only: bool = False) -> list[TopicResult]:
        return self.wait(self.topics.create(topics, validate_only))

    def delete(self, *keys: str | UUID) -> list[TopicResult]:
        return self.wait(self.topics.delete(keys))

    def paths(self) -> set[str]:
        return {node.path for node in self.wait(self.tree.walk("/"))}


@pytest.fixture
def metadata(stores: Stores) -> Metadata:
    return Metadata(stores)


@pytest.fixture
def three_brokers(stores: Stores) -> Metadata:
    return Metadata(stores, broker_count=3)


@pytest.fixture
def no_broker(stores: Stores) -> Metadata:
    return Metadata(stores, broker_count=0)
