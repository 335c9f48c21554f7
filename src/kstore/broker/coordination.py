"""Where coordinators keep their records: the partitions of an internal topic.

Appends go through `Partition` like everybody's; on one node a record is committed when it is
appended. Thread: the loop; `read_all` reads in a worker.
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
        return Later.of(appended.last_offset + 1)

    def read_all(self, partition: Partition) -> Later[list[tuple[bytes | None, bytes | None]]]:
        """Every record of a partition as `(key, value)`, oldest first.

        Nothing is appended to it meanwhile: its coordinator is not at work yet.
        """
        if partition.log.log_start_offset == partition.log.log_end_offset:
            return Later.of([])
        return self._runtime.run_in_worker(
            lambda: [
                (record.key, record.value)
                for record in partition.log.records(partition.log.log_start_offset)
            ]
        )
