"""Records and the batches that hold them: built, iterated, searched.

The engine moves batches as bytes; what here makes an object of each record is for programs that
embed the store, for coordinators that load their own partitions, and for `dump` and `check`. The
bytes are walked natively, compressed batches are decompressed whole (up to the limit of
`compression`). Holds no state; any thread may call everything.

Every fault in the bytes is a KafkaError: CORRUPT_MESSAGE, or UNSUPPORTED_FOR_MESSAGE_FORMAT for
message sets of the formats before Kafka 0.11 (magic 0 and 1), which kstore does not read.

Source: Kafka's `DefaultRecordBatch`, `DefaultRecord`, `ControlRecordType`, `EndTransactionMarker`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

from kstore._native.batch import HEADER_SIZE, OLD_MAGIC, BatchError, BatchHeader, walk
from kstore._native.records import (
    Record,
    assemble_batch,
    decode_records,
    encode_records,
    find_max_timestamp,
    find_timestamp,
)
from kstore.errors import ErrorCode, KafkaError
from kstore.log.compression import Codec, compress, decompress

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "ControlType",
    "EndTransactionMarker",
    "Record",
    "RecordLike",
    "batch_records",
    "batches",
    "build_batch",
    "build_end_transaction_marker",
    "find_record_by_timestamp",
    "find_record_with_max_timestamp",
    "iterate_records",
    "parse_control_type",
    "parse_end_transaction_marker",
]

_Bytes: TypeAlias = bytes | bytearray | memoryview
RecordLike: TypeAlias = (
    Record
    | tuple[_Bytes | None, _Bytes | None]
    | tuple[_Bytes | None, _Bytes | None, int | None]
    | tuple[_Bytes | None, _Bytes | None, int | None, Iterable[tuple[str, _Bytes | None]]]
)
"""What a batch is built of: a `Record`, or (key, value[, timestamp_ms[, headers]])."""

_LOG_APPEND_TIME = 0x08
_TRANSACTIONAL = 0x10
_CONTROL = 0x20

_CONTROL_KEY = struct.Struct(">hh")  # version, type
_MARKER_VALUE = struct.Struct(">hi")  # version, coordinator epoch


class ControlType(IntEnum):
    """What a control record says; the type in its key."""

    UNKNOWN = -1
    ABORT = 0
    COMMIT = 1
    LEADER_CHANGE = 2
    SNAPSHOT_HEADER = 3
    SNAPSHOT_FOOTER = 4
    KRAFT_VERSION = 5
    KRAFT_VOTERS = 6


@dataclass(frozen=True, slots=True)
class EndTransactionMarker:
    """The control record that ends a producer's transaction in one partition."""

    type: ControlType
    coordinator_epoch: int


def build_batch(
    records: Iterable[RecordLike],
    *,
    base_offset: int = 0,
    compression: int | str = Codec.NONE,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    transactional: bool = False,
    control: bool = False,
    timestamp_type: int = 0,
    leader_epoch: int = -1,
    timestamp_ms: int = -1,
) -> bytes:
    """One batch of `records`, with consecutive offsets from `base_offset` on.

    A record is a `Record` (whose offset is not looked at) or a tuple `(key, value)`,
    `(key, value, timestamp_ms)` or `(key, value, timestamp_ms, headers)`; one without a timestamp
    (None, -1) gets `timestamp_ms`. `timestamp_type` is 0 for CreateTime, 1 for LogAppendTime.

    Raises ValueError without a record, TypeError for a record that is none of these, KafkaError
    RECORD_LIST_TOO_LARGE from 2 GiB on.
    """
    codec = Codec.of(compression)
    data, count, base_timestamp, max_timestamp = encode_records(records, timestamp_ms)
    if not count:
        raise ValueError("a batch has at least one record")
    return assemble_batch(
        compress(codec, data),
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        attributes=codec
        | (_LOG_APPEND_TIME if timestamp_type else 0)
        | (_TRANSACTIONAL if transactional else 0)
        | (_CONTROL if control else 0),
        last_offset_delta=count - 1,
        base_timestamp=base_timestamp,
        max_timestamp=max_timestamp,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        record_count=count,
    )


