"""A broker that checks and keeps nothing: the floor of every latency that the load measures.

It takes a batch out of a Produce where it must be, answers at once with the same few bytes, and
hands the batch to the Fetch that waits. What is left is two sockets, the wake-ups of the processes
on both sides, and the load itself. One thread, blocking in epoll; it serves only `bench/load` with
one record batch a request, of one topic and partition.
"""

from __future__ import annotations

import select
import socket
import threading
from typing import Any

from bench.compare import load
from bench.compare.results import Round
from bench.compare.stage import rates
from kstore.wire.codec import decode_request, encode_response
from kstore.wire.headers import decode_request_header, response_frame
from kstore.wire.messages.fetch import FetchableTopicResponse, FetchResponse, PartitionData
from kstore.wire.messages.produce import (
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from kstore.wire.versions import ApiKey

TOPIC = "bare"
CORRELATION_ID = 1  # bench/load has no other
PRODUCE_VERSION, FETCH_VERSION = 9, 12
END_OF_PRODUCE = 3  # no tagged fields: of the partition, of the topic, of the request
MARK = b"\xa5" * 200


def produce_reply() -> bytes:
    partition = PartitionProduceResponse(index=0, base_offset=0)
    topic = TopicProduceResponse(name=TOPIC, partition_responses=[partition])
    body = encode_response(ProduceResponse(responses=[topic]), PRODUCE_VERSION)
    return response_frame(ApiKey.PRODUCE, PRODUCE_VERSION, CORRELATION_ID, body)


def fetch_reply_parts() -> tuple[bytes, bytes]:
    """What stands before the size of the records, less the frame's size, and behind the records."""
    partition = PartitionData(partition_index=0, high_watermark=1 << 40, records=MARK)
    topic = FetchableTopicResponse(topic=TOPIC, partitions=[partition])
    body = encode_response(FetchResponse(responses=[topic]), FETCH_VERSION)
    frame = response_frame(ApiKey.FETCH, FETCH_VERSION, CORRELATION_ID, body)
    before, _, behind = frame.partition(MARK)
    return before[4:-2], behind  # the size of MARK takes two bytes


class BareBroker(threading.Thread):
    """Runs until `close`; `address` is where."""

    def __init__(self) -> None:
        super().__init__(name="bare-broker", daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self._poll = select.epoll()
        self._poll.register(self.listener, select.EPOLLIN)
        self._clients: dict[int, tuple[socket.socket, bytearray]] = {}
        self._produced = produce_reply()
        self._before, self._behind = fetch_reply_parts()
        self._size_position = 0
        self._offset = 0
        self._batches: list[bytes] = []
        self._waiting: socket.socket | None = None
        self._closing = threading.Event()

    def close(self) -> None:
        self._closing.set()
        socket.create_connection(self.listener.getsockname()).close()  # wakes it
        self.join()
        self.listener.close()

    def run(self) -> None:
        while not self._closing.is_set():
            for number, _ in self._poll.poll():
                if number == self.listener.fileno():
                    self._accept()
                else:
                    self._receive(*self._clients[number])
        for client, _ in self._clients.values():
            client.close()
        self._poll.close()

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client.fileno()] = (client, bytearray())
        self._poll.register(client, select.EPOLLIN)

    def _receive(self, client: socket.socket, buffer: bytearray) -> None:
        data = client.recv(1 << 16)
        if not data:
            self._poll.unregister(client)
            del self._clients[client.fileno()]
            client.close()
            return
        buffer += data
        while len(buffer) >= 4 and len(buffer) >= (end := 4 + int.from_bytes(buffer[:4], "big")):
            frame = bytes(buffer[4:end])
            del buffer[:end]
            if frame[1] == ApiKey.PRODUCE:
                self._produce(client, frame)
            else:
                self._waiting = client
            self._deliver()

    def _produce(self, client: socket.socket, frame: bytes) -> None:
        if not self._size_position:
            self._size_position = size_position(frame)
        batch = records_at(frame, self._size_position)
        client.sendall(self._produced)
        self._batches.append(self._offset.to_bytes(8, "big") + batch[8:])
        self._offset += int.from_bytes(batch[23:27], "big") + 1

    def _deliver(self) -> None:
        if self._waiting is None or not self._batches:
            return
        records = b"".join(self._batches)
        self._batches.clear()
        body = self._before + _varint(len(records) + 1) + records + self._behind
        client, self._waiting = self._waiting, None
        client.sendall(len(body).to_bytes(4, "big") + body)


def size_position(frame: bytes) -> int:
    """Where the size of the records stands in a Produce: the same place in all of one load."""
    request: Any = decode_request(
        ApiKey.PRODUCE, PRODUCE_VERSION, frame, decode_request_header(frame)[1]
    )
    batch = request.topic_data[0].partition_data[0].records
    return len(frame) - END_OF_PRODUCE - len(batch) - len(_varint(len(batch) + 1))


def records_at(frame: bytes, position: int) -> bytes:
    """The records whose size stands at `position`; they reach to the end of the request."""
    while frame[position] & 0x80:
        position += 1
    return frame[position + 1 : -END_OF_PRODUCE]


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def floor(subcommand: str, **options: object) -> Round:
    """The load of a case against it, beside the case's idle brokers."""
    broker = BareBroker()
    broker.start()
    try:
        found = load.run(subcommand, broker.address, topic=TOPIC, **options)
    finally:
        broker.close()
    metrics = rates(found, 0)
    return Round(
        {name: metrics[name] for name in metrics if not name.startswith("processor")},
        found.get("quantiles", []),
    )
