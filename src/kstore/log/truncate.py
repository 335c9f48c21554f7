"""Truncation: making a log end, or start, elsewhere.

A follower truncates what its leader never had; epochs, producers and the recovery point follow.
Later segments are deleted from the last one on, so that a crash leaves a log without a hole.
Runs on the thread of the log. Source: Kafka's UnifiedLog.truncateTo, truncateFullyAndStartAt.
"""

from __future__ import annotations

import logging

from kstore.errors import CorruptLogError, ErrorCode, KafkaError, StoreError
from kstore.log.read import corrupt
from kstore.log.segment import Segment
from kstore.log.snapshots import delete_snapshots_above, rebuild_producers, snapshot_offsets
from kstore.log.state import LogState
from kstore.log.transaction_index import drop_aborted

__all__ = ["advance_log_start", "truncate_to"]

logger = logging.getLogger("kstore.log")


def truncate_to(log: LogState, offset: int) -> None:
    """Drops all batches from the one that holds `offset` on; the log ends at `offset` then.

    Below the first segment everything goes, and the log starts at `offset` too. Raises KafkaError
    KAFKA_STORAGE_ERROR, CORRUPT_MESSAGE; ValueError for a negative offset.
    """
    if offset < 0:
        raise ValueError(f"{log.name} can't be truncated to the offset {offset}")
    log.check_usable()
    if offset >= log.log_end_offset:
        log.epochs.truncate_from_end(log.log_end_offset)
        _keep_epoch(log)
        return
    logger.info("truncating %s from %d to %d", log.name, log.log_end_offset, offset)
    log.truncations += 1
    try:
        _truncate(log, offset)
    except CorruptLogError as error:
        raise corrupt(error) from error
    except (OSError, StoreError) as error:
        # Half of it may be done: not even a full disk leaves the log as it was.
        if isinstance(error, OSError):
            failure = log.disk_error(error, "truncating")
        else:
            failure = KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error))
        log.fail(failure)
        raise failure from error


def _truncate(log: LogState, offset: int) -> None:
    # Before a file is touched: a start after a crash must look at what may be half cut.
    log.recovery_point = min(log.recovery_point, offset)
    log.cleaned_offset = min(log.cleaned_offset, offset)
    log.on_truncation(log)
    log.settle()
    start_anew = offset < log.segments.first.base_offset
    while len(log.segments) and (start_anew or log.segments.active.base_offset > offset):
        log.writer = None
        log.segments.remove_last().delete()
        log.log_end_offset = (
            log.segments.active.next_offset() if len(log.segments) else log.log_start_offset
        )
    if start_anew:
        now_ms = log.runtime.time_ms()
        log.segments.add(Segment.create(log.handles, log.directory, offset, now_ms))
    else:
        log.segments.active.truncate_to(offset)
        drop_aborted(log, log.segments.active, offset)
    log.log_end_offset = offset
    log.log_start_offset = min(log.log_start_offset, offset)
    log.epochs.truncate_from_end(offset)
    _keep_epoch(log)
    delete_snapshots_above(log, offset)
    rebuild_producers(log, offset, snapshots=snapshot_offsets(log))
    _sync(log)


def _sync(log: LogState) -> None:
    """What was dropped must not come back when other batches have its offsets."""
    for handle in log.segments.active.open_files():
        log.files.sync(handle.descriptor)
    log.handles.sync_directory(log.directory)


def _keep_epoch(log: LogState) -> None:
    """What is appended next is of the current epoch, whatever was cut off."""
    if log.leader_epoch >= 0:
        log.epochs.assign(log.leader_epoch, log.log_end_offset)


def advance_log_start(log: LogState, offset: int) -> None:
    """Records below `offset` are gone for readers; `retention` takes files. Lower is no change.

    Raises KafkaError OFFSET_OUT_OF_RANGE above the log's end.
    """
    log.check_usable()
    if offset > log.log_end_offset:
        raise KafkaError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"{log.name} can't start at {offset}, it ends at {log.log_end_offset}",
        )
    if offset > log.log_start_offset:
        log.log_start_offset = offset
        log.epochs.truncate_from_start(offset)
        log.producers.log_start_moved(offset)
