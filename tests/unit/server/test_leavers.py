"""Clients that leave in the middle: what the broker held for them is gone soon, and only that."""

from __future__ import annotations

import gc
import os
import socket
import struct
import time
import weakref
from collections.abc import Callable, Iterator

import pytest

from kstore.broker.delayed import DelayedFetch
from kstore.log.slices import Slice
from kstore.testing import BrokerThread
from kstore.wire.versions import ApiKey
from kstore_server.connection import ClientConnection
from tests.conformance.support.batches import batch, record
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.verbs import (
    by_partition,
    create_topic,
    deletion_values,
    fetch_values,
    produce,
)

LARGE = 24 << 20
BATCH_SIZE = 1 << 20
COUNT = 20
DEADLINE_S = 10

WHERE_RECORDS_LIE = pytest.mark.parametrize(
    "sealed",
    [pytest.param(False, id="mapped"), pytest.param(True, id="sealed", marks=pytest.mark.slow)],
)
"""Large pieces of either leave by sendfile; a map also outlives its file."""


@pytest.fixture
def client(kstore: BrokerThread) -> Iterator[PipelinedClient]:
    with PipelinedClient(kstore.bootstrap_servers) as connected:
        yield connected


def fill(client: PipelinedClient, *, sealed: bool) -> str:
    """A topic with LARGE bytes that are in a map, or in a file that is not written any more."""
    configs = {
        "max.message.bytes": str(2 * BATCH_SIZE),
        "segment.bytes": str(LARGE + BATCH_SIZE // 2 if sealed else 2 * LARGE),
    }
    topic, _ = create_topic(client, configs=configs)
    for number in range(LARGE // BATCH_SIZE + 1):
        data = batch([record(value=bytes([number]) * (BATCH_SIZE - 75))])
        assert produce(client, topic, {0: data})[0].base_offset == number
    return topic


def count(*kinds: type) -> int:
    """How many objects of these types there are.

    While a broker runs that is a question for its loop: a thread that takes hold of all objects
    breaks a tuple that another one is making.
    """
    gc.collect()
    return sum(type(one) in kinds for one in gc.get_objects())


def kept(kstore: BrokerThread, *kinds: type) -> int:
    return kstore.call(lambda server: count(*kinds))


def watchers(kstore: BrokerThread, topic: str) -> int:
    return kstore.call(lambda server: len(server.broker.partitions.find(topic, 0).watchers))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def leave(clients: list[PipelinedClient]) -> None:
    """Every second one without a good-bye."""
    for number, one in enumerate(clients):
        if number % 2:
            linger = struct.pack("ii", 1, 0)
            one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        one.close()


def large_fetch(client: PipelinedClient, topic: str) -> bytes:
    values = fetch_values(topic, {0: 0}, max_bytes=1 << 30, partition_max_bytes=1 << 30)
    return client.frame(ApiKey.FETCH, 12, values)


def test_what_a_connection_holds_is_free_at_once(kstore: BrokerThread) -> None:
    """Not when the collector looks for circles the next time: half a request may be 100 MB."""
    others = [PipelinedClient(kstore.bootstrap_servers) for _ in range(COUNT)]
    for one in others:
        one.ask(ApiKey.API_VERSIONS, 0, {})
        one.send(struct.pack(">i", BATCH_SIZE) + bytes(1000))
    connections = kstore.call(lambda server: references(ClientConnection))
    assert len(connections) == COUNT
    gc.disable()
    try:
        leave(others)
        wait_until(lambda: not any(one() for one in connections), "no connection is kept")
    finally:
        gc.enable()


def references(kind: type) -> list[weakref.ref[object]]:
    return [weakref.ref(one) for one in gc.get_objects() if type(one) is kind]


def test_long_polls_end_with_their_connections(
    kstore: BrokerThread, client: PipelinedClient, caplog: pytest.LogCaptureFixture
) -> None:
    topic, _ = create_topic(client)
    others = [PipelinedClient(kstore.bootstrap_servers) for _ in range(COUNT)]
    for one in others:
        values = fetch_values(topic, {0: 0}, max_wait_ms=60_000)
        one.send(*(one.frame(ApiKey.FETCH, 12, values) for _ in range(3)))
    wait_until(lambda: watchers(kstore, topic) == 3 * COUNT, "the fetches wait")
    leave(others)
    wait_until(lambda: watchers(kstore, topic) == 0, "nobody waits any more")
    wait_until(lambda: kept(kstore, DelayedFetch) == 0, "no fetch is kept")
    wait_until(lambda: kept(kstore, ClientConnection) == 1, "no connection is kept")
    assert produce(client, topic, {0: batch()})[0].base_offset == 0
    assert [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")] == []


@WHERE_RECORDS_LIE
def test_large_replies_end_with_their_connections(
    kstore: BrokerThread,
    client: PipelinedClient,
    caplog: pytest.LogCaptureFixture,
    sealed: bool,
) -> None:
    topic = fill(client, sealed=sealed)
    before = len(os.listdir("/proc/self/fd"))
    others = [PipelinedClient(kstore.bootstrap_servers) for _ in range(COUNT)]
    for one in others:
        one.send(large_fetch(one, topic))
    wait_until(lambda: kept(kstore, Slice) >= COUNT, "replies wait for their clients")
    leave(others)
    wait_until(lambda: kept(kstore, Slice) == 0, "no slice is kept")
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before + 1, "no file is kept")
    wait_until(lambda: kept(kstore, ClientConnection) == 1, "no connection is kept")
    assert [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")] == []


def test_replies_that_wait_behind_a_long_poll_end_with_their_connection(
    kstore: BrokerThread, client: PipelinedClient
) -> None:
    full, _ = create_topic(client)
    empty, _ = create_topic(client)
    assert produce(client, full, {0: batch()})[0].base_offset == 0
    one = PipelinedClient(kstore.bootstrap_servers)
    waiting = fetch_values(empty, {0: 0}, max_wait_ms=60_000)
    ready = fetch_values(full, {0: 0})
    one.send(
        one.frame(ApiKey.FETCH, 12, waiting),
        *(one.frame(ApiKey.FETCH, 12, ready) for _ in range(10)),
    )
    wait_until(lambda: kept(kstore, Slice) == 10, "replies wait for their turn")
    one.close()
    wait_until(lambda: kept(kstore, Slice) == 0, "no slice is kept")
    assert watchers(kstore, empty) == 0


@WHERE_RECORDS_LIE
def test_a_reply_under_way_outlives_its_topic(
    kstore: BrokerThread, client: PipelinedClient, sealed: bool
) -> None:
    """Who reads while the topic is deleted gets every byte that was promised."""
    topic = fill(client, sealed=sealed)
    with PipelinedClient(kstore.bootstrap_servers) as slow:
        slow.send(large_fetch(slow, topic))
        wait_until(lambda: kept(kstore, Slice) > 0, "the reply is under way")
        (result,) = client.ask(ApiKey.DELETE_TOPICS, 6, deletion_values(topic)).responses
        assert result.error_code == 0
        kstore.call(lambda server: server.broker.log_dirs.remove_deleted())
        data = by_partition(slow.next_reply())[0].records
    batches = [data[start : start + BATCH_SIZE] for start in range(0, len(data), BATCH_SIZE)]
    assert len(data) >= LARGE
    for number, one in enumerate(batches):
        assert one[:8] == number.to_bytes(8, "big")
        assert one[100:] == bytes([number]) * (len(one) - 101) + one[-1:]
    wait_until(lambda: kept(kstore, Slice) == 0, "no slice is kept")


def test_a_stop_in_the_middle_of_everything(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Clients that wait, and clients that do not read, are let go; nothing stays behind."""
    before = len(os.listdir("/proc/self/fd"))
    with BrokerThread(tmp_path_factory.mktemp("broker")) as broker:
        with PipelinedClient(broker.bootstrap_servers) as client:
            topic = fill(client, sealed=True)
            empty, _ = create_topic(client)
        others = [PipelinedClient(broker.bootstrap_servers) for _ in range(COUNT)]
        for number, one in enumerate(others):
            waiting = fetch_values(empty, {0: 0}, max_wait_ms=60_000)
            one.send(
                large_fetch(one, topic) if number % 2 else one.frame(ApiKey.FETCH, 12, waiting)
            )
        wait_until(lambda: kept(broker, Slice, DelayedFetch) >= COUNT, "all of them are served")
        start = time.monotonic()
    assert time.monotonic() - start < DEADLINE_S
    for one in others:
        one.close()
    assert count(Slice, DelayedFetch, ClientConnection) == 0
    assert len(os.listdir("/proc/self/fd")) <= before
