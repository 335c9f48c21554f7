"""Record batches made field by field, so that a test can make any of them wrong.

Written from Kafka's protocol guide ("Record Batch"), apart from the code under test; only what
compresses is ours.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence

import crc32c

from kstore.log.compression import compress

__all__ = ["GZIP", "LZ4", "SNAPPY", "ZSTD", "batch", "legacy_message", "now_ms", "record"]

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
HEADER_SIZE = 61
LENGTH_OVERHEAD = 12


def now_ms() -> int:
    return int(time.time() * 1000)


def record(
    number: int = 0,
    *,
    key: bytes | None = b"key",
    value: bytes | None = b"value",
    timestamp_delta_ms: int = 0,
    offset_delta: int | None = None,
) -> bytes:
    """One record; `number` is its place in the batch."""
    body = b"\0" + _varint(timestamp_delta_ms)
    body += _varint(number if offset_delta is None else offset_delta)
    for part in (key, value):
        body += _varint(-1) if part is None else _varint(len(part)) + part
    body += _varint(0)
    return _varint(len(body)) + body


def batch(
    records: Sequence[bytes] | None = None,
    *,
    base_offset: int = 0,
    length: int | None = None,
    leader_epoch: int = -1,
    magic: int = 2,
    crc: int | None = None,
    codec: int = 0,
    attributes: int = 0,
    last_offset_delta: int | None = None,
    base_timestamp_ms: int | None = None,
    max_timestamp_ms: int | None = None,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    record_count: int | None = None,
) -> bytes:
    """A batch of one record, or of `records`; what is not given is as it should be."""
    records = [record()] if records is None else records
    body = compress(codec, b"".join(records))
    count = len(records)
    base_timestamp_ms = now_ms() if base_timestamp_ms is None else base_timestamp_ms
    checked = struct.pack(
        ">hiqqqhii",
        attributes | codec,
        count - 1 if last_offset_delta is None else last_offset_delta,
        base_timestamp_ms,
        base_timestamp_ms if max_timestamp_ms is None else max_timestamp_ms,
        producer_id,
        producer_epoch,
        base_sequence,
        count if record_count is None else record_count,
    )
    checked += body
    size = HEADER_SIZE - 40 + len(checked) - LENGTH_OVERHEAD
    checksum = crc32c.crc32c(checked) if crc is None else crc
    head = struct.pack(
        ">qiibI", base_offset, size if length is None else length, leader_epoch, magic, checksum
    )
    return head + checked


def legacy_message(magic: int) -> bytes:
    """A message of the formats before batches, with a CRC of zero."""
    timestamp = struct.pack(">q", now_ms()) if magic == 1 else b""
    body = struct.pack(">Ibb", 0, magic, 0) + timestamp + struct.pack(">ii", -1, 5) + b"value"
    return struct.pack(">qi", 0, len(body)) + body


def _varint(value: int) -> bytes:
    """Zigzag, as in protocol buffers."""
    rest = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while rest > 0x7F:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)
