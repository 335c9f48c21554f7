"""Rows of `kstore.log.dump` as the lines of Kafka's DumpLogSegments.

Kafka's lines for what its tool knows (segments, indexes, producer snapshots); the small text files
that it does not know get a line of `name: value` for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["line_of"]

Row = Mapping[str, Any]

# Kafka's name of each value, in the order in which it prints them.
_BATCH = {
    "baseOffset": "base_offset",
    "lastOffset": "last_offset",
    "count": "count",
    "baseSequence": "base_sequence",
    "lastSequence": "last_sequence",
    "producerId": "producer_id",
    "producerEpoch": "producer_epoch",
    "partitionLeaderEpoch": "partition_leader_epoch",
    "isTransactional": "is_transactional",
    "isControl": "is_control",
    "deleteHorizonMs": "delete_horizon_ms",
    "position": "position",
}
_BATCH_END = {
    "size": "size",
    "magic": "magic",
    "compresscodec": "compression",
    "crc": "crc",
    "isvalid": "is_valid",
}
_PRODUCER = {
    "producerId": "producer_id",
    "producerEpoch": "producer_epoch",
    "coordinatorEpoch": "coordinator_epoch",
    "currentTxnFirstOffset": "current_txn_first_offset",
    "lastTimestamp": "last_timestamp_ms",
}
_PRODUCER_BATCH = {
    "firstSequence": "first_sequence",
    "lastSequence": "last_sequence",
    "lastOffset": "last_offset",
    "offsetDelta": "offset_delta",
    "timestamp": "last_timestamp_ms",
}
_ABORTED = {
    "version": "version",
    "producerId": "producer_id",
    "firstOffset": "first_offset",
    "lastOffset": "last_offset",
    "lastStableOffset": "last_stable_offset",
}

# Values that Java holds in an OptionalLong, which it prints as such.
_OPTIONAL = {"delete_horizon_ms", "current_txn_first_offset"}


def line_of(row: Row, *, contents: bool = False, metadata: bool = True) -> str:
    """One row as a line.

    `contents` adds key and value of a record, without `metadata` its other facts are left out.
    """
    if row["kind"] == "record":
        return _record(row, contents=contents, metadata=metadata)
    return _LINES.get(row["kind"], _any)(row)


def _values(row: Row, names: Mapping[str, str]) -> str:
    return " ".join(f"{name}: {_text(key, row[key])}" for name, key in names.items())


def _text(key: str, value: Any) -> str:
    if key in _OPTIONAL:
        return "OptionalLong.empty" if value is None else f"OptionalLong[{value}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _batch(row: Row) -> str:
    timestamp = f"{row['timestamp_type']}: {row['timestamp_ms']}"
    return f"{_values(row, _BATCH)} {timestamp} {_values(row, _BATCH_END)}"


def _record(row: Row, *, contents: bool, metadata: bool) -> str:
    parts = []
    if metadata:
        parts.append(
            f"offset: {row['offset']} {row['timestamp_type']}: {row['timestamp_ms']}"
            f" keySize: {row['key_size']} valueSize: {row['value_size']}"
            f" sequence: {row['sequence']} headerKeys: [{','.join(row['header_keys'])}]"
        )
        if "control_type" in row:
            parts.append(_control(row))
    if contents and "control_type" not in row:
        if row["key"] is not None:
            parts.append(f"key: {row['key'].decode('utf-8', 'replace')}")
        if row["value"] is not None:
            parts.append(f"payload: {row['value'].decode('utf-8', 'replace')}")
    return " ".join(["|", *parts]) if parts else ""


def _control(row: Row) -> str:
    if row["control_type"] in ("ABORT", "COMMIT"):
        return f"endTxnMarker: {row['control_type']} coordinatorEpoch: {row['coordinator_epoch']}"
    return f"controlType: {row['control_type']}"


def _producer(row: Row) -> str:
    line = _values(row, _PRODUCER)
    return line if row["last_offset"] is None else f"{line} {_values(row, _PRODUCER_BATCH)}"


def _offset_entry(row: Row) -> str:
    return f"offset: {row['offset']} position: {row['position']}"


def _time_entry(row: Row) -> str:
    return f"timestamp: {row['timestamp_ms']} offset: {row['offset']}"


def _aborted_transaction(row: Row) -> str:
    return _values(row, _ABORTED)


def _any(row: Row) -> str:
    return " ".join(f"{key}: {_text(key, row[key])}" for key in row if key != "kind")


_LINES: Mapping[str, Callable[[Row], str]] = {
    "batch": _batch,
    "producer": _producer,
    "offset_entry": _offset_entry,
    "time_entry": _time_entry,
    "aborted_transaction": _aborted_transaction,
}
