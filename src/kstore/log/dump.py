"""What stands in a file of a log, as rows for people and programs.

The rows of Kafka's DumpLogSegments as dicts, in snake case; `kind` says what a row is:

| file                                   | kinds                                                  |
|----------------------------------------|--------------------------------------------------------|
| `.log`                                 | batch; with `deep` after each batch its records        |
| `.index`, `.timeindex`, `.txnindex`    | offset_entry, time_entry, aborted_transaction          |
| `.snapshot`                            | producer                                               |
| `leader-epoch-checkpoint`              | epoch                                                  |
| the checkpoints of a data directory    | offset                                                 |
| `partition.metadata`, `meta.properties`| partition_metadata, meta_properties                    |

What can't be read is a row of kind `fault` (`position`, `size`, `reason`): a dump shows what is
there, `check` judges it. Absent values are None. Memory is bounded by the largest batch. Any thread
may use this; the file should not be written to meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kstore._native.batch import BatchHeader
from kstore.errors import KafkaError, StoreError
from kstore.log import checkpoints, names, properties
from kstore.log.compression import Codec
from kstore.log.files import Files
from kstore.log.producers import CorruptSnapshotError, ProducerEntry, decode_snapshot
from kstore.log.records import (
    ControlType,
    Record,
    batch_records,
    parse_control_type,
    parse_end_transaction_marker,
)
from kstore.log.walk import (
    OFFSET_ENTRY,
    TIME_ENTRY,
    TRANSACTION_ENTRY,
    BatchFile,
    FileBatch,
    entries,
    file_size,
)

__all__ = ["Row", "dump"]

Row = dict[str, Any]

_MAX_SEQUENCE = (1 << 31) - 1


def dump(path: Path | str, deep: bool = False, *, files: Files | None = None) -> Iterator[Row]:
    """The rows of one file. `deep` shows the records of a `.log` too.

    Raises StoreError, at the first row, if the file can't be opened or is none of these.
    """
    path = Path(path)
    files = files or Files()
    try:
        yield from _rows(files, path, deep)
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}") from error


def _rows(files: Files, path: Path, deep: bool) -> Iterator[Row]:
    parsed = names.parse_file(path.name)
    if parsed is not None:
        base_offset, suffix, _ = parsed
        if suffix == names.LOG:
            return _dump_log(files, path, deep)
        if suffix in _ENTRIES:
            return _dump_entries(files, path, suffix, base_offset)
        return _dump_whole(files, path, _producers)
    if path.name in _WHOLE:
        return _dump_whole(files, path, _WHOLE[path.name])
    raise StoreError(f"{path} is no file of a log that could be dumped")


def _fault(position: int, size: int, reason: str) -> Row:
    return {"kind": "fault", "position": position, "size": size, "reason": reason}


# --- .log ------------------------------------------------------------------------------------


def _dump_log(files: Files, path: Path, deep: bool) -> Iterator[Row]:
    with BatchFile.opened(files, path) as batches:
        for batch in batches:
            yield _batch_row(batch)
            if deep and batch.is_sound:
                yield from _record_rows(batch)
        if batches.position < batches.size:
            yield _fault(batches.position, batches.size - batches.position, batches.fault)


def _batch_row(batch: FileBatch) -> Row:
    header = batch.header
    return {
        "kind": "batch",
        "base_offset": header.base_offset,
        "last_offset": header.last_offset,
        "count": header.record_count,
        "base_sequence": header.base_sequence,
        "last_sequence": header.last_sequence,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "partition_leader_epoch": header.leader_epoch,
        "is_transactional": header.is_transactional,
        "is_control": header.is_control,
        "delete_horizon_ms": header.base_timestamp if header.has_delete_horizon else None,
        "position": batch.position,
        "timestamp_type": _timestamp_type(header),
        "timestamp_ms": header.max_timestamp,
        "size": header.size,
        "magic": header.magic,
        "compression": _codec_name(header.codec),
        "crc": header.crc,
        "is_valid": batch.is_sound,
    }


def _timestamp_type(header: BatchHeader) -> str:
    return "LogAppendTime" if header.is_log_append_time else "CreateTime"


def _codec_name(codec: int) -> str:
    return Codec(codec).name.lower() if codec < len(Codec) else f"unknown ({codec})"


def _record_rows(batch: FileBatch) -> Iterator[Row]:
    header = batch.header
    try:
        for record in batch_records(header, batch.data):
            row = _record_row(header, record)
            if header.is_control:
                row |= _control_fields(batch, record)
            yield row
    except KafkaError as error:
        yield _fault(batch.position, header.size, error.message)


def _record_row(header: BatchHeader, record: Record) -> Row:
    sequence = -1
    if header.base_sequence >= 0:
        sequence = (header.base_sequence + record.offset - header.base_offset) & _MAX_SEQUENCE
    return {
        "kind": "record",
        "offset": record.offset,
        "timestamp_type": _timestamp_type(header),
        "timestamp_ms": record.timestamp_ms,
        "key_size": -1 if record.key is None else len(record.key),
        "value_size": -1 if record.value is None else len(record.value),
        "sequence": sequence,
        "header_keys": [name for name, _ in record.headers],
        "key": record.key,
        "value": record.value,
        "headers": record.headers,
    }


def _control_fields(batch: FileBatch, record: Record) -> Row:
    control_type = parse_control_type(record)
    fields: Row = {"control_type": control_type.name, "coordinator_epoch": None}
    if control_type in (ControlType.ABORT, ControlType.COMMIT):
        marker = parse_end_transaction_marker(batch.header, batch.data)
        fields["coordinator_epoch"] = marker.coordinator_epoch if marker else None
    return fields


# --- indexes ---------------------------------------------------------------------------------


def _dump_entries(files: Files, path: Path, suffix: str, base_offset: int) -> Iterator[Row]:
    entry, row = _ENTRIES[suffix]
    end = 0
    for position, fields in entries(files, path, entry):
        end = position + entry.size
        # An index that was not closed ends in zeros: so many entries for the base offset.
        if position and suffix != names.TRANSACTION_INDEX and not any(fields):
            return
        yield row(base_offset, *fields)
    ragged = file_size(files, path) % entry.size
    if ragged:
        yield _fault(end, ragged, f"the size is no multiple of {entry.size}")


def _offset_row(base_offset: int, relative_offset: int, position: int) -> Row:
    return {"kind": "offset_entry", "offset": base_offset + relative_offset, "position": position}


def _time_row(base_offset: int, timestamp_ms: int, relative_offset: int) -> Row:
    offset = base_offset + relative_offset
    return {"kind": "time_entry", "timestamp_ms": timestamp_ms, "offset": offset}


def _transaction_row(
    _base_offset: int, version: int, producer_id: int, first: int, last: int, last_stable: int
) -> Row:
    return {
        "kind": "aborted_transaction",
        "version": version,
        "producer_id": producer_id,
        "first_offset": first,
        "last_offset": last,
        "last_stable_offset": last_stable,
    }


_ENTRIES: dict[str, tuple[Any, Callable[..., Row]]] = {
    names.INDEX: (OFFSET_ENTRY, _offset_row),
    names.TIME_INDEX: (TIME_ENTRY, _time_row),
    names.TRANSACTION_INDEX: (TRANSACTION_ENTRY, _transaction_row),
}


# --- small files -------------------------------------------------------------------------------


def _dump_whole(files: Files, path: Path, parse: Callable[[bytes], list[Row]]) -> Iterator[Row]:
    data = files.read_file(path)
    if data is None:
        raise StoreError(f"{path} does not exist")
    try:
        yield from parse(data)
    except (ValueError, CorruptSnapshotError) as error:
        yield _fault(0, len(data), str(error))


def _producers(data: bytes) -> list[Row]:
    return [_producer_row(entry) for entry in decode_snapshot(data)]


def _producer_row(entry: ProducerEntry) -> Row:
    first_sequence = entry.batches[-1][0] if entry.batches else None
    open_since = entry.transaction_first_offset
    return {
        "kind": "producer",
        "producer_id": entry.producer_id,
        "producer_epoch": entry.epoch,
        "coordinator_epoch": entry.coordinator_epoch,
        "current_txn_first_offset": open_since if open_since >= 0 else None,
        "last_timestamp_ms": entry.timestamp_ms,
        "first_sequence": first_sequence,
        "last_sequence": entry.last_sequence if entry.batches else None,
        "last_offset": entry.last_offset if entry.batches else None,
        "offset_delta": entry.last_offset_delta if entry.batches else None,
    }


def _epochs(data: bytes) -> list[Row]:
    return [
        {"kind": "epoch", "epoch": epoch, "start_offset": start_offset}
        for epoch, start_offset in checkpoints.parse_epochs(data)
    ]


def _offsets(data: bytes) -> list[Row]:
    return [
        {"kind": "offset", "topic": topic, "partition": partition, "offset": offset}
        for (topic, partition), offset in checkpoints.parse_offsets(data).items()
    ]


def _partition_metadata(data: bytes) -> list[Row]:
    topic_id = properties.parse_partition_metadata(data)
    return [{"kind": "partition_metadata", "topic_id": properties.format_uuid(topic_id)}]


def _meta_properties(data: bytes) -> list[Row]:
    return [{"kind": "meta_properties", **asdict(properties.MetaProperties.parse(data))}]


_WHOLE: dict[str, Callable[[bytes], list[Row]]] = {
    checkpoints.EPOCHS: _epochs,
    checkpoints.RECOVERY_POINTS: _offsets,
    checkpoints.LOG_START_OFFSETS: _offsets,
    checkpoints.HIGH_WATERMARKS: _offsets,
    "cleaner-offset-checkpoint": _offsets,
    properties.PARTITION_METADATA: _partition_metadata,
    properties.META_PROPERTIES: _meta_properties,
}
