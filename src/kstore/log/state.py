"""What one log is made of: the values that append, read, roll, truncate and recovery share.

`Log` adds the operations; each of them stands in a file of its own and works on this. Invariants:

- segments follow each other without overlap, the last one is the active one, there is always one;
- `log_start_offset <= log_end_offset`, and `recovery_point <= log_end_offset`: everything below the
  recovery point is on the disk, segments, indexes and all;
- `writer` is the active segment's, or None until the first append after opening or rolling.

Belongs to one thread: the loop, or the embedding program.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import randrange
from typing import Protocol
from uuid import UUID

from kstore._native.ends import LogEnds
from kstore._native.index import BaseOffsets
from kstore._native.segment import SegmentWriter
from kstore._native.validate import AppendRules
from kstore.configs import LogConfig
from kstore.errors import CorruptLogError, ErrorCode, KafkaError
from kstore.log.ahead import NextSegment
from kstore.log.compression import Codec
from kstore.log.epochs import LeaderEpochs
from kstore.log.files import TEMPORARY_ERRNOS, Files
from kstore.log.handles import Handles
from kstore.log.producers import ProducerStates
from kstore.log.segment import Segment
from kstore.log.tasks import Task
from kstore.runtime import Later, Runtime, Timer

__all__ = ["LogState", "Segments", "append_rules", "stored_codec"]

_NEVER = (1 << 63) - 1

logger = logging.getLogger("kstore.log")


class Segments:
    """The segments of a log, by base offset."""

    __slots__ = ("_bases", "_sealed_size", "_segments")

    def __init__(self) -> None:
        self._bases = BaseOffsets()
        self._segments: list[Segment] = []
        self._sealed_size = 0  # of all but the active one, whose sizes don't change

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, index: int) -> Segment:
        return self._segments[index]

    def all(self) -> list[Segment]:
        return list(self._segments)

    @property
    def active(self) -> Segment:
        return self._segments[-1]

    @property
    def first(self) -> Segment:
        return self._segments[0]

    @property
    def size(self) -> int:
        """Bytes of all batches."""
        return self._sealed_size + (self.active.size if self._segments else 0)

    def add(self, segment: Segment) -> None:
        """Adds a segment behind all others; ValueError for one that is not."""
        self._bases.add(segment.base_offset)
        if self._segments:
            self._sealed_size += self.active.size
        self._segments.append(segment)

    def replace(self, old: list[Segment], new: Segment) -> None:
        """Puts `new` in the place of neighbours, of which the first has the same base offset."""
        index = self._segments.index(old[0])
        assert self._segments[index : index + len(old)] == old, "these are not all in the log"
        assert old[-1] is not self.active, "the active one is being written"
        self._segments[index : index + len(old)] = [new]
        self._sealed_size += new.size - sum(segment.size for segment in old)
        self._bases = BaseOffsets()
        for segment in self._segments:
            self._bases.add(segment.base_offset)

    def remove_last(self) -> Segment:
        self._bases.drop_last()
        last = self._segments.pop()
        if self._segments:
            self._sealed_size -= self.active.size
        return last

    def take_first(self, count: int) -> list[Segment]:
        """Removes the first `count` segments, but never the active one."""
        count = max(0, min(count, len(self._segments) - 1))
        taken = self._segments[:count]
        del self._segments[:count]
        self._bases.drop_first(count)
        self._sealed_size -= sum(segment.size for segment in taken)
        return taken

    def floor(self, offset: int) -> int:
        """The index of the segment that holds `offset`, or would; -1 if that is before all."""
        return self._bases.floor(offset)

    def from_offset(self, offset: int) -> list[Segment]:
        """The segment that holds `offset` and all later ones."""
        return self._segments[max(0, self.floor(offset)) :]

    def end_of(self, index: int, log_end_offset: int) -> int:
        """The offset where the segment at `index` ends, exclusive."""
        return self._bases[index + 1] if index + 1 < len(self._bases) else log_end_offset


class Stoppable(Protocol):
    """The compaction that a log is in, as far as the log knows it."""

    def stop(self) -> None:
        """Ends it, with all files in order. Thread of the log. Raises OSError."""

    def cancel(self) -> None:
        """Ends it at once, as a crash would. Any thread."""


def append_rules(config: LogConfig) -> AppendRules:
    """What of a topic's configs concerns each batch."""
    return AppendRules(
        max_size=config.max_message_bytes,
        keys_required="compact" in config.cleanup_policy,
        log_append_time=config.message_timestamp_type == "LogAppendTime",
        before_max_ms=config.message_timestamp_before_max_ms,
        after_max_ms=config.message_timestamp_after_max_ms,
    )


def stored_codec(config: LogConfig) -> Codec | None:
    """The codec that a topic's batches are stored in; None for the one they were sent in."""
    if config.compression_type == "producer":
        return None
    name = config.compression_type
    return Codec.NONE if name == "uncompressed" else Codec.of(name)


