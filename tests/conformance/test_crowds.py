"""Clients that are too many, ask too much at a time, or say nothing: nobody else suffers for it."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.crowd import Crowd
from tests.conformance.support.pipeline import PipelinedClient, wait_until
from tests.conformance.support.prober import Prober
from tests.conformance.support.verbs import (
    by_partition,
    create_topic,
    fetch_values,
    is_kafka,
    produce,
    reason_of,
)
from tests.conftest import StartBroker, broker_class

OK = ErrorCode.none
BROKER = 4
WHO = {"client_software_name": "judge", "client_software_version": "1.0"}
IDLE_MS = 700
GENEROUS_S = 2.0


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker that closes idle connections soon."""
    settings = {"connections.max.idle.ms": IDLE_MS}
    with broker_class()(tmp_path_factory.mktemp("hasty"), settings) as process:
        yield process


class TestCounts:
    def test_connections_from_one_address(self, start_broker: StartBroker) -> None:
        broker = start_broker({"max.connections.per.ip": 5})
        self.check_limit(broker, 5, "max.connections.per.ip is 5")

    def test_connections_in_all(self, start_broker: StartBroker) -> None:
        """Kafka lets those beyond the limit wait instead, without a word."""
        broker = start_broker({"max.connections": 7})
        if is_kafka(broker):
            pytest.skip("Kafka does not accept what is beyond the limit")
        self.check_limit(broker, 7, "max.connections is 7")

    def test_fewer_connections_than_there_are(self, start_broker: StartBroker) -> None:
        """Kafka looks for the least recently used of each of its threads."""
        broker = start_broker()
        limit = {"name": "max.connections", "config_operation": 0, "value": "3"}
        named = {"resource_type": BROKER, "resource_name": "1", "configs": [limit]}
        with (
            Crowd(broker.bootstrap_servers) as crowd,
            PipelinedClient(broker.bootstrap_servers) as client,
        ):
            crowd.join(6)
            assert client.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK
            change = client.frame(ApiKey.INCREMENTAL_ALTER_CONFIGS, 1, {"resources": [named]})
            client.send(change)
            wait_until(lambda: crowd.open_count() <= 3, "some are closed")
            if not is_kafka(broker):
                assert client.next_reply().responses[0].error_code is OK
                assert crowd.open_count() == 2
                assert "max.connections is 3 now" in broker.output()

    @staticmethod
    def check_limit(broker: BrokerProcess, limit: int, reason: str) -> None:
        deadline = time.monotonic() + 10
        with ExitStack() as opened:
            held: list[PipelinedClient] = []
            while len(held) < limit:
                client = opened.enter_context(PipelinedClient(broker.bootstrap_servers))
                assert client.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK
                held.append(client)
            for _ in range(3):
                beyond = opened.enter_context(PipelinedClient(broker.bootstrap_servers))
                assert beyond.is_closed()
            for client in held:
                assert client.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK
            held[0].close()
            while True:  # there is room again as soon as the broker has seen that one left
                client = opened.enter_context(PipelinedClient(broker.bootstrap_servers))
                if not client.is_closed(0.05):
                    assert client.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK
                    break
                assert time.monotonic() < deadline
        if not is_kafka(broker):
            assert reason in broker.output()

    def test_ten_thousand_requests_without_reading(
        self, broker: BrokerProcess, client: PipelinedClient
    ) -> None:
        """The broker takes what it may keep and lets the rest wait; nobody else waits."""
        total = 10_000
        topic, _ = create_topic(client, partitions=30)
        values = {"topics": [{"name": topic, "topic_id": None}]}
        data = memoryview(b"".join(client.frame(ApiKey.METADATA, 12, values) for _ in range(total)))
        before = broker.memory_size()
        with Prober(broker.bootstrap_servers) as prober:
            sent = self.send_what_goes(client, data)
            time.sleep(0.3)
            grown = broker.memory_size() - before
        print(
            f"{sent} of {len(data)} bytes went; the broker grew by {grown >> 10} KB; longest wait "
            f"of {prober.count} others {prober.longest_s * 1000:.1f} ms"
        )
        if not is_kafka(broker):
            assert grown < 16 << 20
        assert prober.longest_s < GENEROUS_S
        for _ in range(total):
            client.socket.setblocking(True)
            (found,) = client.next_reply().topics
            assert len(found.partitions) == 30
            if sent < len(data):
                sent += self.send_what_goes(client, data[sent:], patience_s=0)

    @staticmethod
    def send_what_goes(client: PipelinedClient, data: memoryview, patience_s: float = 0.3) -> int:
        """Sends until nothing was taken for a while."""
        client.socket.setblocking(False)
        sent = 0
        last = time.monotonic()
        while sent < len(data) and time.monotonic() - last <= patience_s:
            try:
                sent += client.socket.send(data[sent : sent + 65_536])
                last = time.monotonic()
            except BlockingIOError:
                if not patience_s:
                    break
                time.sleep(0.005)
        return sent


