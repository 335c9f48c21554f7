"""A partition's log: the facade of the engine.

What happens behind each method stands in the file that its name leads to. A log is called on one
thread: the loop, or the embedding program. Every method raises KafkaError and nothing else for what
can go wrong with data and disks; a log whose disk has failed (`failed`), or that is closed, answers
KAFKA_STORAGE_ERROR.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kstore._native.batch import BatchError, BatchHeader, check_batch
from kstore.configs import LogConfig
from kstore.errors import CorruptLogError
from kstore.log.append import (
    Appended,
    Origin,
    append_batch,
    append_batches_verbatim,
    append_marker,
)
from kstore.log.flush import flush, flush_at_close
from kstore.log.group_commit import when_synced
from kstore.log.producers import Verification
from kstore.log.read import aborted_in, corrupt, read_slice
from kstore.log.recompress import recompression
from kstore.log.records import (
    EndTransactionMarker,
    Record,
    RecordLike,
    batch_records,
    build_batch,
)
from kstore.log.retention import remove_files, take_below_start, take_expired
from kstore.log.roll import roll
from kstore.log.segment import Segment
from kstore.log.slices import Slice
from kstore.log.snapshots import write_snapshot
from kstore.log.state import LogState
from kstore.log.timestamps import (
    TimestampAndOffset,
    find_max_timestamp,
    find_offset_for_timestamp,
)
from kstore.log.truncate import advance_log_start, truncate_to
from kstore.runtime import Later

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from kstore.log.append_columns import Headers
    from kstore.log.columns import Columns, Strings
    from kstore.log.compaction.run import Compacted

__all__ = ["Log"]


class Log(LogState):
    """One partition's log. `Store` opens, makes and deletes logs.

    Attributes to read: `topic`, `partition`, `topic_id`, `directory`, `config`,
    `log_start_offset`, `log_end_offset` (the offset of the next record), `recovery_point`,
    `leader_epoch` (-1: none), `producers`, `failed`, `faults` (damage that was cut off at opening).
    """

    __slots__ = ()

    # Appending

    def append(
        self,
        data: Buffer,
        *,
        now_ms: int,
        origin: Origin = Origin.CLIENT,
        verification: Verification | None = None,
    ) -> Appended:
        """Appends the one batch in `data`, which gets the next offsets and the leader epoch.

        Raises KafkaError with Kafka's codes for a batch that is not fit (InvalidRecordError also
        names the records), or that does not fit its producer's sequence; KAFKA_STORAGE_ERROR for a
        full disk. Nothing is appended then. The first batch of a transaction needs what
        `producers.begin_verification` gave, unless the config has no verification.
        """
        return append_batch(self, data, now_ms, origin, None, verification)

    def append_marker(
        self,
        marker: EndTransactionMarker,
        *,
        producer_id: int,
        producer_epoch: int,
        transaction_version: int,
        now_ms: int,
    ) -> Appended:
        """Ends the transaction that a producer has open here; without one it is harmless.

        From transaction version 2 on the epoch is larger than the records'. Raises KafkaError
        INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, KAFKA_STORAGE_ERROR.
        """
        return append_marker(self, marker, producer_id, producer_epoch, transaction_version, now_ms)

    def recompression(self, data: Buffer, *, now_ms: int) -> Callable[[], bytes] | None:
        """The work that gives the batch in `data` the codec of `compression.type`.

        It may run in any thread and gives the batch to append instead. None if the batch has that
        codec already. Raises KafkaError for a batch that `append` would refuse; so does the work.
        """
        return recompression(self, data, now_ms)

    def append_records(
        self,
        records: Iterable[RecordLike],
        *,
        compression: int | str = "none",
        now_ms: int | None = None,
    ) -> Appended:
        """Appends records as one batch; those without a timestamp get `now_ms`.

        A record is a `Record` or a tuple (key, value[, timestamp_ms[, headers]]).
        """
        now_ms = self.runtime.time_ms() if now_ms is None else now_ms
        batch = build_batch(records, compression=compression, timestamp_ms=now_ms)
        return append_batch(self, batch, now_ms, Origin.CLIENT)

    def append_columns(
        self,
        values: Strings,
        *,
        keys: Strings | None = None,
        timestamps_ms: NDArray[Any] | Sequence[int] | None = None,
        headers: Headers | None = None,
        compression: int | str = "none",
        batch_size: int = 256 << 10,
        now_ms: int | None = None,
    ) -> Appended:
        """Appends one record for each of `values`, in batches of at most `batch_size` bytes.

        `values` and `keys` are each a `BinaryColumn`, a sequence of bytes or None, or a numpy array
        of which each item (each row, if it has more dimensions) is one string of bytes, as it lies
        in memory. Records without a timestamp (or with -1) get `now_ms`; `headers` has pairs of a
        name and bytes or None for each record.

        Returns what all batches did together. Raises KafkaError as `append` does, and then the
        batches before stay in the log, up to `log_end_offset`; ValueError for no record, or columns
        that don't fit each other. Needs numpy.
        """
        from kstore.log.append_columns import append_columns

        now_ms = self.runtime.time_ms() if now_ms is None else now_ms
        return append_columns(
            self,
            values,
            keys,
            timestamps_ms,
            headers,
            compression=compression,
            batch_size=batch_size,
            now_ms=now_ms,
        )

    def append_verbatim(self, data: Buffer) -> None:
        """Appends whole batches that keep their offsets and leader epochs, as a follower does."""
        append_batches_verbatim(self, data, self.runtime.time_ms())

    def roll(self) -> None:
        """Begins a new segment, unless the active one is empty."""
        self.check_usable()
        if self.log_end_offset > self.segments.active.base_offset:
            try:
                roll(self, self.log_end_offset, self.runtime.time_ms())
            except OSError as error:
                raise self.disk_error(error, "rolling") from error

    # Reading

    def read(
        self,
        offset: int,
        max_size: int,
        *,
        upto_offset: int,
        at_least_one: bool = True,
        wait: bool = True,
    ) -> Slice | None:
        """Whole bytes from the batch that holds `offset`, all of one segment; see `Slice`.

        They end after `max_size` bytes, which may cut the last batch, or before the batch that
        holds `upto_offset`. The first batch is never cut: if it is larger than `max_size`, it comes
        whole with `at_least_one`, else nothing does. None: nothing there. Raises KafkaError
        OFFSET_OUT_OF_RANGE; without `wait` NotInMemory, where finding the batch in a sealed segment
        would wait for the disk.
        """
        return read_slice(self, offset, max_size, upto_offset, at_least_one=at_least_one, wait=wait)

    def aborted_transactions(
        self, offset: int, records: Slice, upto_offset: int
    ) -> list[tuple[int, int]]:
        """(producer id, first offset) of the aborted transactions that have records from `offset`
        to the end of `records`, which `read` gave for `offset`; some may lie behind it."""
        if not self.has_aborted:
            return []
        return aborted_in(self, offset, records, upto_offset)

    def batches(self, offset: int = 0) -> Iterator[BatchHeader]:
        """The headers of the batches from the one that holds `offset` on; `position` in its file.

        Batches that are appended meanwhile may come too.
        """
        for _, header in self._headers(offset):
            yield header

    def records(self, offset: int = 0) -> Iterator[Record]:
        """The records from `offset` on (below the log's start: from there), decompressed.

        Control records, which mean nothing to a program, are left out.
        """
        start = max(offset, self.log_start_offset)
        for header, data in self.whole_batches(start):
            if not header.is_control:
                yield from batch_records(header, data, start)

    def whole_batches(self, offset: int = 0) -> Iterator[tuple[BatchHeader, bytes]]:
        """The batches from the one that holds `offset` on, control batches too, with their bytes.

        `header.position` is its position in them. Batches that are appended meanwhile may come too.
        """
        for segment, header in self._headers(max(offset, self.log_start_offset)):
            try:
                data = segment.read(header.position, header.size)
            except CorruptLogError as error:
                raise corrupt(error) from error
            except OSError as error:
                raise self.disk_error(error, "reading from") from error
            try:
                yield check_batch(data), data
            except BatchError as error:
                damage = CorruptLogError(str(segment.path), header.position, error.reason)
                raise corrupt(damage) from error

    def read_columns(
        self, offset: int, *, max_size: int = 1 << 20, max_count: int | None = None
    ) -> Columns:
        """Records from `offset` on as numpy arrays, decompressed; see `Columns`.

        At most `max_count` of them, and whole batches of at most `max_size` bytes together, or one
        larger batch; one call reads of one segment. Control records are left out, so nothing may
        come though more follows; `next_offset` says where to read on:

            offset = log.log_start_offset
            while offset < log.log_end_offset:
                columns = log.read_columns(offset)
                ...
                offset = columns.next_offset

        What stands before a damaged batch comes first. Raises KafkaError: OFFSET_OUT_OF_RANGE,
        CORRUPT_MESSAGE for damage at `offset`. Needs numpy.
        """
        from kstore.log.columns import read_columns

        return read_columns(self, offset, max_size, max_count)

    def _headers(self, offset: int) -> Iterator[tuple[Segment, BatchHeader]]:
        self.check_usable()
        segments = self.segments
        offset = max(offset, self.log_start_offset)
        try:
            segment = segments[max(0, segments.floor(offset))]
            while True:
                found = segment.find(offset)
                for header in () if found is None else segment.headers(found[0]):
                    if header.last_offset < offset:
                        where = header.position
                        raise CorruptLogError(str(segment.path), where, "the offsets go back")
                    yield segment, header
                    offset = header.last_offset + 1
                    if segment.replaced:
                        break  # a compaction has put another in its place meanwhile
                    if segment.base_offset < segments.first.base_offset:
                        break  # retention has taken it meanwhile
                index = segments.floor(segment.base_offset) + (not segment.replaced)
                if index == len(segments):
                    return
                segment = segments[index]
        except CorruptLogError as error:
            raise corrupt(error) from error
        except OSError as error:
            raise self.disk_error(error, "reading from") from error

    # Times and epochs

    def offset_for_timestamp(self, timestamp_ms: int) -> TimestampAndOffset | None:
        """The first record whose timestamp is not before `timestamp_ms` (ms since 1970)."""
        return find_offset_for_timestamp(self, timestamp_ms)

    def max_timestamp(self) -> TimestampAndOffset | None:
        """The first record with the log's largest timestamp."""
        return find_max_timestamp(self)

    def assign_leader_epoch(self, epoch: int) -> None:
        """What is appended from now on is of this leader epoch."""
        self.leader_epoch = epoch
        self.epochs.assign(epoch, self.log_end_offset)

    def end_offset_for_epoch(self, leader_epoch: int) -> tuple[int, int]:
        """(largest epoch up to `leader_epoch`, the offset where it ended), or (-1, -1).

        Source: Kafka's LeaderEpochFileCache.endOffsetFor.
        """
        return self.epochs.end_offset_for(leader_epoch, self.log_end_offset)

    def leader_epoch_of(self, offset: int) -> int:
        """The leader epoch that wrote `offset`, -1 if unknown."""
        return self.epochs.epoch_at(offset)

    # The rest

    @property
    def size(self) -> int:
        """Bytes of all batches, indexes not counted."""
        return self.segments.size

    def truncate_to(self, offset: int) -> None:
        """Drops everything from the batch that holds `offset` on."""
        truncate_to(self, offset)

    def advance_log_start(self, offset: int) -> None:
        """Readers find nothing below `offset` any more."""
        advance_log_start(self, offset)

    def take_below_start(self) -> list[Segment]:
        """Takes out the segments below the log's start; `retention.remove_files` is to follow."""
        return take_below_start(self)

    def take_expired(self, high_watermark: int, now_ms: int, limit: int) -> list[Segment]:
        """Takes out the segments that retention lets go, at most about `limit` at a time; none with
        records at or above `high_watermark`. `retention.remove_files` is to follow."""
        return take_expired(self, high_watermark, now_ms, limit)

    def apply_retention(self, now_ms: int | None = None) -> int:
        """Removes the segments that `retention_ms` and `retention_bytes` let go, and their files.

        Returns how many. A log does nothing of this by itself: call it now and then. Slices that
        are out stay readable. Only whole segments go; see docs/operations.md.
        """
        now_ms = self.runtime.time_ms() if now_ms is None else now_ms
        taken = self.take_expired(self.log_end_offset, now_ms, len(self.segments))
        try:
            remove_files(self, taken)
        except OSError as error:
            raise self.disk_error(error, "removing segments of") from error
        return len(taken)

    def compact(self, now_ms: int | None = None, *, map_size: int = 128 << 20) -> Compacted:
        """Keeps only the latest value of each key, in all segments but the active one.

        `roll` first to have all. What is younger than `min_compaction_lag_ms` stays, and what open
        transactions have written or came after. A tombstone goes `delete_retention_ms` after the
        first compaction that meets it. The map of keys has `map_size` bytes; more keys take several
        passes. A log does nothing of this by itself. Raises KafkaError: INVALID_CONFIG if
        `cleanup_policy` is not compact, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
        """
        from kstore.log.compaction.run import compact

        return compact(self, self.runtime.time_ms() if now_ms is None else now_ms, map_size)

    def flush(self) -> None:
        """Returns when all that was appended is on the disk."""
        flush(self)

    def when_synced(self, offset: int) -> Later[None]:
        """Done once everything below `offset`, at most the log's end, is on the disk.

        One sync in a worker is shared by all who wait for it. Fails with KafkaError.
        """
        return when_synced(self, offset)

    def stop_timer(self) -> None:
        """Has no sync begin by itself any more; for the loop, before another thread closes."""
        if self.flush_timer is not None:
            self.flush_timer.cancel()
            self.flush_timer = None

    def reconfigure(self, config: LogConfig) -> None:
        """Takes over new configs, from the next append on."""
        self.configure(config)

    def moved(self, directory: Path) -> None:
        """The directory was renamed."""
        self.directory = directory
        self.epochs.moved(directory)
        for segment in self.segments.all():
            segment.moved(directory)

    def close(self) -> None:
        """Syncs and trims everything, and leaves a snapshot of the producers. Idempotent.

        Slices that are still out stay readable. A log whose disk has failed is only let go. Raises
        KafkaError KAFKA_STORAGE_ERROR if the end could not be written, closed or not.
        """
        if self.closed:
            return
        try:
            if self.failed is None:
                self._finish()
        finally:
            self.abandon()

    def _finish(self) -> None:
        try:
            self.settle()
        except OSError as error:
            raise self.disk_error(error, "closing") from error
        if self.writer is None and self.recovery_point == self.log_end_offset:
            flush(self)
            return
        try:
            self.finish_indexes()
            self.segments.active.seal()
            self.writer = None
            snapshot = self.handles.get(write_snapshot(self, self.log_end_offset))
        except OSError as error:
            raise self.disk_error(error, "closing") from error
        flush_at_close(self, snapshot)

    def abandon(self) -> None:
        """Lets maps and files go without writing anything: the log is deleted, or failed."""
        self.closed = True
        if self.compaction is not None:
            self.compaction.cancel()
        self.writer = None
        if self.next_segment is not None:
            self.next_segment.cancel()
        for segment in self.segments.all():
            segment.release()