class LogState(LogEnds):
    """The fields of a log. `faults` lists what recovery found and cut off when it was opened;
    `has_aborted` says that some transaction in it may have been aborted."""

    __slots__ = (
        "cleaned_offset",
        "codec",
        "compaction",
        "config",
        "directory",
        "epochs",
        "faults",
        "files",
        "flush_timer",
        "flushes",
        "handles",
        "has_aborted",
        "jobs",
        "leader_epoch",
        "next_segment",
        "on_disk_error",
        "on_truncation",
        "partition",
        "producers",
        "recovery_point",
        "roll_ms",
        "rules",
        "runtime",
        "sealing",
        "segments",
        "sync_waiters",
        "syncing",
        "topic",
        "topic_id",
        "truncations",
        "unfinished",
        "writer",
    )

    def __init__(
        self,
        directory: Path,
        topic: str,
        partition: int,
        topic_id: UUID,
        *,
        config: LogConfig,
        handles: Handles,
        runtime: Runtime,
        on_disk_error: Callable[[OSError], None],
        on_truncation: Callable[[LogState], None],
    ) -> None:
        """`on_truncation` has it written down that the recovery point is lower; it may raise
        StoreError. `on_disk_error` hears of each error after which nobody knows what is on the
        disk; it may be called on any thread."""
        self.directory = directory
        self.topic = topic
        self.partition = partition
        self.topic_id = topic_id
        self.handles = handles
        self.files: Files = handles.files
        self.runtime = runtime
        self.on_disk_error = on_disk_error
        self.on_truncation = on_truncation
        self.segments = Segments()
        self.epochs = LeaderEpochs(handles.files, directory)
        self.producers = ProducerStates()
        self.leader_epoch = -1
        self.log_start_offset = 0
        self.log_end_offset = 0
        self.recovery_point = 0
        self.writer: SegmentWriter | None = None
        self.truncations = 0
        self.unfinished: list[Segment] = []
        self.has_aborted = False
        self.cleaned_offset = 0
        self.compaction: Stoppable | None = None
        self.flush_timer: Timer | None = None
        self.next_segment: NextSegment | None = None
        self.jobs: list[Task] = []
        self.sealing: list[int] = []
        self.syncing = False
        self.sync_waiters: deque[tuple[int, Later[None]]] = deque()
        self.failed = None
        self.faults: list[CorruptLogError] = []
        self.closed = False
        self.configure(config)

    @property
    def name(self) -> str:
        return f"{self.topic}-{self.partition}"

    @property
    def recovered_from(self) -> int:
        """The recovery point to write down; any thread.

        Never behind the active segment's start, though that is synced: if a roll followed just
        there, and a crash before the segment is trimmed and its indexes are synced, the next start
        would take the segment for finished. Recovery reads a segment whole anyway.
        """
        base_offset = self.segments.active.base_offset
        return min(base_offset, self.recovery_point)

    def check_usable(self) -> None:
        """Raises KafkaError KAFKA_STORAGE_ERROR if the log is closed or its disk has failed."""
        if self.failed is not None:
            raise KafkaError(self.failed.code, self.failed.message)
        if self.closed:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"the log of {self.name} is closed")

    def disk_error(self, error: OSError, doing: str) -> KafkaError:
        """The error to raise for one of the system while `doing` something.

        A full disk is an error of that operation alone. Anything else means that nobody knows what
        is on the disk: the log is failed from now on.
        """
        message = f"{doing} {self.name} failed: {error}"
        failure = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, message)
        if error.errno not in TEMPORARY_ERRNOS:
            self.fail(failure)
            self.on_disk_error(error)
        return failure

    def fail(self, failure: KafkaError) -> None:
        """Takes the log offline: it answers with this error from now on."""
        if self.failed is None:
            logger.error("%s; the partition is offline", failure.message)
            self.failed = failure

    def settle(self) -> None:
        """Returns when nothing is left that a worker is to do to the files. Raises OSError.

        For what must not happen meanwhile: the files get other names, or are cut.
        """
        if self.compaction is not None:
            self.compaction.stop()
        self.finish_jobs()
        if self.next_segment is not None:
            self.next_segment.discard()
            self.next_segment = None

    def finish_jobs(self) -> None:
        """Returns when the syncs that workers have begun, or are to do, are done. Any thread.

        Raises OSError.
        """
        for job in list(self.jobs):
            job.run()

    def configure(self, config: LogConfig) -> None:
        """Takes over new configs; they hold from the next append on."""
        self.config = config
        self.rules = append_rules(config)
        self.codec = stored_codec(config)
        self.flushes = config.flush_messages < _NEVER or config.flush_ms < _NEVER
        self.producers.expiration_ms = config.producer_id_expiration_ms
        self.producers.verifies = config.transaction_partition_verification_enable
        jitter = randrange(config.segment_jitter_ms) if config.segment_jitter_ms > 0 else 0
        self.roll_ms = config.segment_ms - jitter
        if self.writer is not None:
            self.segments.active.configure(config, self.roll_ms)

    def activate(self) -> SegmentWriter:
        """The writer of the active segment. Raises OSError."""
        if self.writer is None:
            self.finish_indexes()
            self.writer = self.segments.active.activate(self.config, self.roll_ms)
        return self.writer

    def finish_indexes(self) -> None:
        """Writes the indexes that recovery had no room for, see `log.index`. Raises OSError."""
        if self.unfinished:
            there = set(self.segments.all())
            for segment in self.unfinished:
                if segment in there:
                    segment.finish_indexes()
            self.unfinished = []
