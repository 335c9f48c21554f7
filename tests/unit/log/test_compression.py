"""Compression: Kafka's framing, sound round trips, and a limit that bombs can't pass."""

from __future__ import annotations

import contextlib
import gzip
import random
import resource
import subprocess
import sys

import cramjam
import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.log.compression import Codec, compress, decompress

REPETITIVE = b"timestamp,vehicle,speed\n" * 9000
WORDS = b" ".join(random.Random(8).choices([b"speed", b"of", b"vehicle", b"seven"], k=40_000))
RANDOM = random.Random(7).randbytes(70_000)
COMPRESSED = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("data", [b"", b"a", b"short", REPETITIVE, RANDOM, RANDOM + REPETITIVE])
def test_what_was_compressed_comes_back(codec: Codec, data: bytes) -> None:
    assert bytes(decompress(codec, compress(codec, data))) == data


LEVELS = {Codec.GZIP: (-1, 1, 6, 9), Codec.LZ4: (1, 3, 9, 12, 17), Codec.ZSTD: (-5, 1, 3, 19)}


@pytest.mark.parametrize(
    ("codec", "level"), [(codec, level) for codec, levels in LEVELS.items() for level in levels]
)
@pytest.mark.parametrize("data", [b"", b"short", WORDS, RANDOM + REPETITIVE])
def test_every_level_comes_back(codec: Codec, level: int, data: bytes) -> None:
    assert bytes(decompress(codec, compress(codec, data, level))) == data


@pytest.mark.parametrize(
    ("codec", "levels"),
    [
        (Codec.GZIP, [1, -1, 9]),
        # 9 is Kafka's name for the fast compressor; all others are those of the thorough one.
        (Codec.LZ4, [9, 1, 3, 12]),
        (Codec.ZSTD, [-5, 1, 19]),
    ],
)
def test_levels_differ_in_what_they_save(codec: Codec, levels: list[int]) -> None:
    sizes = [len(compress(codec, WORDS, level)) for level in levels]
    assert sizes == sorted(set(sizes), reverse=True)


def test_lz4_of_another_level_is_framed_as_java_does() -> None:
    framed = compress("lz4", WORDS + RANDOM, 12)
    assert framed[:7] == bytes.fromhex("04224d18 60 40 82")
    plain, position = b"", 7
    while size := int.from_bytes(framed[position : position + 4], "little"):
        block = framed[position + 4 : position + 4 + (size & 0x7FFFFFFF)]
        position += 4 + len(block)
        # Each stands for itself, without the ones before it, and no checksum follows.
        plain += (
            block if size >> 31 else bytes(cramjam.lz4.decompress_block(block, output_len=64 << 10))
        )
    assert framed[position:] == bytes(4)
    assert plain == WORDS + RANDOM


def test_names_and_numbers_are_kafkas() -> None:
    assert [codec.name.lower() for codec in Codec] == ["none", "gzip", "snappy", "lz4", "zstd"]
    assert [Codec.of(number) for number in range(5)] == list(Codec)
    assert Codec.of("zstd") is Codec.ZSTD
    for unknown in (5, 7, -1, "brotli"):
        with pytest.raises(KafkaError) as caught:
            Codec.of(unknown)
        assert caught.value.code == ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


def test_snappy_is_framed_as_java_does() -> None:
    framed = compress("snappy", REPETITIVE)
    assert framed[:16] == bytes.fromhex("82534e4150505900 00000001 00000001")
    blocks, position = [], 16
    while position < len(framed):
        size = int.from_bytes(framed[position : position + 4], "big")
        position += 4 + size
        blocks.append(bytes(cramjam.snappy.decompress_raw(framed[position - size : position])))
    assert b"".join(blocks) == REPETITIVE
    assert {len(block) for block in blocks[:-1]} == {32 << 10}


def test_raw_snappy_is_read_too() -> None:
    raw = bytes(cramjam.snappy.compress_raw(REPETITIVE))
    assert bytes(decompress("snappy", raw)) == REPETITIVE


def test_lz4_is_framed_as_java_does() -> None:
    framed = compress("lz4", REPETITIVE)
    assert framed[:7] == bytes.fromhex("04224d18 60 40 82")
    assert framed[-4:] == bytes(4)
    assert bytes(cramjam.lz4.decompress(framed)) == REPETITIVE
    stored = compress("lz4", RANDOM)
    assert int.from_bytes(stored[7:11], "little") == 1 << 31 | 64 << 10
    assert stored[11 : 11 + (64 << 10)] == RANDOM[: 64 << 10]


def test_frames_of_other_writers_are_read() -> None:
    linked = cramjam.lz4.Compressor(level=3, content_checksum=True, block_linked=True)
    linked.compress(REPETITIVE)
    assert bytes(decompress("lz4", bytes(linked.finish()))) == REPETITIVE
    assert bytes(decompress("gzip", gzip.compress(b"one") + gzip.compress(b"two"))) == b"onetwo"


@pytest.mark.parametrize("codec", COMPRESSED)
def test_output_of_exactly_the_limit_passes_and_one_more_does_not(codec: Codec) -> None:
    compressed = compress(codec, REPETITIVE)
    size = len(REPETITIVE)
    assert bytes(decompress(codec, compressed, max_size=size)) == REPETITIVE
    for limit in (size - 1, 100, 0):
        with pytest.raises(KafkaError) as caught:
            decompress(codec, compressed, max_size=limit)
        assert caught.value.code == ErrorCode.MESSAGE_TOO_LARGE
        assert str(limit) in caught.value.message


@pytest.mark.parametrize("codec", COMPRESSED)
def test_cut_or_lengthened_data_is_corrupt(codec: Codec) -> None:
    compressed = compress(codec, REPETITIVE[:5000])
    cuts = set(range(1, len(compressed), max(1, len(compressed) // 40)))
    if codec is Codec.SNAPPY:
        cuts -= {16}  # a frame has no end mark: cut behind its header it is an empty one
    for damaged in (b"", *(compressed[:cut] for cut in cuts), compressed + b"junk"):
        with pytest.raises(KafkaError) as caught:
            decompress(codec, damaged)
        assert caught.value.code == ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize("codec", COMPRESSED)
def test_flipped_bytes_never_end_in_another_error(codec: Codec) -> None:
    compressed = bytearray(compress(codec, REPETITIVE[:3000]))
    for position in range(len(compressed)):
        compressed[position] ^= 0x41
        with contextlib.suppress(KafkaError):
            decompress(codec, compressed, max_size=1 << 20)
        compressed[position] ^= 0x41


def test_a_few_snappy_bytes_that_claim_much_allocate_nothing() -> None:
    claims_256_mb = bytes.fromhex("ffffff7f") + b"abc"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(KafkaError) as caught:
        decompress("snappy", claims_256_mb)
    assert caught.value.code == ErrorCode.CORRUPT_MESSAGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.LZ4, Codec.ZSTD])
def test_a_bomb_ends_at_the_limit(codec: Codec) -> None:
    compressor = getattr(cramjam, codec.name.lower()).Compressor()
    for _ in range(32):
        compressor.compress(bytes(8 << 20))
    bomb = bytes(compressor.finish())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(KafkaError) as caught:
        decompress(codec, bomb, max_size=1 << 20)
    assert caught.value.code == ErrorCode.MESSAGE_TOO_LARGE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


def test_cramjam_is_imported_on_first_use_only() -> None:
    program = (
        "import sys, kstore.log.compression as c; c.compress('none', b'x')\n"
        "assert 'cramjam' not in sys.modules\n"
        "c.compress('lz4', b'x'); assert 'cramjam' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
