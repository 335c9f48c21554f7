"""Where coordinators keep their records: the partitions of an internal topic.

Appends go through `Partition` like everybody's, and count once they are committed there.
Thread: the loop; `read_newest` reads in a worker.
"""

from __future__ import annotations

from kstore.broker.partition import Partition
from kstore.broker.partitions import Partitions
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Origin
from kstore.log.records import Record, build_batch
from kstore.runtime import Later, Runtime

__all__ = ["OFFSETS_TOPIC", "GroupLog"]

OFFSETS_TOPIC = "__consumer_offsets"


class GroupLog:
    """The `CoordinatorLog` of the group coordinator, on `__consumer_offsets`."""

    def __init__(self, runtime: Runtime, partitions: Partitions) -> None:
        self._runtime = runtime
        self._partitions = partitions

    def append(self, partition: int, records: list[tuple[bytes, bytes | None]]) -> Later[int]:
        """Appends records as one batch; the offset behind it, once it is committed."""
        owner = self._partitions.get(OFFSETS_TOPIC, partition)
        if owner is None:
            return Later.failed(KafkaError(ErrorCode.NOT_COORDINATOR))
        now_ms = self._runtime.time_ms()
        batch = build_batch([Record(0, now_ms, key, value, ()) for key, value in records])
        try:
            appended = owner.append(batch, now_ms, Origin.COORDINATOR)
        except KafkaError as error:
            return Later.failed(error)
        return owner.when_committed(appended).map(lambda done: done.last_offset + 1)

    def read_newest(self, partition: Partition) -> Later[list[tuple[bytes | None, bytes | None]]]:
        """The newest record of each key as `(key, value)`, oldest first, as compaction leaves them.

        The rest would be read for nothing, and there may be millions. Nothing is appended to the
        partition meanwhile: its coordinator is not at work yet. Fails with KafkaError if the log
        has: that its groups can't be read is not that there are none.
        """
        log = partition.log
        if log.failed is not None:
            return Later.failed(log.failed)
        if log.log_start_offset == log.log_end_offset:
            return Later.of([])

        def read() -> list[tuple[bytes | None, bytes | None]]:
            newest: dict[bytes | None, bytes | None] = {}
            for record in log.records(log.log_start_offset):
                newest.pop(record.key, None)
                newest[record.key] = record.value
            return list(newest.items())

        return self._runtime.run_in_worker(read)
