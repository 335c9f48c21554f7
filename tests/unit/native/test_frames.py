"""Frames cut out of a stream, however the stream arrives."""

from __future__ import annotations

import random
import struct

import pytest

from kstore._native.frames import FrameReader, parse_client_id, parse_prefix
from kstore.wire.codec import DecodeError
from kstore.wire.headers import RequestHeader, encode_request_header

SHARED_SIZE = 64


def framed(*bodies: bytes) -> bytes:
    return b"".join(struct.pack(">i", len(body)) + body for body in bodies)


class Stream:
    """Feeds a reader as a socket would: at most as much as it has room for, at most `step`."""

    def __init__(self, reader: FrameReader, step: int) -> None:
        self.reader = reader
        self.step = step
        self.frames: list[bytes] = []

    def feed(self, data: bytes, *, take: int = 1 << 30) -> None:
        while data:
            room = self.reader.buffer()
            assert len(room) > 0
            size = min(len(room), self.step, len(data))
            room[:size] = data[:size]
            data = data[size:]
            self.reader.received(size)
            self.take(take)

    def take(self, count: int) -> None:
        while count and (frame := self.reader.next()) is not None:
            self.frames.append(bytes(frame))
            count -= 1
        self.reader.park()


BODIES = [b"", b"a", b"bc" * 20, b"x" * 500, b"", bytes(range(256)), b"last"]


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 7, 13, 63, 64, 1000])
def test_every_way_of_arriving_gives_the_same_frames(step: int) -> None:
    stream = Stream(FrameReader(bytearray(SHARED_SIZE), 1000), step)
    stream.feed(framed(*BODIES))
    assert stream.frames == BODIES


def test_frames_that_are_not_taken_wait() -> None:
    stream = Stream(FrameReader(bytearray(SHARED_SIZE), 1000), 64)
    bodies = [b"%d" % number for number in range(12)]
    stream.feed(framed(*bodies)[:60], take=0)
    assert stream.frames == []
    stream.take(2)
    stream.take(100)
    stream.feed(framed(*bodies)[60:])
    assert stream.frames == bodies


def test_two_connections_share_a_buffer() -> None:
    shared = bytearray(SHARED_SIZE)
    streams = [Stream(FrameReader(shared, 1000), 9) for _ in range(2)]
    data = framed(*BODIES)
    choice = random.Random(7)
    sent = [0, 0]
    while sent[0] < len(data) or sent[1] < len(data):
        side = choice.randrange(2)
        size = choice.randrange(1, 20)
        streams[side].feed(data[sent[side] : sent[side] + size])
        sent[side] += size
    assert streams[0].frames == BODIES
    assert streams[1].frames == BODIES


@pytest.mark.parametrize("size", [-1, -(2**31), 1001, 2**31 - 1])
def test_a_size_out_of_bounds_is_refused_before_room_is_made(size: int) -> None:
    stream = Stream(FrameReader(bytearray(SHARED_SIZE), 1000), 64)
    with pytest.raises(DecodeError, match=r"socket\.request\.max\.bytes is 1000"):
        stream.feed(struct.pack(">i", size) + b"junk")


def test_no_more_is_received_than_there_is_room_for() -> None:
    reader = FrameReader(bytearray(SHARED_SIZE), 1000)
    for size in (-1, SHARED_SIZE + 1, 2**62):
        with pytest.raises(ValueError, match="can't have been written"):
            reader.received(size)
    stream = Stream(reader, 64)
    stream.feed(framed(b"x" * 10)[:6])
    assert len(reader.buffer()) == 8
    for size in (-1, 9, 2**62):
        with pytest.raises(ValueError, match="can't have been written"):
            reader.received(size)
    stream.feed(framed(b"x" * 10)[6:])
    assert stream.frames == [b"x" * 10]


def test_an_idle_reader_owns_no_buffer() -> None:
    shared = bytearray(SHARED_SIZE)
    reader = FrameReader(shared, 1000)
    Stream(reader, 64).feed(framed(*BODIES))
    room = reader.buffer()
    assert room.obj is shared
    assert len(room) == SHARED_SIZE


@pytest.mark.parametrize(("version", "flexible"), [(9, False), (12, True)])
@pytest.mark.parametrize("client_id", [None, "", "me", "é" * 100])
def test_headers(version: int, flexible: bool, client_id: str | None) -> None:
    header = encode_request_header(RequestHeader(1, version, 77, client_id))
    frame = header + b"body"
    assert parse_prefix(frame) == (1, version, 77)
    found, position = parse_client_id(frame, flexible)
    assert found == client_id
    assert frame[position:] == b"body"
    for size in range(len(header)):
        parse = parse_prefix if size < 8 else lambda data: parse_client_id(data, flexible)
        with pytest.raises(DecodeError):
            parse(header[:size])
