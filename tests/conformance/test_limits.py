"""What a client may not do: requests too large, malformed or unknown, too many, too slow.

Only its own connection closes, with a line in the log that says why; everybody else is served.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import (
    create_topic,
    end_offset,
    is_kafka,
    new_name,
    produce_values,
    reason_of,
)
from tests.conftest import StartBroker, broker_class

OK = ErrorCode.none
WHO = {"client_software_name": "judge", "client_software_version": "1.0"}
MAX_REQUEST_SIZE = 100_000
IDLE_MS = 700
REQUEST_SIZE = 12 + len(b"judge")
GENEROUS_S = 2.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    settings = {"socket.request.max.bytes": MAX_REQUEST_SIZE}
    with broker_class()(tmp_path_factory.mktemp("broker"), settings) as process:
        yield process


@pytest.fixture
def other(broker: BrokerProcess) -> Iterator[PipelinedClient]:
    """A connection that nothing may happen to."""
    with PipelinedClient(broker.bootstrap_servers) as connected:
        yield connected
        assert connected.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK


def string(text: bytes, size: int | None = None) -> bytes:
    return struct.pack(">h", len(text) if size is None else size) + text


def count(number: int) -> bytes:
    return struct.pack(">i", number)


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


class TestSizes:
    @pytest.mark.parametrize("size", [MAX_REQUEST_SIZE + 1, 1 << 30, (1 << 31) - 1, -1, -(1 << 31)])
    def test_a_size_out_of_bounds(
        self, broker: BrokerProcess, client: PipelinedClient, other: PipelinedClient, size: int
    ) -> None:
        client.send(struct.pack(">i", size))
        assert client.is_closed()
        if not is_kafka(broker):
            assert f"a request of {size} bytes" in reason_of(broker, client)

    def test_the_largest_request(self, client: PipelinedClient) -> None:
        topic, _ = create_topic(client)
        padding = MAX_REQUEST_SIZE - 200
        for value_size in (padding, padding + 200):
            data = batch([record(value=bytes(value_size))])
            client.send(client.frame(ApiKey.PRODUCE, 9, produce_values(topic, {0: data})))
            if value_size == padding:
                reply = client.next_reply()
                assert reply.responses[0].partition_responses[0].error_code is OK
        assert client.is_closed()

    def test_a_good_request_before_a_bad_one_is_answered(
        self, client: PipelinedClient, other: PipelinedClient
    ) -> None:
        client.send(client.frame(ApiKey.API_VERSIONS, 4, WHO), struct.pack(">i", -5))
        assert client.next_reply().error_code is OK
        assert client.is_closed()

    def test_room_is_made_for_what_arrives_not_for_what_is_claimed(
        self, start_broker: StartBroker
    ) -> None:
        broker = start_broker()
        with ExitStack() as opened:
            clients = [
                opened.enter_context(PipelinedClient(broker.bootstrap_servers)) for _ in range(50)
            ]
            before = broker.memory_size()
            for client in clients:
                client.send(struct.pack(">i", 100 << 20) + bytes(1000))
            assert clients[0].is_silent(0.1)
            if not is_kafka(broker):  # Kafka makes room for all of it
                assert broker.memory_size() - before < 20 << 20


MALFORMED: dict[str, tuple[int, int, bytes]] = {
    "nothing": (ApiKey.METADATA, 4, b""),
    "two billion topics": (ApiKey.METADATA, 4, count((1 << 31) - 1)),
    "a negative count": (ApiKey.METADATA, 4, count(-2)),
    "more topics than there are": (ApiKey.METADATA, 4, count(3) + string(b"a")),
    "a string longer than the rest": (ApiKey.METADATA, 4, count(1) + string(b"a", 1000)),
    "a negative string": (ApiKey.METADATA, 4, count(1) + string(b"", -2)),
    "null for a string": (ApiKey.HEARTBEAT, 0, string(b"", -1) + count(0) + string(b"")),
    "a compact count beyond the rest": (ApiKey.METADATA, 12, b"\0" + varint(1 << 31)),
    "a compact count of ten bytes": (ApiKey.METADATA, 12, b"\0" + b"\xff" * 9 + b"\x01"),
    "tags without an end": (ApiKey.METADATA, 12, b"\0" + b"\x01\x01\x00\x09"),
    "header tags beyond the rest": (ApiKey.METADATA, 12, b"\x05\x00\xff\xff\x03"),
    "two billion topics to produce to": (
        ApiKey.PRODUCE, 8, string(b"", -1) + struct.pack(">hi", 1, 0) + count((1 << 31) - 1),
    ),
    "a batch of two billion bytes": (
        ApiKey.PRODUCE,
        8,
        string(b"", -1) + struct.pack(">hi", 1, 0) + count(1) + string(b"t") + count(1)
        + count(0) + count((1 << 31) - 1),
    ),
    "a Produce that ends early": (ApiKey.PRODUCE, 9, b"\0" + b"\0" + b"\0\1"),
    "two billion partitions to fetch": (
        ApiKey.FETCH,
        6,
        struct.pack(">iiiib", -1, 0, 1, 1, 0) + count(1) + string(b"t") + count((1 << 31) - 1),
    ),
    "a Fetch that ends early": (ApiKey.FETCH, 12, b"\0" + b"\0\0"),
    "letters that are no UTF-8": (ApiKey.METADATA, 4, count(1) + string(b"\xff\xfe") + b"\0"),
}  # fmt: skip
LENIENT_IN_KAFKA = {"letters that are no UTF-8"}
"""Kafka puts a replacement character there and goes on."""


class TestMalformed:
    @pytest.mark.parametrize("case", MALFORMED)
    def test_only_that_connection_closes(
        self,
        broker: BrokerProcess,
        client: PipelinedClient,
        other: PipelinedClient,
        case: str,
    ) -> None:
        if is_kafka(broker) and case in LENIENT_IN_KAFKA:
            pytest.skip("Kafka takes it")
        api_key, version, body = MALFORMED[case]
        client.send(client.raw_frame(api_key, version, body, answered=False))
        assert client.is_closed()
        if not is_kafka(broker):
            assert reason_of(broker, client)
            assert "Traceback" not in broker.output()

    @pytest.mark.parametrize(
        ("api_key", "version", "reason"),
        [
            (999, 0, "API 999"),
            (-1, 0, "API -1"),
            (ApiKey.METADATA, 99, "METADATA version 99"),
            (ApiKey.METADATA, -1, "METADATA version -1"),
            (ApiKey.PRODUCE, 2, "PRODUCE version 2"),
            (ApiKey.FETCH, 3, "FETCH version 3"),
        ],
    )
    def test_what_is_not_served(
        self,
        broker: BrokerProcess,
        client: PipelinedClient,
        other: PipelinedClient,
        api_key: int,
        version: int,
        reason: str,
    ) -> None:
        client.send(client.raw_frame(api_key, version, bytes(100), answered=False))
        assert client.is_closed()
        if not is_kafka(broker):
            assert reason in reason_of(broker, client)

    def test_a_request_shorter_than_its_header(
        self, broker: BrokerProcess, client: PipelinedClient, other: PipelinedClient
    ) -> None:
        client.send(struct.pack(">i", 3) + b"abc")
        assert client.is_closed()
        if not is_kafka(broker):
            assert "header" in reason_of(broker, client)

    @pytest.mark.parametrize("version", [5, 99, 32767, -1])
    def test_api_versions_of_an_unknown_version(
        self, client: PipelinedClient, version: int
    ) -> None:
        """Answered in version 0, which every client can read, and with its own versions alone."""
        client.send(client.raw_frame(ApiKey.API_VERSIONS, version, b"\0\2a\0021\0", answered=False))
        client._due.append((ApiKey.API_VERSIONS, 0, client._correlation_id))
        reply = client.next_reply()
        assert reply.error_code is ErrorCode.unsupported_version
        (own,) = reply.api_keys
        assert (own.api_key, own.min_version) == (ApiKey.API_VERSIONS, 0)
        assert own.max_version >= 4
        assert client.ask(ApiKey.API_VERSIONS, own.max_version, WHO).error_code is OK

    @pytest.mark.parametrize("name", ["", "-x", "a b", "x" * 10 + "é"])
    def test_software_that_tells_no_proper_name(self, client: PipelinedClient, name: str) -> None:
        who = {**WHO, "client_software_name": name}
        reply = client.ask(ApiKey.API_VERSIONS, 3, who)
        assert reply.error_code is ErrorCode.invalid_request
        assert client.ask(ApiKey.API_VERSIONS, 3, WHO).error_code is OK


class TestAcksZero:
    def test_what_is_good_is_not_answered(self, client: PipelinedClient) -> None:
        topic, _ = create_topic(client)
        values = produce_values(topic, {0: batch()}, acks=0)
        frames = [client.frame(ApiKey.PRODUCE, 9, values, answered=False) for _ in range(3)]
        client.send(*frames, client.frame(ApiKey.API_VERSIONS, 4, WHO))
        assert client.next_reply().error_code is OK, "the first answer is that of the last request"
        assert end_offset(client, topic) == 3

    @pytest.mark.parametrize("fault", ["CRC", "topic", "partition"])
    def test_an_error_closes_the_connection(
        self,
        broker: BrokerProcess,
        client: PipelinedClient,
        other: PipelinedClient,
        fault: str,
    ) -> None:
        topic, _ = create_topic(other, partitions=2)
        data = batch(crc=7) if fault == "CRC" else batch()
        values = produce_values(
            new_name() if fault == "topic" else topic,
            {5 if fault == "partition" else 0: data, 1: batch()},
            acks=0,
        )
        client.send(client.frame(ApiKey.PRODUCE, 9, values, answered=False))
        assert client.is_closed()
        if not is_kafka(broker):
            assert "acks=0" in reason_of(broker, client)
        good = end_offset(other, topic, 1)
        assert good == (0 if fault == "topic" else 1), "what was good in it is there"
