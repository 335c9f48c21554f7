"""Producer snapshots: the producers of a partition at an offset, as bytes of a file.

    version int16 = 1 | crc uint32 | count int32 | count entries of 46 bytes:
    producer_id int64 | epoch int16 | last_sequence int32 | last_offset int64 | offset_delta int32 |
    timestamp int64 | coordinator_epoch int32 | transaction_first_offset int64

The CRC-32C covers all that follows it. Of a producer's five last batches only the last is kept;
`last_offset` is negative if there is none. See docs/formats/producer-snapshot.md. The bytes are
read and written elsewhere; any thread may call this.

Source: Kafka's `ProducerStateManager`, `ProducerSnapshot.json`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from crc32c import crc32c

from kstore.log.producers.entry import ProducerEntry, first_sequence

__all__ = ["CorruptSnapshotError", "decode_snapshot", "encode_snapshot"]

_VERSION = 1
_HEADER = struct.Struct(">hIi")  # version, CRC, count
_ENTRY = struct.Struct(">qhiqiqiq")
_CHECKSUMMED_AT = 6


class CorruptSnapshotError(ValueError):
    """A snapshot that can't be used: its caller deletes it and tries the next older one."""


def encode_snapshot(entries: Iterable[ProducerEntry]) -> bytes:
    """The file that holds these producers."""
    encoded = [
        _ENTRY.pack(
            entry.producer_id,
            entry.epoch,
            entry.last_sequence,
            entry.last_offset,
            entry.last_offset_delta,
            entry.timestamp_ms,
            entry.coordinator_epoch,
            entry.transaction_first_offset,
        )
        for entry in entries
    ]
    data = bytearray(_HEADER.pack(_VERSION, 0, len(encoded)) + b"".join(encoded))
    crc = crc32c(memoryview(data)[_CHECKSUMMED_AT:])
    _HEADER.pack_into(data, 0, _VERSION, crc, len(encoded))
    return bytes(data)


def decode_snapshot(data: bytes) -> list[ProducerEntry]:
    """The producers in a file. Raises CorruptSnapshotError."""
    if len(data) < _HEADER.size:
        raise CorruptSnapshotError(f"{len(data)} bytes are too few")
    version, crc, count = _HEADER.unpack_from(data)
    if version != _VERSION:
        raise CorruptSnapshotError(f"unknown version {version}")
    if crc != crc32c(memoryview(data)[_CHECKSUMMED_AT:]):
        raise CorruptSnapshotError("the CRC does not match")
    if count < 0 or len(data) != _HEADER.size + count * _ENTRY.size:
        raise CorruptSnapshotError(f"{count} producers do not fit {len(data)} bytes")
    return [_entry(*fields) for fields in _ENTRY.iter_unpack(memoryview(data)[_HEADER.size :])]


def _entry(
    producer_id: int,
    epoch: int,
    last_sequence: int,
    last_offset: int,
    offset_delta: int,
    timestamp_ms: int,
    coordinator_epoch: int,
    transaction_first_offset: int,
) -> ProducerEntry:
    entry = ProducerEntry(
        producer_id,
        epoch,
        coordinator_epoch=coordinator_epoch,
        timestamp_ms=timestamp_ms,
        transaction_first_offset=max(-1, transaction_first_offset),
    )
    if last_offset >= 0:
        sequence = first_sequence(last_sequence, offset_delta)
        base_offset = last_offset - offset_delta
        entry.batches.append((sequence, last_sequence, base_offset, last_offset, timestamp_ms))
    return entry
