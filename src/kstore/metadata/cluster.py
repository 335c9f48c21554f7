"""The cluster's metadata in one process: the image of now, and the one line of changes to it.

A change is a plan, a function that fills a draft. Plans run in a worker, in the order in which they
came; those that gathered meanwhile share a draft and a transaction of the tree. Once the tree has
taken it, the image is swapped, subscribers are told, and the answers leave. So an answer that says
"created" is durable and already in the image.

This node is the controller, the only one that changes topics: each transaction checks that
`/controller_epoch` is still the one this node wrote. Thread: the loop, save for plans.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.metadata import layout
from kstore.metadata.batches import Batches
from kstore.metadata.draft import Draft
from kstore.metadata.image import MetadataChange, MetadataImage
from kstore.metadata.tree import (
    BadVersion,
    Check,
    Create,
    Operation,
    OutcomeUnknown,
    Set,
    StoredNode,
    Tree,
    TreeClosed,
    TreeError,
    WriteFailed,
)
from kstore.runtime import Later, Runtime

__all__ = ["Cluster", "Listener", "Plan"]

log = logging.getLogger("kstore.metadata")

T = TypeVar("T")

Plan = Callable[[Draft], T]
"""Fills a draft and says what to answer. Runs in a worker; raises only if it is at fault."""

Listener = Callable[[MetadataChange], None]


@dataclass(frozen=True, slots=True)
class _Start:
    """What opening found, and what it has to write."""

    image: MetadataImage
    controller_epoch: int
    controller_epoch_version: int
    operations: list[Operation]


class Cluster:
    """The metadata of a cluster. Made by `open`."""

    def __init__(self, tree: Tree, runtime: Runtime, node_id: int, start: _Start) -> None:
        self.runtime = runtime
        self.node_id = node_id
        self.image = start.image
        self._tree = tree
        self._controller_epoch = start.controller_epoch
        self._fence = Check(layout.CONTROLLER_EPOCH, start.controller_epoch_version)
        self._batches: Batches[tuple[Plan[Any], Later[Any]]] = Batches(self._send)
        self._listeners: list[Listener] = []

    @classmethod
    def open(cls, tree: Tree, runtime: Runtime, *, node_id: int, cluster_id: str) -> Later[Cluster]:
        """Reads the metadata, which is made if there is none, and takes the controller's place.

        Fails with StoreError if it can't be read or belongs to another cluster.
        """
        opened: Later[Cluster] = Later()

        def fail(error: BaseException) -> None:
            opened.fail(StoreError(f"metadata: {error}") if isinstance(error, TreeError) else error)

        def read(done: Later[list[StoredNode]]) -> None:
            if done.error is not None:
                fail(done.error)
                return
            work = partial(_plan_start, done.result(), node_id, cluster_id, runtime.time_ms())
            runtime.run_in_worker(work).then(write)

        def write(done: Later[_Start]) -> None:
            if done.error is not None:
                fail(done.error)
                return
            start = done.result()
            tree.transact(start.operations).then(partial(finish, start))

        def finish(start: _Start, done: Later[list[int]]) -> None:
            if done.error is not None:
                fail(done.error)
                return
            opened.complete(cls(tree, runtime, node_id, start))

        tree.walk("/").then(read)
        return opened

    def subscribe(self, listener: Listener) -> None:
        """Has `listener` called, on the loop, after each swap and before the change is answered."""
        self._listeners.append(listener)

    def submit(self, plan: Plan[T]) -> Later[T]:
        """Makes a change. KafkaError if it was not taken, or nobody knows whether it was."""
        later: Later[T] = Later()
        self._batches.add((plan, later))
        return later

    def submit_answered(self, plan: Plan[T], refusal: Callable[[KafkaError], T]) -> Later[T]:
        """As `submit`; the answer to a change that was not taken is what `refusal` makes of it."""
        answered: Later[T] = Later()

        def answer(done: Later[T]) -> None:
            if isinstance(done.error, KafkaError):
                answered.complete(refusal(done.error))
            elif done.error is not None:
                answered.fail(done.error)
            else:
                answered.complete(done.result())

        self.submit(plan).then(answer)
        return answered

    def _send(self, batch: list[tuple[Plan[Any], Later[Any]]]) -> None:
        image, epoch = self.image, self._controller_epoch

        def plan_all() -> tuple[list[Any], list[Operation], MetadataChange]:
            draft = Draft(image, epoch)
            answers = [plan(draft) for plan, _ in batch]
            return answers, draft.operations, draft.finish()

        def planned(done: Later[tuple[list[Any], list[Operation], MetadataChange]]) -> None:
            if done.error is not None:
                log.error("a change of metadata failed", exc_info=done.error)
                self._answer(batch, done.error, [])
                return
            answers, operations, change = done.result()
            if not operations:
                self._answer(batch, None, answers)
                return
            self._tree.transact([self._fence, *operations]).then(
                partial(self._written, batch, answers, change)
            )

        self.runtime.run_in_worker(plan_all).then(planned)

    def _written(
        self,
        batch: list[tuple[Plan[Any], Later[Any]]],
        answers: list[Any],
        change: MetadataChange,
        done: Later[list[int]],
    ) -> None:
        if done.error is None:
            self._swap(change)
            self._answer(batch, None, answers)
            return
        log.error("a change of metadata was not taken", exc_info=done.error)
        error = _kafka_error(done.error)
        if isinstance(done.error, WriteFailed | TreeClosed):
            self._answer(batch, error, [])
        else:
            # The image may not be what the tree holds: read it anew before anything else.
            self._reload().then(lambda _: self._answer(batch, error, []))

    def _answer(
        self,
        batch: list[tuple[Plan[Any], Later[Any]]],
        error: BaseException | None,
        answers: list[Any],
    ) -> None:
        for number, (_, later) in enumerate(batch):
            if error is not None:
                later.fail(error)
            else:
                later.complete(answers[number])
        self._batches.finished()

    def _swap(self, change: MetadataChange) -> None:
        self.image = change.image
        for listener in self._listeners:
            try:
                listener(change)
            except Exception:
                log.exception("a listener failed after a change of metadata")

    def _reload(self) -> Later[None]:
        """Takes the image from the tree again; if that can't be read, the image stays."""
        reloaded: Later[None] = Later()

        def decode(done: Later[list[StoredNode]]) -> None:
            if done.error is not None:
                reloaded.complete(None)
                return
            nodes, before = done.result(), self.image
            self.runtime.run_in_worker(partial(_reread, nodes, before)).then(swap)

        def swap(done: Later[MetadataChange]) -> None:
            if done.error is not None:
                log.error("metadata can't be read again", exc_info=done.error)
            else:
                self._swap(done.result())
            reloaded.complete(None)

        self._tree.walk("/").then(decode)
        return reloaded


