"""Consumers of what is no longer in memory: workers wait for the disk, the loop does not."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kstore.runtime import Later
from kstore.testing import BrokerThread
from kstore.wire.versions import ApiKey
from kstore_server.connection import ClientConnection
from kstore_server.server import Server
from tests.conformance.support.batches import batch, record
from tests.conformance.support.pipeline import PipelinedClient, wait_until
from tests.conformance.support.verbs import by_partition, create_topic, fetch, fetch_values, produce

COUNT = 30


@pytest.fixture
def client(kstore: BrokerThread) -> Iterator[PipelinedClient]:
    with PipelinedClient(kstore.bootstrap_servers) as connected:
        yield connected


@pytest.fixture
def topic(kstore: BrokerThread, client: PipelinedClient) -> str:
    """Thirty batches of one record over several segments."""
    name, _ = create_topic(client, configs={"index.interval.bytes": "0"})
    for number in range(COUNT):
        if number % 7 == 6:
            kstore.call(lambda server: server.broker.partitions.find(name, 0).log.roll())
        data = batch([record(value=b"%d" % number * 50)])
        assert produce(client, name, {0: data})[0].base_offset == number
    return name


def grow_cold(kstore: BrokerThread, topic: str) -> None:
    """No file of the log was in use lately."""

    def forget(server: Server) -> None:
        log = server.broker.partitions.find(topic, 0).log
        assert len(log.segments) > 3
        log.handles.clear()

    kstore.call(forget)


def connections(server: Server) -> list[ClientConnection]:
    """Those that are open."""
    found = [one for one in gc.get_objects() if type(one) is ClientConnection]
    return [one for one in found if not one.client.closed]


class Workers:
    """Takes the place of the broker's workers: counts, and holds work back if it is told to."""

    def __init__(self, server: Server) -> None:
        self.runtime = server.broker.runtime
        self.run = self.runtime.run_in_worker
        self.held: list[tuple[Callable[[], Any], Later[Any]]] | None = None
        self.count = 0
        self.runtime.run_in_worker = self.run_in_worker  # type: ignore[method-assign]

    def run_in_worker(self, work: Callable[[], Any]) -> Later[Any]:
        self.count += 1
        if self.held is None:
            return self.run(work)
        later: Later[Any] = Later()
        self.held.append((work, later))
        return later

    def let_go(self) -> None:
        held, self.held = self.held or [], None
        for work, later in held:
            work()
            later.complete(None)


@pytest.fixture
def workers(kstore: BrokerThread, topic: str) -> Iterator[Workers]:
    workers = kstore.call(Workers)
    yield workers
    kstore.call(lambda server: delattr(server.broker.runtime, "run_in_worker"))


def records_at(client: PipelinedClient, topic: str, offset: int) -> bytes:
    found = fetch(client, topic, {0: offset}, partition_max_bytes=1)[0]
    assert found.error_code == 0
    return bytes(found.records)


def test_a_cold_segment_is_opened_by_a_worker(
    kstore: BrokerThread, client: PipelinedClient, topic: str, workers: Workers
) -> None:
    warm = [records_at(client, topic, offset) for offset in range(COUNT)]
    workers.count = 0
    assert [records_at(client, topic, offset) for offset in range(COUNT)] == warm
    assert workers.count == 0, "all is in memory"
    grow_cold(kstore, topic)
    assert records_at(client, topic, 0) == warm[0]
    assert workers.count == 1
    assert records_at(client, topic, 1) == warm[1]
    assert workers.count == 1, "its segment is warm now"
    assert [records_at(client, topic, offset) for offset in range(COUNT)] == warm


def test_a_fetch_of_cold_data_keeps_its_place(
    kstore: BrokerThread, client: PipelinedClient, topic: str, workers: Workers
) -> None:
    grow_cold(kstore, topic)
    workers.held = []
    cold = fetch_values(topic, {0: 0}, partition_max_bytes=1)
    client.send(client.frame(ApiKey.FETCH, 12, cold), client.frame(ApiKey.API_VERSIONS, 0, {}))
    wait_until(lambda: workers.held, "the disk is asked")
    kstore.call(lambda server: workers.let_go())
    assert by_partition(client.next_reply())[0].records
    assert client.next_reply().api_keys


def test_nobody_waits_for_cold_data_of_a_client_that_left(
    kstore: BrokerThread, client: PipelinedClient, topic: str, workers: Workers
) -> None:
    grow_cold(kstore, topic)
    workers.held = []
    with PipelinedClient(kstore.bootstrap_servers) as other:
        asked = fetch_values(topic, {0: 0}, min_bytes=1 << 20, max_wait_ms=60_000)
        other.send(other.frame(ApiKey.FETCH, 12, asked))
        wait_until(lambda: workers.held, "the disk is asked")
    wait_until(lambda: kstore.call(lambda server: len(connections(server))) == 1, "it is gone")
    kstore.call(lambda server: workers.let_go())
    watchers = kstore.call(lambda server: server.broker.partitions.find(topic, 0).watchers)
    assert watchers == set()


def test_a_topic_that_is_deleted_while_the_disk_is_asked(
    kstore: BrokerThread, client: PipelinedClient, topic: str, workers: Workers
) -> None:
    grow_cold(kstore, topic)
    workers.held = []
    client.send(client.frame(ApiKey.FETCH, 12, fetch_values(topic, {0: 0})))
    wait_until(lambda: workers.held, "the disk is asked")

    def remove(server: Server) -> None:
        server.broker.partitions.remove(topic, 0)
        workers.let_go()

    kstore.call(remove)
    assert by_partition(client.next_reply())[0].error_code == 3
