"""The broker that does nothing still speaks Kafka: with kstore's own codec as the client."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from bench.compare.bare import FETCH_VERSION, PRODUCE_VERSION, TOPIC, BareBroker
from kstore.log.records import Record, build_batch
from kstore.wire.codec import decode_response, encode_request
from kstore.wire.headers import RequestHeader, decode_response_header, encode_request_header
from kstore.wire.messages.fetch import FetchPartition, FetchRequest, FetchTopic
from kstore.wire.messages.produce import PartitionProduceData, ProduceRequest, TopicProduceData
from kstore.wire.versions import ApiKey


class Client:
    def __init__(self, broker: BareBroker) -> None:
        host, port = broker.address.split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)

    def send(self, key: ApiKey, version: int, message: Any) -> None:
        header = encode_request_header(RequestHeader(key, version, 1, "load"))
        body = header + encode_request(message, version)
        self.socket.sendall(len(body).to_bytes(4, "big") + body)

    def receive(self, key: ApiKey, version: int) -> Any:
        size = int.from_bytes(self._exactly(4), "big")
        body = self._exactly(size)
        return decode_response(key, version, body, decode_response_header(key, version, body)[1])

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.socket.recv(size - len(data))
        return data


@pytest.fixture
def broker() -> Iterator[BareBroker]:
    broker = BareBroker()
    broker.start()
    yield broker
    broker.close()
    assert not broker.is_alive()


# Sizes of records whose own size takes two bytes, and three.
@pytest.mark.parametrize("sizes", [[100, 100], [100, 40_000], [40_000, 100, 20_000]])
def test_a_batch_goes_in_and_comes_out_at_its_offset(broker: BareBroker, sizes: list[int]) -> None:
    producer, consumer = Client(broker), Client(broker)
    for offset, size in enumerate(sizes):
        partition = FetchPartition(partition=0, fetch_offset=offset)
        topics = [FetchTopic(topic=TOPIC, partitions=[partition])]
        consumer.send(ApiKey.FETCH, FETCH_VERSION, FetchRequest(topics=topics))
        batch = build_batch([Record(0, 1, None, b"v" * size, ())])
        data = PartitionProduceData(index=0, records=batch)
        topic = TopicProduceData(name=TOPIC, partition_data=[data])
        producer.send(ApiKey.PRODUCE, PRODUCE_VERSION, ProduceRequest(acks=1, topic_data=[topic]))
        produced = producer.receive(ApiKey.PRODUCE, PRODUCE_VERSION)
        assert produced.responses[0].partition_responses[0].error_code == 0
        fetched = consumer.receive(ApiKey.FETCH, FETCH_VERSION)
        found = fetched.responses[0].partitions[0].records
        assert int.from_bytes(found[:8], "big") == offset
        assert found[8:] == bytes(batch)[8:]
    producer.socket.close()
    consumer.socket.close()