class TestIdle:
    @pytest.mark.parametrize(
        "begin",
        [
            lambda client: b"",
            lambda client: client.frame(ApiKey.API_VERSIONS, 4, WHO)[:10],
            lambda client: struct.pack(">i", 1000),
        ],
        ids=["silent", "half a request", "a size alone"],
    )
    def test_who_says_nothing_is_let_go(
        self, hasty: BrokerProcess, begin: Callable[[PipelinedClient], bytes]
    ) -> None:
        with PipelinedClient(hasty.bootstrap_servers) as client:
            assert client.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK
            client.send(begin(client))
            start = time.monotonic()
            assert client.is_closed()
            assert IDLE_MS / 1000 * 0.9 < time.monotonic() - start < 8
            if not is_kafka(hasty):
                assert "connections.max.idle.ms" in reason_of(hasty, client)

    def test_who_is_slow_or_speaks_now_and_then_is_kept(self, hasty: BrokerProcess) -> None:
        with (
            PipelinedClient(hasty.bootstrap_servers) as slow,
            PipelinedClient(hasty.bootstrap_servers) as rare,
        ):
            data = slow.frame(ApiKey.API_VERSIONS, 4, WHO)
            pause_s = 2 * IDLE_MS / 1000 / len(data)
            for position in range(len(data)):
                slow.send(data[position : position + 1])
                time.sleep(pause_s)
                if position % 4 == 0:
                    assert rare.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK
            assert slow.next_reply().error_code is OK


def test_who_does_not_take_its_answers_is_let_go(hasty: BrokerProcess) -> None:
    """Nothing moves on such a connection, and it holds what is to be sent to it."""
    with PipelinedClient(hasty.bootstrap_servers) as client:
        topic, _ = create_topic(client, configs={"max.message.bytes": str(20 << 20)})
        data = batch([record(value=bytes(16 << 20))])
        assert produce(client, topic, {0: data})[0].error_code is OK
        values = fetch_values(topic, {0: 0}, partition_max_bytes=1 << 30)
        client.send(client.frame(ApiKey.FETCH, 12, values))
        if is_kafka(hasty):
            time.sleep(3 * IDLE_MS / 1000)
        else:
            wait_until(lambda: "idle" in closed_lines(hasty, client), "it is closed")
        with pytest.raises((AssertionError, ConnectionError)):
            client.next_frame()


def closed_lines(broker: BrokerProcess, client: PipelinedClient) -> str:
    port = client.socket.getsockname()[1]
    return "".join(line for line in broker.output().splitlines() if f":{port} " in line)


def test_a_negative_time_means_that_nobody_is_idle(start_broker: StartBroker) -> None:
    broker = start_broker({"connections.max.idle.ms": -1})
    with PipelinedClient(broker.bootstrap_servers) as client:
        assert client.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK
        assert client.is_silent(0.3)
        assert client.ask(ApiKey.API_VERSIONS, 4, WHO).error_code is OK


def test_who_waits_for_an_answer_is_not_idle(start_broker: StartBroker) -> None:
    broker = start_broker({"connections.max.idle.ms": IDLE_MS})
    if is_kafka(broker):
        pytest.skip("Kafka closes it, whatever it waits for")
    with PipelinedClient(broker.bootstrap_servers) as client:
        topic, _ = create_topic(client)
        values = fetch_values(topic, {0: 0}, max_wait_ms=2 * IDLE_MS)
        client.send(client.frame(ApiKey.FETCH, 12, values))
        assert by_partition(client.next_reply())[0].error_code is OK
        assert produce(client, topic, {0: batch()})[0].error_code is OK
