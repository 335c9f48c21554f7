"""Frames of requests: cut out of the stream, walked, answered."""

from __future__ import annotations

import struct

from kstore._native.frames import FrameReader, parse_client_id, parse_prefix
from kstore._native.produce import encode_produce_reply, parse_produce
from kstore.log.records import build_batch
from kstore.wire.codec import encode_request
from kstore.wire.headers import RequestHeader, encode_request_header
from kstore.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)

from .stores import NOW_MS


class Frames:
    """`count` Produce requests of one record."""

    count = 10_000

    def setup(self) -> None:
        batch = build_batch([(None, b"x" * 100)], timestamp_ms=NOW_MS)
        data = PartitionProduceData(index=0, records=batch)
        request = ProduceRequest(
            acks=1,
            timeout_ms=1000,
            topic_data=[TopicProduceData(name="topic", partition_data=[data])],
        )
        body = encode_request_header(RequestHeader(0, 9, 1, "bench")) + encode_request(request, 9)
        self.whole = struct.pack(">i", len(body)) + body
        self.frame = memoryview(body)
        self.reader = FrameReader(bytearray(1 << 16), 1 << 20)
        self.results = [("topic", 0, 0, 5, -1, 0)]

    def time_cut(self) -> None:
        for _ in range(self.count):
            self.reader.buffer()[: len(self.whole)] = self.whole
            self.reader.received(len(self.whole))
            self.reader.next()
            self.reader.park()

    def time_parse(self) -> None:
        for _ in range(self.count):
            parse_prefix(self.frame)
            _, position = parse_client_id(self.frame, True)
            parse_produce(self.frame, position, True, False)

    def time_reply(self) -> None:
        for _ in range(self.count):
            encode_produce_reply(1, self.results, True, True, True)
