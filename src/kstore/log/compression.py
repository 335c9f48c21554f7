"""Compressed record data: Kafka's four codecs, written as Kafka's own clients write them.

| id | name   | what stands in a batch                                                        |
|----|--------|-------------------------------------------------------------------------------|
| 0  | none   | the records                                                                   |
| 1  | gzip   | gzip members                                                                  |
| 2  | snappy | Java's xerial framing: a 16-byte header, then blocks of 32 KiB, each its size |
|    |        | and raw snappy; librdkafka writes one raw snappy block without a frame        |
| 3  | lz4    | the LZ4 frame format: independent blocks of 64 KiB, no checksums, no size     |
| 4  | zstd   | zstd frames                                                                   |

What comes out is limited before it is allocated: output grows in steps and never past `max_size`,
whatever the compressed bytes claim. cramjam, which does the work, is imported on first use.
Any thread may call this; cramjam frees the GIL.

Source: Kafka's `org.apache.kafka.common.compress`, xerial's `SnappyOutputStream`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from kstore.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["MAX_DECOMPRESSED_SIZE", "Codec", "compress", "decompress"]

MAX_DECOMPRESSED_SIZE = 256 << 20
"""Bytes that one batch may decompress to, unless the caller says otherwise."""

_FIRST_OUTPUT_SIZE = 16 << 10
_OUTPUT_FULL = "failed to write whole buffer"

_XERIAL_MAGIC = bytes.fromhex("82534e4150505900")
_XERIAL_VERSIONS = bytes.fromhex("00000001 00000001")
_XERIAL_HEADER_SIZE = len(_XERIAL_MAGIC) + len(_XERIAL_VERSIONS)
_XERIAL_BLOCK_SIZE = 32 << 10
_SNAPPY_MAX_RATIO = 22  # its longest copy makes 64 bytes of 3

_LZ4_HEADER = bytes.fromhex("04224d18 60 40 82")  # magic; version 1, independent; 64 KiB; checksum
_LZ4_BLOCK_SIZE = 64 << 10
_LZ4_STORED = 1 << 31
_LZ4_END = bytes(4)
_LZ4_FRAME_HEADER_SIZE = 7

_GZIP_LEVEL = 6
_LZ4_FAST = 9  # Kafka's default; every other level is one of the thorough, slow compressor
_LZ4_THOROUGH = 2  # its lowest


class Codec(IntEnum):
    """A codec; its number is that in a batch's attributes, its lower-case name Kafka's."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4

    @classmethod
    def of(cls, codec: int | str) -> Codec:
        """The codec of that number or name. Raises KafkaError UNSUPPORTED_COMPRESSION_TYPE."""
        try:
            return cls[codec.upper()] if isinstance(codec, str) else cls(codec)
        except (KeyError, ValueError):
            raise KafkaError(
                ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"unknown compression {codec!r}"
            ) from None


_DEFAULT_LEVELS = {Codec.GZIP: -1, Codec.LZ4: _LZ4_FAST, Codec.ZSTD: 3}


def compress(codec: int | str, data: Buffer, level: int | None = None) -> bytes:
    """`data` compressed, at Kafka's default level or another; Kafka's configs name their ranges.

    Snappy has no levels.
    """
    codec = Codec.of(codec)
    if codec is Codec.NONE:
        return bytes(data)
    import cramjam

    if codec is Codec.SNAPPY:
        return _write_xerial(cramjam.snappy, data)
    if level is None:
        level = _DEFAULT_LEVELS[codec]
    if codec is Codec.GZIP:
        return bytes(cramjam.gzip.compress(data, level=_GZIP_LEVEL if level == -1 else level))
    if codec is Codec.ZSTD:
        return bytes(cramjam.zstd.compress(data, level=level))
    return _write_lz4(cramjam.lz4, data, level)


def decompress(
    codec: int | str, data: Buffer, *, max_size: int = MAX_DECOMPRESSED_SIZE
) -> memoryview:
    """What was compressed into `data`; at most `max_size` bytes.

    Raises KafkaError: CORRUPT_MESSAGE if `data` is not whole and sound, MESSAGE_TOO_LARGE if more
    than `max_size` bytes would come out of it, UNSUPPORTED_COMPRESSION_TYPE.
    """
    codec = Codec.of(codec)
    view = memoryview(data)
    if codec is Codec.NONE:
        return view
    import cramjam

    if codec is Codec.GZIP:
        return _decompress_growing(cramjam.gzip.decompress_into, view, max_size)
    if codec is Codec.ZSTD:
        return _decompress_growing(cramjam.zstd.decompress_into, view, max_size)
    if codec is Codec.LZ4:
        return _decompress_growing(cramjam.lz4.decompress_into, view, max_size)
    return _read_snappy(cramjam.snappy, view, max_size)