def batches(data: Buffer, position: int = 0) -> Iterator[BatchHeader]:
    """The headers of the batches in `data`, each checked with its CRC.

    Raises KafkaError at the first bytes that are no whole batch.
    """
    try:
        yield from walk(data, position)
    except BatchError as error:
        if error.fault == OLD_MAGIC:
            code = ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT
        else:
            code = ErrorCode.CORRUPT_MESSAGE
        raise KafkaError(code, str(error)) from None


def iterate_records(
    data: Buffer, *, from_offset: int = 0, control: bool = False
) -> Iterator[Record]:
    """The records of the whole batches in `data` whose offset is at least `from_offset`.

    Control records, which mean nothing to a program, only come with `control`.
    """
    for header in batches(data):
        if header.last_offset >= from_offset and (control or not header.is_control):
            yield from batch_records(header, data, from_offset)


def batch_records(header: BatchHeader, data: Buffer, from_offset: int = 0) -> list[Record]:
    """The records of one batch; `header` must have been read from `data`."""
    return decode_records(header, *_record_data(header, data), from_offset)


def find_record_by_timestamp(
    header: BatchHeader, data: Buffer, timestamp_ms: int, *, from_offset: int = 0
) -> tuple[int, int] | None:
    """(timestamp, offset) of the batch's first record that is not older than `timestamp_ms` and
    whose offset is at least `from_offset`."""
    if header.max_timestamp < timestamp_ms:
        return None
    return find_timestamp(header, *_record_data(header, data), timestamp_ms, from_offset)


def find_record_with_max_timestamp(header: BatchHeader, data: Buffer) -> tuple[int, int] | None:
    """(timestamp, offset) of the batch's first record with its largest timestamp."""
    return find_max_timestamp(header, *_record_data(header, data))


def _record_data(header: BatchHeader, data: Buffer) -> tuple[Buffer, int, int]:
    """Where the plain records of a batch are: a buffer, their start and end in it."""
    start = header.position + HEADER_SIZE
    end = header.position + header.size
    if not header.codec:
        return data, start, end
    plain = decompress(header.codec, memoryview(data)[start:end])
    return plain, 0, len(plain)


def build_end_transaction_marker(
    marker: EndTransactionMarker,
    *,
    producer_id: int,
    producer_epoch: int,
    timestamp_ms: int,
    base_offset: int = 0,
    leader_epoch: int = -1,
) -> bytes:
    """The batch of 78 bytes that ends a transaction: one control record, no sequence."""
    if marker.type not in (ControlType.ABORT, ControlType.COMMIT):
        raise ValueError(f"a transaction does not end with {marker.type.name}")
    key = _CONTROL_KEY.pack(0, marker.type)
    value = _MARKER_VALUE.pack(0, marker.coordinator_epoch)
    return build_batch(
        [(key, value, timestamp_ms)],
        base_offset=base_offset,
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        transactional=True,
        control=True,
        leader_epoch=leader_epoch,
    )


def parse_control_type(record: Record) -> ControlType:
    """The type of a control record; UNKNOWN for one that a later Kafka may have written.

    Keys of a later version are read as far as they are known, as Kafka does.
    """
    key = record.key
    if key is None or len(key) < _CONTROL_KEY.size:
        raise _malformed(record, "its key is too short")
    version, number = _CONTROL_KEY.unpack_from(key)
    if version < 0:
        raise _malformed(record, f"its key has version {version}")
    try:
        return ControlType(number)
    except ValueError:
        return ControlType.UNKNOWN


def parse_end_transaction_marker(header: BatchHeader, data: Buffer) -> EndTransactionMarker | None:
    """The marker in a control batch of a producer; None if compaction emptied the batch.

    Raises KafkaError CORRUPT_MESSAGE if the batch holds anything else.
    """
    for record in batch_records(header, data):
        control_type = parse_control_type(record)
        if control_type not in (ControlType.ABORT, ControlType.COMMIT):
            raise _malformed(record, f"{control_type.name} does not end a transaction")
        value = record.value
        if value is None or len(value) < _MARKER_VALUE.size:
            raise _malformed(record, "its value is too short")
        version, coordinator_epoch = _MARKER_VALUE.unpack_from(value)
        if version < 0:
            raise _malformed(record, f"its value has version {version}")
        return EndTransactionMarker(control_type, coordinator_epoch)
    return None


def _malformed(record: Record, reason: str) -> KafkaError:
    return KafkaError(
        ErrorCode.CORRUPT_MESSAGE, f"the control record at offset {record.offset}: {reason}"
    )
