"""The checkpoints of the store, written for whoever wants them on disk now.

One is written at a time, in a worker; those who ask meanwhile share the next one. Thread: the loop.
"""

from __future__ import annotations

from kstore.broker.partitions import Partitions
from kstore.log.store import Store
from kstore.metadata.batches import Batches
from kstore.runtime import Later, Runtime

__all__ = ["Checkpoints"]


class Checkpoints:
    """Writes recovery points, log start offsets and high watermarks."""

    def __init__(self, runtime: Runtime, store: Store, partitions: Partitions) -> None:
        self._runtime = runtime
        self._store = store
        self._partitions = partitions
        self._batches: Batches[Later[None]] = Batches(self._send)

    def write(self) -> Later[None]:
        """Done when what is true now is on disk; fails with StoreError."""
        written: Later[None] = Later()
        self._batches.add(written)
        return written

    def _send(self, waiting: list[Later[None]]) -> None:
        high_watermarks = {
            (partition.topic, partition.index): partition.high_watermark
            for partition in self._partitions
        }

        def finished(done: Later[None]) -> None:
            for written in waiting:
                if done.error is None:
                    written.complete(None)
                else:
                    written.fail(done.error)
            self._batches.finished()

        self._runtime.run_in_worker(lambda: self._store.checkpoint(high_watermarks)).then(finished)
