"""What native code reads where it lies: frames, hot requests, segments, indexes, plain records.

Many of these read in a loop that ends where the bytes make no sense, and have no error at all.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import partial
from uuid import UUID

from crc32c import crc32c

from kstore._native.batch import check_batch, parse_header, walk
from kstore._native.codec import DecodeError
from kstore._native.fetch import parse_fetch
from kstore._native.frames import FrameReader, parse_client_id, parse_prefix
from kstore._native.index import (
    IndexTail,
    SegmentIndexer,
    find_offset,
    find_position,
    find_time,
    find_time_offset,
)
from kstore._native.produce import parse_produce
from kstore._native.records import decode_records, find_max_timestamp, find_timestamp
from kstore._native.scan import (
    check_run,
    find_batch,
    find_newer,
    index_run,
    is_zero,
    read_headers,
)
from kstore._native.validate import AppendRules, InvalidBatch, validate_batch, validate_records
from kstore.broker.apis.fetch import SHAPES
from kstore.errors import KafkaError
from kstore.log.records import build_batch
from kstore.wire import headers
from kstore.wire.codec import encode_request
from kstore.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic, ForgottenTopic
from kstore.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from tests.support.parsers import Parser, register

HEADER_SIZE = 61
NOW_MS = 1_700_000_000_000
TOPIC_ID = UUID(int=(1 << 100) + 7)


class NoError(Exception):
    """Of parsers that have none: a value always comes out."""


# Frames

MAX_FRAME_SIZE = 1000
PREFIX_SIZE = 8


def read_frames(stream: bytes) -> list[bytes]:
    """The frames of a stream, which are the same however it arrives."""
    expected: list[bytes] | None = None
    for step in (len(stream) or 1, 1, 3):
        reader = FrameReader(bytearray(32), MAX_FRAME_SIZE)
        frames = []
        rest = stream
        while rest:
            room = reader.buffer()
            size = min(len(room), step, len(rest))
            room[:size] = rest[:size]
            rest = rest[size:]
            reader.received(size)
            while (frame := reader.next()) is not None:
                frames.append(bytes(frame))
            reader.park()
        assert expected is None or frames == expected
        expected = frames
    assert expected is not None
    return expected


def _streams() -> Iterable[bytes]:
    bodies = (b"", b"a", bytes(range(70)), b"", b"last")
    yield b"".join(struct.pack(">i", len(body)) + body for body in bodies)


register(
    Parser(
        "frames",
        read_frames,
        _streams,
        DecodeError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "prefix of a request",
        parse_prefix,
        lambda: [struct.pack(">hhi", 18, 4, 77)],
        DecodeError,
        junk_is_error=False,
    )
)


def _after_prefix(flexible: bool, data: bytes) -> object:
    return parse_client_id(bytes(PREFIX_SIZE) + data, flexible)


def _client_ids(flexible: bool) -> Iterable[bytes]:
    for client_id in (None, "", "größe"):
        header = headers.RequestHeader(1, 12 if flexible else 11, 77, client_id)
        yield headers.encode_request_header(header)[PREFIX_SIZE:]


for _flexible in (False, True):
    register(
        Parser(
            f"client id of a {'flexible ' if _flexible else ''}request",
            partial(_after_prefix, _flexible),
            partial(_client_ids, _flexible),
            DecodeError,
            junk_is_error=False,
        )
    )

# Produce and Fetch


def _parse_produce(version: int, data: bytes) -> object:
    return parse_produce(data, 0, version >= 9, version >= 13)


def _produce_requests(version: int) -> Iterable[bytes]:
    topic = TopicProduceData(
        **({"topic_id": TOPIC_ID} if version >= 13 else {"name": "größe"}),
        partition_data=[
            PartitionProduceData(index=3, records=b"first"),
            PartitionProduceData(index=-4, records=None),
            PartitionProduceData(index=5, records=b""),
        ],
    )
    request = ProduceRequest(
        transactional_id="tx" if version % 2 else None, timeout_ms=1234, topic_data=[topic, topic]
    )
    yield encode_request(request, version)


def _parse_fetch(version: int, data: bytes) -> object:
    return parse_fetch(data, 0, SHAPES[version])


def _fetch_requests(version: int) -> Iterable[bytes]:
    name = {"topic_id": TOPIC_ID} if version >= 13 else {"topic": "größe"}
    topic = FetchTopic(
        **name, partitions=[FetchPartition(partition=index, fetch_offset=7) for index in (0, 7)]
    )
    forgotten = [ForgottenTopic(**name, partitions=[3, 9])] if version >= 7 else []
    request = FetchRequest(
        topics=[topic, topic],
        forgotten_topics_data=forgotten,
        rack_id="rack" if version >= 11 else "",
    )
    yield encode_request(request, version)


# Behind a request Kafka ignores what follows, and so do we: librdkafka sends a few bytes too many.
for _version in range(3, 14):
    register(
        Parser(
            f"Produce v{_version}, natively",
            partial(_parse_produce, _version),
            partial(_produce_requests, _version),
            DecodeError,
            junk_is_error=False,
        )
    )
for _version in SHAPES:
    register(
        Parser(
            f"Fetch v{_version}, natively",
            partial(_parse_fetch, _version),
            partial(_fetch_requests, _version),
            DecodeError,
            junk_is_error=False,
        )
    )

# Segments: the CRC is that of the damaged bytes, so that nothing but the parser stands in the way.

HEADERS = (("name", b"value"), ("größe", None), ("", b""))
RECORDS = [(b"key", b"value", NOW_MS, HEADERS), (None, None, NOW_MS - 1, ()), (b"", b"", NOW_MS)]
RULES = AppendRules(
    max_size=1 << 20,
    keys_required=True,
    log_append_time=False,
    before_max_ms=1000,
    after_max_ms=1000,
)


def signed(data: bytes) -> bytes:
    """The batch with the length and the CRC that fit its bytes."""
    if len(data) < HEADER_SIZE:
        return data
    length = struct.pack(">i", len(data) - 12)
    crc = struct.pack(">I", crc32c(data[21:]))
    return data[:8] + length + data[12:17] + crc + data[21:]


def _batches() -> Iterable[bytes]:
    yield build_batch(RECORDS)


def _segments() -> Iterable[bytes]:
    yield b"".join(build_batch(RECORDS, base_offset=10 + 3 * index) for index in range(2))


def _search(data: bytes) -> object:
    indexer = SegmentIndexer(10, 0)
    position, _, _ = check_run(data, 10, 10)
    return (
        find_batch(data, 0, len(data), 14),
        find_batch(data, 0, len(data), 1 << 62),
        find_newer(data, 0, len(data), NOW_MS),
        [(header, repr(header)) for header in read_headers(data, 0)],
        index_run(data, position, 0, indexer, -1),
        index_run(data, len(data), 0, indexer, -1),
        is_zero(data, 3),
    )


def _read_records(data: bytes) -> object:
    """The records behind a header that says what it likes about them."""
    header = parse_header(build_batch(RECORDS))
    return (
        find_max_timestamp(header, data, 0, len(data)),
        find_timestamp(header, data, 0, len(data), NOW_MS + 1),
        decode_records(header, data, 0, len(data)),
    )


def _validate(data: bytes) -> object:
    return validate_batch(signed(data), RULES, NOW_MS, True)


def _validate_records(data: bytes) -> None:
    validate_records(check_batch(build_batch(RECORDS[:1])), data, RULES, NOW_MS)


register(
    Parser(
        "segment",
        _search,
        _segments,
        NoError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "records of a batch",
        _read_records,
        lambda: [build_batch(RECORDS)[HEADER_SIZE:]],
        KafkaError,
    )
)
register(
    Parser(
        "header of a batch that was signed",
        lambda data: [repr(header) for header in walk(signed(data), crc=False)],
        _batches,
        ValueError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
register(
    Parser(
        "appended batch that was signed",
        _validate,
        lambda: [build_batch(RECORDS[:1])],
        InvalidBatch,
    )
)
register(
    Parser(
        "compressed records that are appended",
        _validate_records,
        lambda: [build_batch(RECORDS[:1])[HEADER_SIZE:]],
        InvalidBatch,
    )
)

# Indexes


def _search_index(data: bytes) -> object:
    return [
        find(data, len(data) // size, tail, target)
        for find, size in (
            (find_offset, 8),
            (find_position, 8),
            (find_time, 12),
            (find_time_offset, 12),
        )
        for tail in (None, IndexTail(size))
        for target in (-1, 0, 5, 1 << 31, 1 << 62)
    ]


def _entries() -> Iterable[bytes]:
    offsets, times = IndexTail(8), IndexTail(12)
    for index in range(5):
        offsets.add_offset(10 * index, 100 * index)
        times.add_time(NOW_MS + index, 10 * index)
    yield offsets.to_bytes()
    yield times.to_bytes()


register(
    Parser(
        "entries of an index",
        _search_index,
        _entries,
        NoError,
        truncated_is_error=False,
        junk_is_error=False,
    )
)
