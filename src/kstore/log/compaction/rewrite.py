"""What a worker does of a compaction: reads segments, fills the map, writes what is kept.

Segments are read in chunks, so memory is bounded by the map, a chunk and the largest batch; a batch
larger than a chunk has its CRC checked piece by piece before it is read whole. Damage raises
CorruptLogError, and then nothing has changed. Between two chunks the work may be stopped, and waits
if there is a limit to its speed.

Belongs to one compaction and to whichever worker does its present step. The segments it reads are
sealed. Source: Kafka's Cleaner.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kstore._native.batch import HEADER_SIZE, TORN, BatchHeader, parse_header
from kstore._native.compact import (
    FULL,
    KEEP_NONE,
    OTHER,
    REWRITTEN,
    RecordFilter,
    map_batch,
    map_run,
)
from kstore._native.key_map import KeyMap
from kstore.configs import LogConfig
from kstore.errors import CorruptLogError, KafkaError
from kstore.log.compaction.output import Nowhere, Output
from kstore.log.compaction.rules import LastBatches, Transactions, judge
from kstore.log.compression import Codec, decompress
from kstore.log.handles import Handles
from kstore.log.recompress import level_of, with_codec
from kstore.log.records import ControlType, batch_records, parse_control_type
from kstore.log.recovery import check_large
from kstore.log.search import position_near
from kstore.log.segment import Segment
from kstore.log.transaction_index import AbortedTransaction

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Counts", "Rewriter", "StoppedError"]

_CHUNK_SIZE = 1 << 20
_AHEAD_SIZE = 4 << 20  # what the disk is asked for while a chunk is worked on


class StoppedError(Exception):
    """The compaction was stopped."""


@dataclass(slots=True)
class Counts:
    """What a compaction has done so far; bytes and records of the rewriting, not of the map's."""

    bytes_mapped: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    records_read: int = 0
    records_kept: int = 0
    records_without_key: int = 0


