"""Appending a batch: validated, checked against its producer, copied once.

The way of a good batch is three native calls: validate it where it lies, append it to the map of
the active segment (a large one is written to its file instead), and one method of the producer's
state. Everything else here says what was wrong with a bad one, in Kafka's codes. Runs on the thread
of the log.

Source: Kafka's UnifiedLog.append, LogValidator.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from kstore._native import batch as batch_faults
from kstore._native import validate as faults
from kstore._native.batch import (
    HEADER_SIZE,
    Appended,
    BatchError,
    BatchHeader,
    parse_header,
    walk,
)
from kstore._native.segment import AHEAD, FITS, GROW, ROLL, SPILL, WRITE
from kstore._native.validate import InvalidBatch, validate_batch, validate_records
from kstore.errors import ErrorCode, KafkaError
from kstore.log.compression import decompress
from kstore.log.flush import flush_if_due
from kstore.log.producers import Verification
from kstore.log.records import EndTransactionMarker, build_end_transaction_marker
from kstore.log.roll import make_ahead, roll
from kstore.log.state import LogState
from kstore.log.transaction_index import note_aborted
from kstore.log.truncate import truncate_to

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "Appended",
    "InvalidRecordError",
    "Origin",
    "append_batch",
    "append_batches_verbatim",
    "append_marker",
    "refusal",
    "validate",
]


_NEVER = (1 << 63) - 1


class Origin(Enum):
    """Who appends."""

    CLIENT = "client"
    COORDINATOR = "coordinator"


_CLIENT = Origin.CLIENT  # an enum's member takes longer to find than a global


class InvalidRecordError(KafkaError):
    """A batch refused because of single records: `record_errors` lists (index, message)."""

    def __init__(self, code: ErrorCode, message: str, record_errors: list[tuple[int, str]]) -> None:
        super().__init__(code, message)
        self.record_errors = record_errors


def append_batch(
    log: LogState,
    data: Buffer,
    now_ms: int,
    origin: Origin,
    built: BatchHeader | None = None,
    verification: Verification | None = None,
) -> Appended:
    """Appends the one batch in `data`; offsets and leader epoch are assigned.

    `built` is the header of a batch that was just made here, of which nothing needs a check;
    `verification` belongs to the first batch of a transaction. Raises KafkaError, and then the log
    is as it was.
    """
    if log.failed is not None or log.closed:
        log.check_usable()
    by_client = origin is _CLIENT
    header = built or validate(log, data, now_ms, by_client=by_client)
    idempotent = header.producer_id >= 0
    if idempotent and not header.is_control:
        duplicate = log.producers.check(header, by_client=by_client, verification=verification)
        if duplicate is not None:
            base_offset, last_offset, timestamp_ms = duplicate
            return Appended(
                base_offset, last_offset, timestamp_ms, log.log_start_offset, True, header.size
            )
    base_offset = log.log_end_offset
    _write(log, data, header, base_offset, log.leader_epoch, now_ms)
    if idempotent:
        _tell_producers(log, header, data)
    if log.flushes:
        flush_if_due(log)
    return Appended(
        base_offset,
        log.log_end_offset - 1,
        now_ms if log.rules.log_append_time else -1,
        log.log_start_offset,
        False,
        header.size,
    )


def append_marker(
    log: LogState,
    marker: EndTransactionMarker,
    producer_id: int,
    producer_epoch: int,
    transaction_version: int,
    now_ms: int,
) -> Appended:
    """Ends the transaction of a producer. Raises KafkaError, and then the log is as it was."""
    log.check_usable()
    data = build_end_transaction_marker(
        marker, producer_id=producer_id, producer_epoch=producer_epoch, timestamp_ms=now_ms
    )
    log.producers.check_marker(parse_header(data), marker, transaction_version=transaction_version)
    return append_batch(log, data, now_ms, Origin.COORDINATOR)


def validate(log: LogState, data: Buffer, now_ms: int, *, by_client: bool) -> BatchHeader:
    """The header of the one batch in `data`, if that may be appended; raises KafkaError."""
    try:
        header = validate_batch(data, log.rules, now_ms, by_client)
        if header.codec and (log.rules.keys_required or log.rules.before_max_ms < _NEVER):
            _look_inside(log, header, data, now_ms)
    except InvalidBatch as invalid:
        raise refusal(log, invalid, now_ms) from None
    return header


def append_batches_verbatim(log: LogState, data: Buffer, now_ms: int) -> None:
    """Appends whole batches that have their offsets and leader epochs, as a follower does.

    Raises KafkaError: CORRUPT_MESSAGE, or INVALID_REQUEST if they don't follow what is there. What
    stands before the bad batch is appended.
    """
    log.check_usable()
    try:
        for header in walk(data):
            if header.base_offset < log.log_end_offset or header.last_offset < header.base_offset:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST,
                    f"{log.name}: a batch with offsets {header.base_offset} to "
                    f"{header.last_offset} can't follow offset {log.log_end_offset - 1}",
                )
            if header.leader_epoch >= 0:
                log.epochs.assign(header.leader_epoch, header.base_offset)
            _write(log, data, header, header.base_offset, header.leader_epoch, now_ms)
            if header.producer_id >= 0:
                _tell_producers(log, header, data)
    except BatchError as error:
        raise KafkaError(ErrorCode.CORRUPT_MESSAGE, f"{log.name}: {error}") from None
    except OSError as error:
        raise log.disk_error(error, "appending to") from error
    if log.flushes:
        flush_if_due(log)


def _write(
    log: LogState,
    data: Buffer,
    header: BatchHeader,
    base_offset: int,
    leader_epoch: int,
    now_ms: int,
) -> None:
    """Puts the batch at the end of the log; `header` gets its final values."""
    try:
        if log.epochs.unwritten:
            log.epochs.write()
        writer = log.writer or log.activate()
        while (need := writer.append(data, header, base_offset, leader_epoch, now_ms)) != FITS:
            if need == GROW:
                log.segments.active.grow(header.size)
            elif need == ROLL:
                _check_fits_segment(log, header)
                roll(log, base_offset, now_ms)
                writer = log.activate()
            elif need == SPILL:
                log.segments.active.spill_indexes(log.config.segment_index_bytes)
            else:
                if need == WRITE:
                    need = log.segments.active.write(data, header)
                if need == AHEAD:
                    make_ahead(log)
                break
    except OSError as error:
        raise log.disk_error(error, "appending to") from error
    log.log_end_offset = base_offset + header.last_offset_delta + 1


def _check_fits_segment(log: LogState, header: BatchHeader) -> None:
    if header.size > log.config.segment_bytes:
        raise KafkaError(
            ErrorCode.RECORD_LIST_TOO_LARGE,
            f"Message batch size is {header.size} bytes in append to partition {log.name}, which "
            f"exceeds the maximum configured segment size of {log.config.segment_bytes}.",
        )


def _tell_producers(log: LogState, header: BatchHeader, data: Buffer) -> None:
    if not header.is_control:
        log.producers.update(header)
        return
    completed = log.producers.replay(header, data)
    if completed is not None and completed.is_aborted:
        try:
            note_aborted(log, log.segments.active, completed)
        except OSError as error:
            failure = log.disk_error(error, "noting an aborted transaction of")
            if log.failed is None:
                # A marker without its entry would show what was aborted to everybody.
                truncate_to(log, header.base_offset)
            raise failure from error


def _look_inside(log: LogState, header: BatchHeader, data: Buffer, now_ms: int) -> None:
    """Checks the records of a compressed batch, where they matter: each must have a key, or be no
    older than the topic allows (the header tells only the largest timestamp)."""
    records = decompress(header.codec, memoryview(data)[HEADER_SIZE : header.size])
    validate_records(header, records, log.rules, now_ms)


_REASONS: dict[int, tuple[ErrorCode, str]] = {
    faults.NO_BATCH: (ErrorCode.INVALID_RECORD, "there is no whole record batch"),
    faults.MANY_BATCHES: (ErrorCode.INVALID_RECORD, "there is more than one record batch"),
    batch_faults.OLD_MAGIC: (ErrorCode.INVALID_RECORD, "only batches of magic 2 are allowed"),
    batch_faults.BAD_MAGIC: (ErrorCode.CORRUPT_MESSAGE, "the magic of the batch is not known"),
    batch_faults.BAD_LENGTH: (ErrorCode.CORRUPT_MESSAGE, "the length of the batch is too small"),
    batch_faults.BAD_CRC: (ErrorCode.CORRUPT_MESSAGE, "the CRC of the batch does not match"),
    faults.BASE_OFFSET: (ErrorCode.INVALID_RECORD, "the base offset of the batch should be 0"),
    faults.OFFSET_RANGE: (ErrorCode.INVALID_RECORD, "the batch has an invalid range of offsets"),
    faults.RECORD_COUNT: (
        ErrorCode.INVALID_RECORD,
        "the number of records does not agree with the range of offsets",
    ),
    faults.CONTROL: (ErrorCode.INVALID_RECORD, "clients are not allowed to write control records"),
    faults.SEQUENCE: (ErrorCode.INVALID_RECORD, "a batch with a producer id has no sequence"),
    faults.CODEC: (ErrorCode.INVALID_RECORD, "the compression of the batch is not known"),
}

_RECORD_REASONS = {
    faults.RECORDS: "the record is malformed",
    faults.OFFSET_GAP: "the offset of the record is not the one after the last",
    faults.NO_KEY: "Compacted topic cannot accept message without key in topic partition {name}",
    faults.TIMESTAMP: (
        "Timestamp {timestamp} of message with offset {index} is out of range. "
        "The timestamp should be within [{earliest}, {latest}]"
    ),
    faults.TIMESTAMP_TYPE: (
        "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime"
    ),
}


def refusal(log: LogState, invalid: InvalidBatch, now_ms: int) -> KafkaError:
    """What the client is told about a batch that is not fit to be appended."""
    if invalid.fault == faults.TOO_LARGE:
        assert invalid.header is not None
        return KafkaError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"The record batch size in the append to {log.name} is {invalid.header.size} bytes "
            f"which exceeds the maximum configured value of {log.rules.max_size}.",
        )
    if invalid.fault in _REASONS:
        code, reason = _REASONS[invalid.fault]
        return KafkaError(code, f"{log.name}: {reason}")
    times = {fault for _, fault, _ in invalid.records} & {faults.TIMESTAMP, faults.TIMESTAMP_TYPE}
    record_errors = [
        (
            index,
            _RECORD_REASONS[fault].format(
                name=log.name,
                index=index,
                timestamp=timestamp,
                earliest=now_ms - log.rules.before_max_ms,
                latest=now_ms + log.rules.after_max_ms,
            ),
        )
        for index, fault, timestamp in invalid.records
    ]
    if times:
        code, reason = ErrorCode.INVALID_TIMESTAMP, "due to invalid timestamp"
    else:
        code = ErrorCode.INVALID_RECORD
        reason = f"due to {len(record_errors)} record errors in total"
    return InvalidRecordError(
        code, f"{log.name}: one or more records have been rejected {reason}", record_errors
    )
