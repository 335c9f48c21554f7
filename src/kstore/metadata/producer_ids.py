"""Producer ids, of which none is ever given twice.

A block of ids is claimed in the tree, by compare-and-set, before its first id is given; the rest of
the block is given from memory. What a crash leaves of a block is lost, never given again. After a
claim whose outcome is unknown another block is claimed. Thread: the loop.
"""

from __future__ import annotations

import logging
from collections import deque

from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.metadata import layout
from kstore.metadata.tree import BadVersion, Node, NodeExists, OutcomeUnknown, Tree
from kstore.runtime import Later

__all__ = ["BLOCK_SIZE", "ProducerIds"]

log = logging.getLogger("kstore.metadata")

BLOCK_SIZE = 1000
"""Ids in a block, as Kafka's `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`."""

_LONG_MAX = (1 << 63) - 1

_MAX_CLAIMS = 10
"""How often in a row a claim may come to nothing before the requests that wait for it fail."""


class ProducerIds:
    """Gives producer ids out of blocks that this node claims in `tree`."""

    def __init__(self, tree: Tree, node_id: int) -> None:
        self._tree = tree
        self._node_id = node_id
        self._next = 0
        self._end = 0
        self._waiting: deque[Later[int]] = deque()
        self._claiming = False
        self._claims = 0

    def next(self) -> Later[int]:
        """An id that nobody had and nobody will have.

        Fails with KafkaError(COORDINATOR_NOT_AVAILABLE) if no block could be claimed.
        """
        if self._next < self._end and not self._waiting:
            return Later.of(self._take())
        later: Later[int] = Later()
        self._waiting.append(later)
        self._claim_for_waiting()
        return later

    def _take(self) -> int:
        self._next += 1
        return self._next - 1

    def _claim_for_waiting(self) -> None:
        if self._waiting and not self._claiming:
            self._claiming = True
            self._claims = 0
            self._claim()

    def _claim(self) -> None:
        self._claims += 1
        if self._claims > _MAX_CLAIMS:
            self._fail(TimeoutError(f"{_MAX_CLAIMS} claims came to nothing"))
            return
        self._tree.exists(layout.PRODUCER_ID_BLOCK).then(self._write)

    def _write(self, read: Later[Node | None]) -> None:
        if read.error is not None:
            self._fail(read.error)
            return
        node = read.result()
        try:
            first = 0 if node is None else layout.decode_producer_id_block(node.data) + 1
        except StoreError as error:
            self._fail(error)
            return
        last = first + BLOCK_SIZE - 1
        if last > _LONG_MAX:
            self._fail(OverflowError("all producer ids have been given"))
            return
        data = layout.encode_producer_id_block(self._node_id, first, last)
        path = layout.PRODUCER_ID_BLOCK
        written: Later[None] | Later[int]
        if node is None:
            written = self._tree.create(path, data)
        else:
            written = self._tree.set(path, data, node.version)
        written.map(lambda _: None).then(lambda done: self._claimed(done, first, last + 1))

    def _claimed(self, written: Later[None], first: int, end: int) -> None:
        if isinstance(written.error, BadVersion | NodeExists | OutcomeUnknown):
            self._claim()
            return
        if written.error is not None:
            self._fail(written.error)
            return
        self._next, self._end = first, end
        self._claiming = False
        while self._waiting and self._next < self._end:
            self._waiting.popleft().complete(self._take())
        self._claim_for_waiting()

    def _fail(self, error: BaseException) -> None:
        log.error("no producer ids can be had", exc_info=error)
        self._claiming = False
        waiting, self._waiting = self._waiting, deque()
        for later in waiting:
            later.fail(
                KafkaError(
                    ErrorCode.COORDINATOR_NOT_AVAILABLE, f"No producer id can be had: {error}"
                )
            )
