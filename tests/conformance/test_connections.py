"""One connection: replies in order whatever is asked, however it arrives, and nobody else waits."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.pipeline import PipelinedClient
from tests.conformance.support.prober import Prober
from tests.conformance.support.verbs import (
    TIMEOUT_MS,
    by_partition,
    create_topic,
    create_values,
    fetch_values,
    list_offset,
    new_name,
    produce,
    produce_values,
)

OK = ErrorCode.none
WHO = {"client_software_name": "judge", "client_software_version": "1.0"}
LARGE = 50 << 20
LARGE_BATCH = 1 << 20
GENEROUS_S = 1.0
"""What nobody may have to wait while others are served. What is measured is printed."""


def metadata_values(name: str) -> dict[str, Any]:
    return {"topics": [{"name": name, "topic_id": None}], "allow_auto_topic_creation": False}


def test_mixed_requests_in_one_write_are_answered_in_order(
    broker: BrokerProcess, client: PipelinedClient
) -> None:
    """A fetch that waits stands between them, and each sees the effect of those before it."""
    topic, _ = create_topic(client, partitions=2)
    made = new_name("made")
    deletion = {"topics": [{"name": made, "topic_id": None}], "timeout": TIMEOUT_MS}
    client.send(
        client.frame(ApiKey.PRODUCE, 9, produce_values(topic, {0: batch()})),
        client.frame(ApiKey.FETCH, 12, fetch_values(topic, {1: 0}, max_wait_ms=300)),
        client.frame(ApiKey.METADATA, 12, metadata_values(topic)),
        client.frame(ApiKey.CREATE_TOPICS, 7, create_values(made)),
        client.frame(ApiKey.METADATA, 12, metadata_values(made)),
        client.frame(ApiKey.PRODUCE, 9, produce_values(made, {0: batch()})),
        client.frame(ApiKey.FETCH, 12, fetch_values(made, {0: 0}, max_wait_ms=300)),
        client.frame(ApiKey.DELETE_TOPICS, 6, deletion),
        client.frame(ApiKey.METADATA, 12, metadata_values(made)),
        client.frame(ApiKey.PRODUCE, 9, produce_values(topic, {0: batch()})),
        client.frame(ApiKey.API_VERSIONS, 4, WHO),
    )
    start = time.monotonic()
    first = client.next_reply()
    waited = by_partition(client.next_reply())[1]
    assert time.monotonic() - start > 0.25, "the fetch waits, and all behind it with it"
    replies = [client.next_reply() for _ in range(9)]
    assert first.responses[0].partition_responses[0].base_offset == 0
    assert (waited.error_code, waited.records) == (OK, b"")
    assert replies[0].topics[0].error_code is OK
    assert replies[1].topics[0].error_code is OK
    assert replies[7].responses[0].partition_responses[0].base_offset == 1
    assert replies[8].error_code is OK
    if type(broker) is not BrokerProcess:
        return  # Kafka answers a creation before its own brokers have heard of it
    assert replies[2].topics[0].error_code is OK
    assert replies[2].topics[0].topic_id == replies[1].topics[0].topic_id
    assert replies[3].responses[0].partition_responses[0].error_code is OK
    assert len(by_partition(replies[4])[0].records) == len(batch())
    assert replies[5].responses[0].error_code is OK
    assert replies[6].topics[0].error_code is ErrorCode.unknown_topic_or_partition


def test_many_appends_in_one_write_keep_their_order(client: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    data = [batch([record(value=b"%d" % number)]) for number in range(500)]
    client.send(*(client.frame(ApiKey.PRODUCE, 9, produce_values(topic, {0: d})) for d in data))
    offsets = [client.next_reply().responses[0].partition_responses[0].base_offset for _ in data]
    assert offsets == list(range(500))


@pytest.mark.parametrize("acks", [0, 1])
def test_what_follows_an_append_sees_it_though_it_takes_long(
    client: PipelinedClient, acks: int
) -> None:
    """The topic has a codec of its own, so each batch is compressed anew before it is appended."""
    topic, _ = create_topic(client, configs={"compression.type": "gzip"})
    data = batch([record(value=bytes(500_000))])
    for number in range(5):
        values = produce_values(topic, {0: data}, acks=acks)
        wanted = {"partition_index": 0, "timestamp": -1, "current_leader_epoch": -1}
        topics = [{"name": topic, "partitions": [wanted]}]
        client.send(
            client.frame(ApiKey.PRODUCE, 9, values, answered=acks != 0),
            client.frame(ApiKey.LIST_OFFSETS, 7, {"replica_id": -1, "topics": topics}),
            client.frame(ApiKey.FETCH, 12, fetch_values(topic, {0: number})),
        )
        if acks:
            (appended,) = client.next_reply().responses[0].partition_responses
            assert (appended.error_code, appended.base_offset) == (OK, number)
        assert client.next_reply().topics[0].partitions[0].offset == number + 1
        assert by_partition(client.next_reply())[0].records[:8] == number.to_bytes(8, "big")


def test_requests_split_at_every_byte(client: PipelinedClient, other: PipelinedClient) -> None:
    """Between the two halves another connection is answered, so that they arrive apart."""
    topic, _ = create_topic(client)

    def requests() -> bytes:
        return (
            client.frame(ApiKey.API_VERSIONS, 4, WHO)
            + client.frame(ApiKey.PRODUCE, 9, produce_values(topic, {0: batch()}))
            + client.frame(ApiKey.METADATA, 12, metadata_values(topic))
        )

    size = len(requests())
    client.forget_due()
    for split in range(1, size):
        data = requests()
        client.send(data[:split])
        other.ask(ApiKey.API_VERSIONS, 0, {})
        client.send(data[split:])
        assert client.next_reply().error_code is OK
        appended = client.next_reply().responses[0].partition_responses[0]
        assert (appended.error_code, appended.base_offset) == (OK, split - 1)
        assert client.next_reply().topics[0].name == topic


def test_a_request_byte_by_byte(client: PipelinedClient, other: PipelinedClient) -> None:
    topic, _ = create_topic(client)
    data = client.frame(ApiKey.PRODUCE, 9, produce_values(topic, {0: batch()}))
    data += client.frame(ApiKey.API_VERSIONS, 4, WHO)
    for position in range(len(data)):
        client.send(data[position : position + 1])
        other.ask(ApiKey.API_VERSIONS, 0, {})
    assert client.next_reply().responses[0].partition_responses[0].base_offset == 0
    assert client.next_reply().error_code is OK


@pytest.fixture(scope="module", params=["mapped", "sealed"])
def large_topic(broker: BrokerProcess, request: pytest.FixtureRequest) -> str:
    """A partition with some 50 MB, in the segment that is being written or in one before it."""
    with PipelinedClient(broker.bootstrap_servers) as client:
        segment_size = LARGE + (1 << 20) if request.param == "sealed" else 2 * LARGE
        configs = {"max.message.bytes": str(2 << 20), "segment.bytes": str(segment_size)}
        topic, _ = create_topic(client, configs=configs)
        for number in range(LARGE // LARGE_BATCH + 2):
            value = bytes([number]) * (LARGE_BATCH - 100)
            assert produce(client, topic, {0: batch([record(value=value)])})[0].error_code is OK
    return topic


def large_fetch(topic: str, offset: int = 0, max_bytes: int = 1 << 30) -> dict[str, Any]:
    return fetch_values(topic, {0: offset}, max_bytes=max_bytes, partition_max_bytes=1 << 30)


def test_long_polls_delay_nobody(
    broker: BrokerProcess, client: PipelinedClient, other: PipelinedClient
) -> None:
    topic, _ = create_topic(client)
    values = fetch_values(topic, {0: 0}, max_wait_ms=1500)
    client.send(*(client.frame(ApiKey.FETCH, 12, values) for _ in range(50)))
    with Prober(broker.bootstrap_servers) as prober:
        time.sleep(0.5)
    print(f"longest wait of {prober.count} beside 50 long polls: {prober.longest_s * 1000:.1f} ms")
    assert prober.longest_s < GENEROUS_S
    produce(other, topic, {0: batch()})
    for _ in range(50):
        assert len(by_partition(client.next_reply())[0].records) == len(batch())


def test_large_fetches_that_nobody_reads_delay_nobody(
    broker: BrokerProcess, large_topic: str
) -> None:
    """And when they are read at last, every byte is there."""
    clients = [PipelinedClient(broker.bootstrap_servers) for _ in range(4)]
    try:
        for client in clients:
            client.send(client.frame(ApiKey.FETCH, 12, large_fetch(large_topic)))
        with Prober(broker.bootstrap_servers) as prober:
            time.sleep(0.3)
            reply = clients[0].next_reply()
        print(
            f"longest wait of {prober.count} beside large fetches: {prober.longest_s * 1000:.1f} ms"
        )
        assert prober.longest_s < GENEROUS_S
        size = len(by_partition(reply)[0].records)
        assert size > LARGE - (1 << 20)
        assert len(by_partition(clients[1].next_reply())[0].records) == size
    finally:
        for client in clients:
            client.close()


def test_everything_is_read_in_order_through_many_large_fetches(
    client: PipelinedClient, large_topic: str
) -> None:
    offset = 0
    end = list_offset(client, large_topic, -1).offset
    while offset < end:
        client.send(client.frame(ApiKey.FETCH, 12, large_fetch(large_topic, offset, 7_654_321)))
        data = by_partition(client.next_reply())[0].records
        position = 0
        while position + 61 <= len(data):
            size = 12 + int.from_bytes(data[position + 8 : position + 12], "big")
            if position + size > len(data):
                break
            assert int.from_bytes(data[position : position + 8], "big") == offset
            assert data[position + 1000] == offset
            position += size
            offset += 1
    assert offset == end


def test_requests_behind_a_large_reply_that_is_not_read(
    client: PipelinedClient, large_topic: str
) -> None:
    """They wait, as nothing more is to pile up, and are answered when the client reads."""
    client.send(client.frame(ApiKey.FETCH, 12, large_fetch(large_topic)))
    client.send(*(client.frame(ApiKey.API_VERSIONS, 4, WHO) for _ in range(100)))
    time.sleep(0.2)
    assert by_partition(client.next_reply())[0].error_code is OK
    assert all(client.next_reply().error_code is OK for _ in range(100))


@pytest.mark.parametrize("what", ["long poll", "large fetch", "half a request"])
def test_a_client_that_leaves_in_the_middle(
    broker: BrokerProcess,
    client: PipelinedClient,
    large_topic: str,
    what: str,
) -> None:
    """Nothing of it stays behind: no file, no socket, no complaint in the log."""
    empty, _ = create_topic(client)
    frames: dict[str, Callable[[PipelinedClient], bytes]] = {
        "long poll": lambda one: one.frame(
            ApiKey.FETCH, 12, fetch_values(empty, {0: 0}, max_wait_ms=60_000)
        ),
        "large fetch": lambda one: one.frame(ApiKey.FETCH, 12, large_fetch(large_topic)),
        "half a request": lambda one: one.frame(ApiKey.METADATA, 12, metadata_values(empty))[:20],
    }
    before = broker.open_files()
    leaving = [PipelinedClient(broker.bootstrap_servers) for _ in range(20)]
    for number, one in enumerate(leaving):
        one.send(frames[what](one))
        if number % 2:  # a reset instead of a good-bye
            one.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.ask(ApiKey.API_VERSIONS, 0, {})
    for one in leaving:
        one.close()
    if type(broker) is not BrokerProcess:
        return  # Kafka sees that the client of a long poll has left when it answers it
    deadline = time.monotonic() + 10
    while (left := broker.open_files() - before) > 5:  # a few files of segments stay open for reuse
        assert time.monotonic() < deadline, f"{left} files are left open"
        time.sleep(0.01)
    assert produce(client, empty, {0: batch()})[0].error_code is OK
    assert "Traceback" not in broker.output()
    assert "ERROR" not in broker.output()
