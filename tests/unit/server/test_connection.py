"""One connection on a real socket: everything that was asked is answered, in order."""

from __future__ import annotations

import logging
import socket
import struct
import threading

import pytest

from kstore.log.records import Record, build_batch
from kstore.testing import BrokerThread
from kstore.wire.codec import decode_response, encode_request
from kstore.wire.headers import RequestHeader, decode_response_header, encode_request_header
from kstore.wire.messages.create_topics import CreatableTopic, CreateTopicsRequest
from kstore.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kstore.wire.messages.metadata import MetadataRequest, MetadataRequestTopic
from kstore.wire.messages.produce import (
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from kstore.wire.schema import Request
from kstore.wire.versions import ApiKey

VALUE_SIZE = 300_000


def framed(key: ApiKey, version: int, correlation_id: int, message: Request) -> bytes:
    header = encode_request_header(RequestHeader(key, version, correlation_id, "test"))
    body = header + encode_request(message, version)
    return struct.pack(">i", len(body)) + body


def produce(correlation_id: int, value: bytes) -> bytes:
    batch = build_batch([Record(0, -1, None, value, ())], timestamp_ms=1_700_000_000_000)
    topic = TopicProduceData(
        name="t", partition_data=[PartitionProduceData(index=0, records=batch)]
    )
    request = ProduceRequest(acks=1, timeout_ms=1000, topic_data=[topic])
    return framed(ApiKey.PRODUCE, 9, correlation_id, request)


def fetch(correlation_id: int, offset: int, max_wait_ms: int = 0) -> bytes:
    partition = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1)
    request = FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=1,
        session_epoch=-1,
        topics=[FetchTopic(topic="t", partitions=[partition])],
    )
    return framed(ApiKey.FETCH, 12, correlation_id, request)


def metadata(correlation_id: int) -> bytes:
    request = MetadataRequest(topics=[MetadataRequestTopic(name="t")])
    return framed(ApiKey.METADATA, 9, correlation_id, request)


def create_topic(correlation_id: int) -> bytes:
    request = CreateTopicsRequest(topics=[CreatableTopic(name="t", num_partitions=1)])
    request.topics[0].replication_factor = 1
    return framed(ApiKey.CREATE_TOPICS, 5, correlation_id, request)


class Client:
    """A socket that is read frame by frame."""

    def __init__(self, bootstrap_servers: str) -> None:
        host, _, port = bootstrap_servers.partition(":")
        self.socket = socket.create_connection((host, int(port)), 20)
        self.stream = self.socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.socket.close()

    def reply(self) -> tuple[int, bytes]:
        """The next reply's correlation id, and its frame without the size."""
        (size,) = struct.unpack(">i", self.stream.read(4))
        frame = self.stream.read(size)
        assert len(frame) == size
        return struct.unpack(">i", frame[:4])[0], frame


@pytest.fixture
def client(kstore: BrokerThread):  # type: ignore[no-untyped-def]
    with Client(kstore.bootstrap_servers) as connected:
        connected.socket.sendall(create_topic(0))
        assert connected.reply()[0] == 0
        yield connected


def test_replies_larger_than_what_may_wait_all_arrive(client: Client) -> None:
    """Each turn hits the limit of unsent bytes; nothing that was asked may be forgotten."""
    client.socket.sendall(
        b"".join(produce(number, bytes([number]) * VALUE_SIZE) for number in range(5))
    )
    assert [client.reply()[0] for _ in range(5)] == [0, 1, 2, 3, 4]
    count = 200
    client.socket.sendall(b"".join(fetch(number, number % 5) for number in range(count)))
    for number in range(count):
        correlation_id, frame = client.reply()
        assert correlation_id == number
        assert bytes([number % 5]) * VALUE_SIZE in frame


def test_thousands_of_requests_in_one_go_are_answered_in_order(client: Client) -> None:
    count = 3000
    sent = b"".join(
        produce(number, b"v") if number % 3 else metadata(number) for number in range(count)
    )
    client.socket.sendall(sent)
    offset = 0
    for number in range(count):
        correlation_id, frame = client.reply()
        assert correlation_id == number
        if number % 3:
            _, position = decode_response_header(ApiKey.PRODUCE, 9, frame)
            response = decode_response(ApiKey.PRODUCE, 9, frame, position)
            assert isinstance(response, ProduceResponse)
            assert response.responses[0].partition_responses[0].base_offset == offset
            offset += 1


def test_a_waiting_fetch_holds_back_later_replies_but_not_later_requests(
    client: Client, kstore: BrokerThread
) -> None:
    client.socket.sendall(fetch(1, 0, max_wait_ms=20_000) + produce(2, b"wakes it") + metadata(3))
    assert [client.reply()[0] for _ in range(3)] == [1, 2, 3]


def test_a_waiting_fetch_delays_no_other_connection(client: Client, kstore: BrokerThread) -> None:
    client.socket.sendall(fetch(1, 0, max_wait_ms=20_000))
    with Client(kstore.bootstrap_servers) as other:
        other.socket.sendall(metadata(7))
        assert other.reply()[0] == 7
        other.socket.sendall(produce(8, b"wakes it"))
        assert other.reply()[0] == 8
    assert client.reply()[0] == 1


def test_a_client_that_takes_no_replies_is_idle_however_much_is_owed_to_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    closed = threading.Event()

    class Told(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "idle" in record.getMessage():
                closed.set()

    handler = Told()
    connections = logging.getLogger("kstore.connection")
    caplog.set_level(logging.INFO, connections.name)
    connections.addHandler(handler)
    count = 100
    try:
        with (
            BrokerThread(settings={"connections.max.idle.ms": "500"}) as broker,
            Client(broker.bootstrap_servers) as client,
        ):
            client.socket.sendall(create_topic(0) + produce(1, bytes(VALUE_SIZE)))
            assert [client.reply()[0] for _ in range(2)] == [0, 1]
            client.socket.sendall(b"".join(fetch(number, 0) for number in range(count)))
            assert closed.wait(20)
            taken = 0
            while data := client.stream.read1(1 << 20):
                taken += len(data)
            assert 0 < taken < count * VALUE_SIZE
    finally:
        connections.removeHandler(handler)