def _corrupt(codec: str, reason: object) -> KafkaError:
    return KafkaError(ErrorCode.CORRUPT_MESSAGE, f"corrupt {codec} data: {reason}")


def _too_large(max_size: int) -> KafkaError:
    return KafkaError(
        ErrorCode.MESSAGE_TOO_LARGE, f"a batch decompresses to more than {max_size} bytes"
    )


def _decompress_growing(
    decompress_into: Callable[[memoryview, bytearray], int], data: memoryview, max_size: int
) -> memoryview:
    """Decompresses into a buffer that is made larger as long as the output does not fit.

    None of the three formats says its size in a way that could be trusted. Most batches fit at
    once; the steps are so large that the attempts before the last cost a third of it.
    """
    import cramjam

    size = min(max_size, max(_FIRST_OUTPUT_SIZE, 4 * len(data)))
    while True:
        output = bytearray(size)
        try:
            written = decompress_into(data, output)
        except cramjam.DecompressionError as error:
            if str(error) != _OUTPUT_FULL:
                raise _corrupt("compressed", error) from None
        else:
            return memoryview(output)[:written]
        if size == max_size:
            raise _too_large(max_size)
        size = min(max_size, 4 * size)


def _write_xerial(snappy: Any, data: Buffer) -> bytes:
    view = memoryview(data)
    parts = [_XERIAL_MAGIC, _XERIAL_VERSIONS]
    for start in range(0, len(view), _XERIAL_BLOCK_SIZE):
        block = bytes(snappy.compress_raw(view[start : start + _XERIAL_BLOCK_SIZE]))
        parts += (len(block).to_bytes(4, "big"), block)
    return b"".join(parts)


def _read_snappy(snappy: Any, data: memoryview, max_size: int) -> memoryview:
    if data[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return memoryview(_read_snappy_block(snappy, data, 0, max_size))
    if len(data) < _XERIAL_HEADER_SIZE:
        raise _corrupt("snappy", "its header is cut")
    output = bytearray()
    position = _XERIAL_HEADER_SIZE
    while position < len(data):
        start = position + 4
        position = start + int.from_bytes(data[position:start], "big")
        if not start < position <= len(data):
            raise _corrupt("snappy", f"the block at position {start - 4} is cut")
        output += _read_snappy_block(snappy, data[start:position], len(output), max_size)
    return memoryview(output)


def _read_snappy_block(snappy: Any, block: memoryview, used: int, max_size: int) -> bytearray:
    import cramjam

    try:
        size = snappy.decompress_raw_len(block)
        if size > _SNAPPY_MAX_RATIO * len(block):
            raise _corrupt("snappy", f"{len(block)} bytes can't become {size}")
        if used + size > max_size:
            raise _too_large(max_size)
        output = bytearray(size)
        snappy.decompress_raw_into(block, output)
    except cramjam.DecompressionError as error:
        raise _corrupt("snappy", error) from None
    return output


def _write_lz4(lz4: Any, data: Buffer, level: int) -> bytes:
    """The frame is written here because cramjam's own carries checksums, which Kafka's does not."""
    view = memoryview(data)
    parts = [_LZ4_HEADER]
    for start in range(0, len(view), _LZ4_BLOCK_SIZE):
        plain = view[start : start + _LZ4_BLOCK_SIZE]
        if level == _LZ4_FAST:
            parts += _write_lz4_block(lz4, plain)
        else:
            # cramjam gives blocks of other levels in frames only: one is made of each and opened.
            frame = bytes(lz4.compress(plain, level=max(_LZ4_THOROUGH, level)))
            block = frame[_LZ4_FRAME_HEADER_SIZE:]
            parts.append(block[: 4 + (int.from_bytes(block[:4], "little") & ~_LZ4_STORED)])
    parts.append(_LZ4_END)
    return b"".join(parts)


def _write_lz4_block(lz4: Any, plain: memoryview) -> tuple[bytes, bytes]:
    block = bytes(lz4.compress_block(plain, store_size=False))
    size = len(block)
    if size >= len(plain):
        block, size = bytes(plain), len(plain) | _LZ4_STORED
    return size.to_bytes(4, "little"), block
