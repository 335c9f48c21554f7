"""What one connection may take for itself: time on the loop, and memory for replies that wait."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Iterator

import pytest

from kstore.broker.api import Api
from kstore.broker.apis import api_versions
from kstore.broker.context import RequestContext
from kstore.testing import BrokerThread
from kstore.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kstore.wire.versions import ApiKey
from kstore_server.connection import MAX_IN_FLIGHT_SIZE, MAX_UNSENT_SIZE, ClientConnection
from kstore_server.server import Server
from tests.conformance.support.batches import batch, record
from tests.conformance.support.pipeline import PipelinedClient, wait_until
from tests.conformance.support.verbs import (
    create_topic,
    end_offset,
    fetch_values,
    produce,
    produce_values,
)
from tests.support.stalls import StallWatch

BROKER = 4
HANDLER_S = 0.003
WHO = {"client_software_name": "test", "client_software_version": "1"}


@pytest.fixture
def slow_kstore(monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokerThread]:
    """A broker that takes its time over each ApiVersions."""

    def handle(request: ApiVersionsRequest, context: RequestContext) -> ApiVersionsResponse:
        time.sleep(HANDLER_S)
        return api_versions.handle(request, context)

    monkeypatch.setattr(api_versions, "API", Api(ApiKey.API_VERSIONS, handle))
    with BrokerThread() as broker:
        yield broker


def test_many_slow_requests_of_one_connection_let_others_in_between(
    slow_kstore: BrokerThread,
) -> None:
    count = 60
    stalls = slow_kstore.call(lambda server: StallWatch(asyncio.get_running_loop()))
    with PipelinedClient(slow_kstore.bootstrap_servers) as client:
        client.send(*(client.frame(ApiKey.API_VERSIONS, 4, WHO) for _ in range(count)))
        for _ in range(count):
            assert client.next_reply().error_code == 0
    slow_kstore.call(lambda server: stalls.stop())
    print(f"longest stall {stalls.longest_s * 1000:.1f} ms")
    assert stalls.longest_s < count * HANDLER_S / 2


def test_replies_behind_a_long_poll_do_not_pile_up(kstore: BrokerThread) -> None:
    """They count as unsent: a fetch that waits is no way to fill the broker's memory."""
    count = 120
    asked = [{"resource_type": BROKER, "resource_name": "1"}] * 8
    values = {"resources": asked, "include_synonyms": True, "include_documentation": True}
    with PipelinedClient(kstore.bootstrap_servers) as client:
        topic, _ = create_topic(client)
        client.send(client.frame(ApiKey.DESCRIBE_CONFIGS, 4, values))
        reply = client.next_frame()
        assert client.decode(reply).results[0].error_code == 0
        assert count * len(reply) > 3 * MAX_UNSENT_SIZE
        waiting = fetch_values(topic, {0: 0}, max_wait_ms=60_000)
        client.send(
            client.frame(ApiKey.FETCH, 12, waiting),
            *(client.frame(ApiKey.DESCRIBE_CONFIGS, 4, values) for _ in range(count)),
        )
        wait_until(lambda: kept_size(kstore) > MAX_UNSENT_SIZE, "as much as may wait waits")
        with PipelinedClient(kstore.bootstrap_servers) as other:
            assert kept_size(kstore) <= MAX_UNSENT_SIZE + len(reply)
            assert produce(other, topic, {0: batch()})[0].base_offset == 0
        assert client.next_reply().error_code == 0
        for _ in range(count):
            assert client.decode(client.next_frame()).results[0].error_code == 0


def test_large_requests_that_wait_do_not_pile_up(kstore: BrokerThread) -> None:
    """Here they wait behind a fetch; others may hold all they came with until they are answered."""
    count = 30
    data = batch([record(value=bytes(500_000))])
    with PipelinedClient(kstore.bootstrap_servers) as client:
        topic, _ = create_topic(client, partitions=2)
        client.send(client.frame(ApiKey.FETCH, 12, fetch_values(topic, {0: 0}, max_wait_ms=60_000)))
        frames = [
            client.frame(ApiKey.PRODUCE, 9, produce_values(topic, {1: data})) for _ in range(count)
        ]
        sending = threading.Thread(target=client.send, args=frames)
        sending.start()
        with PipelinedClient(kstore.bootstrap_servers) as other:
            expected = MAX_IN_FLIGHT_SIZE // len(frames[0]) + 1
            wait_until(lambda: end_offset(other, topic, 1) >= expected, "as many as may are begun")
            assert end_offset(other, topic, 1) == expected
            assert produce(other, topic, {0: batch()})[0].base_offset == 0
        assert client.next_reply().error_code == 0
        for number in range(count):
            (answer,) = client.next_reply().responses[0].partition_responses
            assert (answer.error_code, answer.base_offset) == (0, number)
        sending.join()


def kept_size(kstore: BrokerThread) -> int:
    """The bytes of replies that wait for their turn on any connection."""

    def kept(server: Server) -> int:
        # On the loop: another thread that looks at all objects breaks a tuple in the making.
        connections = [one for one in gc.get_objects() if type(one) is ClientConnection]
        return sum(
            len(part)
            for connection in connections
            for reply, _ in connection._in_flight
            if reply.done
            for part in reply.result()
            if isinstance(part, bytes)
        )

    return kstore.call(kept)