class Rewriter:
    """The work of one compaction. `throttle` is told of bytes, and says how many seconds to wait.

    Every method raises OSError, CorruptLogError, and StoppedError once `stopping` is set.
    """

    def __init__(
        self,
        handles: Handles,
        config: LogConfig,
        stopping: threading.Event,
        throttle: Callable[[int], float],
    ) -> None:
        self.counts = Counts()
        self._handles = handles
        self._config = config
        self._stopping = stopping
        self._throttle = throttle

    def map_keys(
        self,
        map: KeyMap,
        segments: Sequence[Segment],
        from_offset: int,
        end_offset: int,
        aborted: Sequence[AbortedTransaction],
    ) -> None:
        """Puts the keys of the segments' records from an offset on into the map, till it is full.

        Aborted records are left out: what they say never was. `end_offset` is the segments' end.
        """
        transactions = Transactions(aborted)

        def run(data: bytes, at: int) -> tuple[int, int]:
            return map_run(map, data, at, from_offset)

        def other(header: BatchHeader, batch: memoryview) -> bool:
            if header.last_offset < from_offset:
                return True
            if header.is_control:
                transactions.end(header, _marker(batch))
            elif not transactions.is_aborted(header):
                return map_batch(map, header, *_plain(header, batch), from_offset)
            map.reached(header.last_offset)
            return True

        def mapped(size: int) -> None:
            self.counts.bytes_mapped += size

        for segment in segments:
            position = position_near(segment, from_offset)
            if not self._walk(segment, position, run, other, mapped):
                return
        # Offsets behind the last batch may have been removed before.
        map.reached(end_offset - 1)

    def rewrite(
        self,
        group: Sequence[Segment],
        map: KeyMap,
        transactions: Transactions,
        last: LastBatches,
        now_ms: int,
    ) -> Segment:
        """What is kept of a group of segments as one new segment, on the disk, whose names end in
        `.cleaned`. After an error there is nothing."""
        if self._stopping.is_set():
            raise StoppedError
        output = Output(self._handles, group[0], self._config.index_interval_bytes)
        try:
            self._fill(output, group, map, transactions, last, now_ms)
            if self._stopping.is_set():
                raise StoppedError
            return output.finish(group[-1])
        except BaseException:
            output.discard()
            raise

    def measure(
        self,
        segment: Segment,
        map: KeyMap,
        transactions: Transactions,
        last: LastBatches,
        now_ms: int,
    ) -> int:
        """Bytes that `rewrite` would keep of one segment; nothing is written."""
        output = Nowhere()
        self._fill(output, [segment], map, transactions, last, now_ms)
        return output.size

    def _fill(
        self,
        output: Output | Nowhere,
        group: Sequence[Segment],
        map: KeyMap,
        transactions: Transactions,
        last: LastBatches,
        now_ms: int,
    ) -> None:
        horizon_ms = now_ms + self._config.delete_retention_ms
        kept = RecordFilter(map, now_ms, horizon_ms, last.to_bytes())

        def other(header: BatchHeader, batch: memoryview) -> bool:
            if header.is_control:
                is_discardable, aborted = transactions.end(header, _marker(batch))
                if aborted is not None:
                    output.aborted.append(aborted)
            else:
                is_discardable = transactions.is_aborted(header)
            keep, keep_empty, set_horizon = judge(
                header, is_discardable=is_discardable, is_last=header in last, now_ms=now_ms
            )
            records = (b"", 0, 0) if keep == KEEP_NONE else _plain(header, batch)
            if header.codec:
                output.append(kept.take())
            became = kept.rewrite(
                header, batch, *records, keep=keep, keep_empty=keep_empty, set_horizon=set_horizon
            )
            if header.codec and became == REWRITTEN:
                codec = Codec(header.codec)
                output.append(with_codec(kept.take(), codec, level_of(self._config, codec)))
            return True

        counts, before = self.counts, self.counts.bytes_written

        def write(size: int) -> None:
            made = kept.take()
            self.pause(len(made))
            output.append(made)
            counts.bytes_read += size
            counts.bytes_written = before + output.size

        for segment in group:
            self._walk(segment, 0, kept.run, other, write)
        counts.records_read += kept.records_read
        counts.records_kept += kept.records_kept
        counts.records_without_key += kept.records_without_key

    def pause(self, size: int) -> None:
        """Waits for as long as `size` bytes more ask for."""
        if self._stopping.wait(self._throttle(size)):
            raise StoppedError

    def _walk(
        self,
        segment: Segment,
        position: int,
        run: Callable[[bytes, int], tuple[int, int]],
        other: Callable[[BatchHeader, memoryview], bool],
        after_chunk: Callable[[int], None],
    ) -> bool:
        """Has `run` go through the batches from `position` on, and `other` decide about those that
        it leaves; False as soon as the map is full. `after_chunk` is told of bytes."""
        files, handle = self._handles.files, self._handles.get(segment.path)
        wanted = _CHUNK_SIZE
        while position < segment.size:
            data = handle.read(min(wanted, segment.size - position), position)
            files.read_ahead(handle.descriptor, _AHEAD_SIZE, position + len(data))
            self.pause(len(data))
            wanted = _CHUNK_SIZE
            at = 0
            try:
                at, why = run(data, at)
                while why == OTHER:
                    header = parse_header(data, at)
                    batch = memoryview(data)[at : at + header.size]
                    if not other(header, batch):
                        return False
                    at, why = run(data, at + header.size)
            except KafkaError as error:
                raise CorruptLogError(str(segment.path), position, error.message) from error
            if why == FULL:
                return False
            if why != TORN:
                raise CorruptLogError(str(segment.path), position + at, "no sound batch is here")
            if at == 0:
                large = check_large(handle, position, segment.size)
                if large is None or large.size <= len(data):
                    raise CorruptLogError(str(segment.path), position, "the batch is cut")
                wanted = large.size
            position += at
            after_chunk(at)
        return True


def _plain(header: BatchHeader, batch: memoryview) -> tuple[Buffer, int, int]:
    """The records of a batch, decompressed: a buffer, their start and end in it."""
    if not header.codec:
        return batch, HEADER_SIZE, header.size
    records = decompress(header.codec, batch[HEADER_SIZE:])
    return records, 0, len(records)


def _marker(batch: memoryview) -> ControlType | None:
    """What a control batch says; None if it was emptied before. Raises KafkaError."""
    for record in batch_records(parse_header(batch), batch):
        return parse_control_type(record)
    return None
