"""What one connection may take for itself: time on the loop, and memory for replies that wait."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator

import pytest

from kstore.broker.api import Api
from kstore.broker.apis import api_versions
from kstore.broker.context import RequestContext
from kstore.testing import BrokerThread
from kstore.wire.messages.api_versions import ApiVersionsRequest, ApiVersionsResponse
from kstore.wire.versions import ApiKey
from kstore_server.connection import MAX_UNSENT_SIZE, ClientConnection
from tests.conformance.support.batches import batch
from tests.conformance.support.pipeline import PipelinedClient, wait_until
from tests.conformance.support.verbs import create_topic, fetch_values, produce
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


def kept_size(kstore: BrokerThread) -> int:
    """The bytes of replies that wait for their turn on any connection."""
    connections = [one for one in gc.get_objects() if type(one) is ClientConnection]
    return kstore.call(
        lambda server: sum(
            len(part)
            for connection in connections
            for reply in connection._in_flight
            if reply.done
            for part in reply.result()
            if isinstance(part, bytes)
        )
    )
