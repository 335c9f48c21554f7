"""Batches that a topic stores in another codec than the one they were sent in.

`compression.type` of a topic names a codec, or `producer` for "as they were sent". A batch is
checked on the thread of the log; the work that this hands out decompresses, looks at every record
and compresses, and may run in any thread. What comes out is appended like a batch that was sent so.

Source: Kafka's LogValidator.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from crc32c import crc32c

from kstore._native.batch import HEADER_SIZE, BatchHeader
from kstore._native.validate import InvalidBatch, validate_records
from kstore.configs import LogConfig
from kstore.log.append import refusal, validate
from kstore.log.compression import Codec, compress, decompress
from kstore.log.state import LogState

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["level_of", "recompression", "with_codec"]

_LENGTH_POSITION = 8
_LENGTH_STARTS = 12  # a batch's length counts what stands behind it
_CRC_POSITION = 17
_CRC_STARTS = 21
_ATTRIBUTES_POSITION = 22  # the low byte
_CODEC_BITS = 0x07


def recompression(log: LogState, data: Buffer, now_ms: int) -> Callable[[], bytes] | None:
    """The work that gives the batch in `data` the topic's codec; None if it has that already.

    Raises KafkaError for a batch that must not be appended, and so does the work.
    """
    codec = log.codec
    view = memoryview(data)
    if codec is None or len(view) <= _ATTRIBUTES_POSITION:
        return None
    if view[_ATTRIBUTES_POSITION] & _CODEC_BITS == codec:
        return None
    header = validate(log, data, now_ms, by_client=True)
    batch = bytes(view[: header.size])
    level = level_of(log.config, codec)
    return lambda: _recompress(log, header, batch, codec, level, now_ms)


def level_of(config: LogConfig, codec: Codec) -> int | None:
    """The level that the topic's configs say for the codec; None for one without levels."""
    return {
        Codec.GZIP: config.compression_gzip_level,
        Codec.LZ4: config.compression_lz4_level,
        Codec.ZSTD: config.compression_zstd_level,
    }.get(codec)


def _recompress(
    log: LogState, header: BatchHeader, batch: bytes, codec: Codec, level: int | None, now_ms: int
) -> bytes:
    records = decompress(header.codec, memoryview(batch)[HEADER_SIZE:])
    try:
        validate_records(header, records, log.rules, now_ms)
    except InvalidBatch as invalid:
        raise refusal(log, invalid, now_ms) from None
    return _with_records(batch, compress(codec, records, level), codec)


def with_codec(batch: bytes, codec: Codec, level: int | None) -> bytes:
    """A sound batch that is not compressed, compressed."""
    return _with_records(batch, compress(codec, memoryview(batch)[HEADER_SIZE:], level), codec)


def _with_records(batch: bytes, records: bytes, codec: Codec) -> bytes:
    """The batch with the same records in the form that `codec` gives them."""
    made = bytearray(batch[:HEADER_SIZE])
    made += records
    struct.pack_into(">i", made, _LENGTH_POSITION, len(made) - _LENGTH_STARTS)
    made[_ATTRIBUTES_POSITION] = made[_ATTRIBUTES_POSITION] & ~_CODEC_BITS | codec
    struct.pack_into(">I", made, _CRC_POSITION, crc32c(memoryview(made)[_CRC_STARTS:]))
    return bytes(made)
