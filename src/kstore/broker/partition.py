"""One partition of which this broker is the leader: its log, its high watermark, and who waits.

Everything that changes the log goes through here, so that only this file wakes waiting fetches and
moves the high watermark. On one node an append is committed as soon as it is in the log; with
`kstore.acks.all.flush` as soon as it is on the disk. Thread: the loop.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from kstore._native.ends import PartitionEnds
from kstore.errors import ErrorCode, KafkaError
from kstore.log.append import Appended, Origin
from kstore.log.log import Log
from kstore.log.producers import Verification
from kstore.log.records import EndTransactionMarker
from kstore.log.segment import Segment
from kstore.log.slices import Slice
from kstore.metadata.image import PartitionImage
from kstore.metadata.names import is_internal
from kstore.runtime import Later, Runtime

__all__ = ["Partition", "Watcher"]

EVERYTHING = 1 << 62
"""Bytes that nobody has counted, and more than anybody waits for."""

TO_HIGH_WATERMARK = -1
"""In DeleteRecords, the offset that stands for the high watermark."""


class Watcher(Protocol):
    """Waits for something to happen to a partition."""

    def grown(self, size: int, stable_size: int) -> None:
        """`size` bytes were appended and are committed; readers of committed transactions alone can
        have `stable_size` more: none while one is open, `EVERYTHING` when it has ended."""

    def disturbed(self) -> None:
        """The partition was deleted or truncated: look again."""


class Partition(PartitionEnds):
    """The leader's side of one partition. Who waits for it (a `Watcher`) is in `watchers`."""

    __slots__ = (
        "_coming",
        "index",
        "internal",
        "isr",
        "log",
        "replicas",
        "topic",
        "topic_id",
    )

    def __init__(self, log: Log, image: PartitionImage) -> None:
        super().__init__(log)
        self.log = log
        self.topic = log.topic
        self.index = log.partition
        self.internal = is_internal(log.topic)
        self.topic_id = log.topic_id
        self.leader_epoch = image.leader_epoch
        self.replicas = image.replicas
        self.isr = image.isr
        self.high_watermark = 0
        self._commit(log.log_end_offset)
        self._coming: deque[tuple[Later[bytes], Later[Appended], Verification | None]] = deque()

    def move_to(self, log: Log) -> None:
        """The partition's log is this one now; it holds the same."""
        PartitionEnds.__init__(self, log)
        self.log = log
        self._commit(self.high_watermark)

    def _commit(self, offset: int) -> None:
        """All below `offset` is committed. What is stable, where read_committed ends, goes up to
        the first offset of an open transaction, but not below the log's start."""
        if offset > self.high_watermark:
            self.high_watermark = offset
        end = self.high_watermark
        producers = self.log.producers
        if producers.transactions.first_unstable is not None:
            producers.high_watermark_moved(end)
            unstable = producers.transactions.first_unstable
            if unstable is not None:
                end = min(end, max(unstable, self.log.log_start_offset))
        self.last_stable_offset = end

    def check_leader_epoch(self, epoch: int) -> None:
        """Raises if a client that believes in `epoch` (-1: none) knows less than we do, or more."""
        if epoch < 0 or epoch == self.leader_epoch:
            return
        if epoch < self.leader_epoch:
            raise KafkaError(ErrorCode.FENCED_LEADER_EPOCH)
        raise KafkaError(ErrorCode.UNKNOWN_LEADER_EPOCH)

    def check_in_sync_replicas(self) -> None:
        """Raises NOT_ENOUGH_REPLICAS if too few are in sync for acks=all.

        No more than there are replicas are needed, whatever min.insync.replicas says (Kafka's
        `Partition.effectiveMinIsr`); so a partition with one replica always has enough.
        """
        needed = min(self.log.config.min_insync_replicas, len(self.replicas))
        if len(self.isr) < needed:
            raise KafkaError(ErrorCode.NOT_ENOUGH_REPLICAS)

    def produce(
        self,
        data: memoryview,
        now_ms: int,
        runtime: Runtime,
        verification: Verification | None = None,
    ) -> Appended | Later[Appended]:
        """Appends a client's batch, compressed anew in a worker if the topic wants that.

        Batches are appended in the order of the calls: one that needs no worker waits for those
        before it that do. `data` is not used after the return. KafkaError, raised or by the Later.
        """
        if self.log.codec is None and not self._coming:
            return self.append(data, now_ms, Origin.CLIENT, verification)
        work = self.log.recompression(data, now_ms=now_ms)
        if work is None and not self._coming:
            return self.append(data, now_ms, Origin.CLIENT, verification)
        made = Later.of(bytes(data)) if work is None else runtime.run_in_worker(work)
        appended: Later[Appended] = Later()
        self._coming.append((made, appended, verification))
        made.then(lambda _: self._append_coming(runtime))
        return appended

    def _append_coming(self, runtime: Runtime) -> None:
        """Appends the batches that are ready, up to the first that is not."""
        while self._coming and self._coming[0][0].done:
            made, appended, verification = self._coming.popleft()
            try:
                done = self.append(made.result(), runtime.time_ms(), Origin.CLIENT, verification)
            except Exception as error:
                appended.fail(error)
            else:
                appended.complete(done)

    def append(
        self,
        data: memoryview | bytes,
        now_ms: int,
        origin: Origin = Origin.CLIENT,
        verification: Verification | None = None,
    ) -> Appended:
        """Appends one batch of a client, or of our own; see `Log.append` and `is_committed`."""
        if self.log.config.kstore_read_only:
            raise self._read_only()
        return self._appended(
            self.log.append(data, now_ms=now_ms, origin=origin, verification=verification)
        )

    def append_marker(
        self,
        marker: EndTransactionMarker,
        producer_id: int,
        producer_epoch: int,
        transaction_version: int,
        now_ms: int,
    ) -> Appended:
        """Ends a producer's transaction; see `Log.append_marker` and `is_committed`."""
        if self.log.config.kstore_read_only:
            raise self._read_only()
        return self._appended(
            self.log.append_marker(
                marker,
                producer_id=producer_id,
                producer_epoch=producer_epoch,
                transaction_version=transaction_version,
                now_ms=now_ms,
            )
        )

    def _appended(self, appended: Appended) -> Appended:
        if not self.log.config.kstore_acks_all_flush:
            self._committed(self.log.log_end_offset, appended)
        elif not appended.duplicate:
            self._commit_when_synced(self.log.log_end_offset, appended)
        return appended

    def _commit_when_synced(self, offset: int, appended: Appended) -> None:
        def commit(synced: Later[None]) -> None:
            if synced.error is None:
                self._committed(offset, appended)

        self.log.when_synced(offset).then(commit)

    def _committed(self, offset: int, appended: Appended) -> None:
        committed, stable = self.high_watermark, self.last_stable_offset
        self._commit(offset)
        if self.watchers and not appended.duplicate:
            size = stable_size = appended.size
            if self.last_stable_offset == stable:
                stable_size = 0
            elif stable < committed:
                stable_size = EVERYTHING
            for watcher in tuple(self.watchers):
                watcher.grown(size, stable_size)

    def is_committed(self, appended: Appended) -> bool:
        """Whether acks=all may be answered; a duplicate too must first be on the disk."""
        return (
            not self.log.config.kstore_acks_all_flush
            or appended.last_offset < self.log.recovery_point
        )

    def when_committed(self, appended: Appended) -> Later[Appended]:
        """`appended`, once it is committed; fails with KafkaError."""
        if self.is_committed(appended):
            return Later.of(appended)
        return self.log.when_synced(appended.last_offset + 1).map(lambda _: appended)

    def read(
        self,
        offset: int,
        max_size: int,
        *,
        committed_only: bool,
        at_least_one: bool,
        wait: bool = True,
    ) -> Slice | None:
        """The records from `offset` on, as far as a consumer may see them; see `Log.read`."""
        end = self.last_stable_offset if committed_only else self.high_watermark
        return self.log.read(
            offset, max_size, upto_offset=end, at_least_one=at_least_one, wait=wait
        )

    def aborted_transactions(self, offset: int, records: Slice) -> list[tuple[int, int]]:
        """Those whose records in `records`, read from `offset` on, are to be left out; see
        `Log.aborted_transactions`."""
        return self.log.aborted_transactions(offset, records, self.last_stable_offset)

    def delete_records(self, offset: int) -> int:
        """Moves the log's start up to `offset` (-1: the high watermark); where it is then.

        Raises KafkaError OFFSET_OUT_OF_RANGE, POLICY_VIOLATION for a topic that is only compacted
        or read-only.
        """
        if self.log.config.kstore_read_only:
            raise self._read_only()
        if self.log.config.cleanup_policy and "delete" not in self.log.config.cleanup_policy:
            raise KafkaError(ErrorCode.POLICY_VIOLATION)
        if offset == TO_HIGH_WATERMARK:
            offset = self.high_watermark
        if not 0 <= offset <= self.high_watermark:
            raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE)
        self.log.advance_log_start(offset)
        self._start_moved()
        return self.log.log_start_offset

    def apply_retention(self, now_ms: int, limit: int) -> list[Segment]:
        """Takes out segments that retention lets go; see `Log.take_expired`. Raises KafkaError."""
        start = self.log.log_start_offset
        taken = self.log.take_expired(self.high_watermark, now_ms, limit)
        if self.log.log_start_offset > start:
            self._start_moved()
        return taken

    def _read_only(self) -> KafkaError:
        return KafkaError(
            ErrorCode.POLICY_VIOLATION, f"Topic {self.topic} is read-only (kstore.read.only)."
        )

    def _start_moved(self) -> None:
        self._commit(self.high_watermark)
        self.disturb()

    def disturb(self) -> None:
        """Makes everybody who waits look again: the partition is no longer what it was."""
        for watcher in tuple(self.watchers):
            watcher.disturbed()
