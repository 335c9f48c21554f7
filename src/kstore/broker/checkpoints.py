"""The checkpoints of all logs, written for whoever wants them on disk now.

One is written at a time, in a worker; those who ask meanwhile share the next one. Thread: the loop.
"""

from __future__ import annotations

from kstore.broker.log_dirs import LogDirs
from kstore.broker.partitions import Partitions
from kstore.log.log import Log
from kstore.metadata.batches import Batches
from kstore.runtime import Later, Runtime

__all__ = ["Checkpoints"]


class Checkpoints:
    """Writes recovery points, log start offsets and high watermarks."""

    def __init__(self, runtime: Runtime, log_dirs: LogDirs, partitions: Partitions) -> None:
        self._runtime = runtime
        self._log_dirs = log_dirs
        self._partitions = partitions
        self._batches: Batches[Later[set[Log]]] = Batches(self._send)

    def write(self) -> Later[set[Log]]:
        """Done when what is true now is on disk, but for the logs that are named."""
        written: Later[set[Log]] = Later()
        self._batches.add(written)
        return written

    def _send(self, waiting: list[Later[set[Log]]]) -> None:
        partitions = list(self._partitions)

        def work() -> set[Log]:
            # Here, and not on the loop: there may be thousands.
            return self._log_dirs.checkpoint(
                {(one.topic, one.index): one.high_watermark for one in partitions}
            )

        def finished(done: Later[set[Log]]) -> None:
            for written in waiting:
                if done.error is None:
                    written.complete(done.result())
                else:
                    written.fail(done.error)
            self._batches.finished()

        self._runtime.run_in_worker(work).then(finished)