def _plan_start(nodes: list[StoredNode], node_id: int, cluster_id: str, now_ms: int) -> _Start:
    by_path = {node.path: node for node in nodes}
    operations: list[Operation] = [Create(path) for path in layout.ROOTS if path not in by_path]
    stored = by_path.get(layout.CLUSTER_ID)
    if stored is None:
        operations.append(Create(layout.CLUSTER_ID, layout.encode_cluster_id(cluster_id)))
    elif layout.decode_cluster_id(stored) != cluster_id:
        raise StoreError(
            f"the metadata belongs to cluster {layout.decode_cluster_id(stored)}, "
            f"the data directory to {cluster_id}"
        )
    epoch, version = 1, 0
    last = by_path.get(layout.CONTROLLER_EPOCH)
    if last is None:
        operations.append(Create(layout.CONTROLLER_EPOCH, b"1"))
    else:
        epoch, version = layout.decode_controller_epoch(last) + 1, last.version + 1
        operations.append(Set(layout.CONTROLLER_EPOCH, b"%d" % epoch, last.version))
    controller = layout.encode_controller(node_id, now_ms)
    operations.append(Create(layout.CONTROLLER, controller, ephemeral=True))
    image = replace(layout.decode_image(by_path, node_id, cluster_id), controller_epoch=epoch)
    return _Start(image, epoch, version, operations)


def _reread(nodes: list[StoredNode], before: MetadataImage) -> MetadataChange:
    by_path = {node.path: node for node in nodes}
    image = replace(
        layout.decode_image(by_path, before.controller_id, before.cluster_id),
        controller_epoch=before.controller_epoch,
    )
    common = image.topic_ids.keys() & before.topic_ids.keys()
    return MetadataChange(
        image,
        tuple(topic for key, topic in image.topic_ids.items() if key not in common),
        tuple(topic for key, topic in before.topic_ids.items() if key not in common),
        tuple(
            image.topic_ids[key] for key in common if image.topic_ids[key] != before.topic_ids[key]
        ),
        brokers_changed=image.brokers != before.brokers,
        broker_configs_changed=image.broker_configs != before.broker_configs,
    )


def _kafka_error(error: BaseException) -> BaseException:
    """What a client is told of a change that the tree did not take."""
    if isinstance(error, WriteFailed | TreeClosed):
        return KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"The metadata can't be stored: {error}")
    if isinstance(error, OutcomeUnknown):
        return KafkaError(
            ErrorCode.REQUEST_TIMED_OUT, f"It is unknown whether the change was stored: {error}"
        )
    if isinstance(error, BadVersion):
        return KafkaError(ErrorCode.NOT_CONTROLLER, "Another broker has become the controller.")
    return KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, f"The metadata changed meanwhile: {error}")
