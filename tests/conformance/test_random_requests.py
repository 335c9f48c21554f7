"""Requests that are well formed and make no sense: all APIs and versions, with random values.

Whatever the broker answers, or if it closes the connection: it is not surprised, and goes on.
"""

from __future__ import annotations

import random
import socket
import struct
from contextlib import suppress

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ADVERTISED, ApiKey, flexible_from
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import create_topic, is_kafka
from tests.support.kio_messages import kio_encode, kio_type, random_entity

ROUNDS = 20
WHO = {"client_software_name": "judge", "client_software_version": "1.0"}


def spoil(data: bytes, topic: str, choices: random.Random) -> bytes:
    """Puts the name of a topic that there is where a random one stood: more is looked at then."""
    for name in ("topic", "größe-日本"):
        old, new = name.encode(), topic.encode()
        if choices.random() < 0.5:
            data = data.replace(
                struct.pack(">h", len(old)) + old, struct.pack(">h", len(new)) + new
            )
            data = data.replace(bytes([len(old) + 1]) + old, bytes([len(new) + 1]) + new)
    return data


def read_to_the_end(client: PipelinedClient) -> None:
    """Says good-bye, and takes what comes until the broker has done the same."""
    with suppress(OSError):
        client.socket.shutdown(socket.SHUT_WR)
        while client.socket.recv(1 << 16):
            pass


@pytest.mark.parametrize("api_key", list(ADVERTISED), ids=lambda key: key.name)
def test_no_request_surprises_the_broker(broker: BrokerProcess, seed: int, api_key: ApiKey) -> None:
    if is_kafka(broker):
        pytest.skip("Kafka leaves some of these without an answer, such as null for a batch")
    choices = random.Random(seed * 1000 + api_key)
    with PipelinedClient(broker.bootstrap_servers) as steady:
        topic, _ = create_topic(steady, "a-topic-that-there-is" + str(api_key.value))
        for version in range(ADVERTISED[api_key].min, ADVERTISED[api_key].max + 1):
            if api_key == ApiKey.PRODUCE and version < 3:
                continue
            with PipelinedClient(broker.bootstrap_servers) as client:
                for _ in range(ROUNDS):
                    body = kio_encode(random_entity(kio_type(api_key, version, "request"), choices))
                    head = b"\0" if version >= flexible_from(api_key) else b""
                    data = head + spoil(body, topic, choices)
                    try:
                        client.send(client.raw_frame(api_key, version, data, answered=False))
                    except ConnectionError:
                        break
                read_to_the_end(client)
        assert steady.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is ErrorCode.none
    assert "Traceback" not in broker.output()
    assert "unexpected" not in broker.output()
