"""Five thousand clients at once, most of them bad neighbours: nobody else notices.

What a connection may cost is stated here and held. Descriptors that run short are the broker's
matter: it takes all that it can get, and keeps some for its files.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support import verbs
from tests.conformance.support.batches import batch, record
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import CLIENTS, create_topic
from tests.conformance.support.crowd import Crowd, read_reply, sending_slowly, wait_until_readable
from tests.conformance.support.pipeline import PipelinedClient, wait_until
from tests.conformance.support.prober import Prober
from tests.conformance.support.verbs import fetch_values, is_kafka, produce
from tests.conformance.support.workload import by_partition, make_records
from tests.conftest import SETTINGS, broker_class

OK = ErrorCode.none
INT_MAX = (1 << 31) - 1

SILENT = 2_000
SLOW = 1_000
ANNOUNCERS = 1_000
FETCHERS = 900
ASKERS = 100
CROWD = SILENT + SLOW + ANNOUNCERS + FETCHERS + ASKERS
DESCRIPTORS = 2 * CROWD + 1_000
"""Of each of the two processes: a connection that can't be sent to is watched through a second."""

CONNECTION_SIZE = 12 << 10
"""What a connection may cost the broker, whatever its client does, but for:"""
UNREAD_SIZE = 150 << 10
"""what replies made in memory cost that a client does not take. Records stay in their file."""
LEFT_SIZE = 2 << 10
"""Less than half of what an idle connection takes: none is left over."""

RECORDS = 3_000
PARTITIONS = 3
BATCH_SIZE = 400_000
QUESTIONS = 300
"""Metadata requests, of 60 bytes, whose replies are of 2 KB."""


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Enough of them for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < DESCRIPTORS:
        why = f"needs {DESCRIPTORS} open files, the system allows {hard}"
        pytest.fail(why) if os.environ.get("CI") == "true" else pytest.skip(why)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_five_thousand_clients(tmp_path: Path, seed: int, descriptors: None) -> None:
    settings = {**SETTINGS, "socket.request.max.bytes": INT_MAX}
    if broker_class() is not BrokerProcess:
        settings["socket.listen.backlog.size"] = 1_000  # Kafka's 50 makes a crowd wait by seconds
    with broker_class()(tmp_path, settings) as broker:
        with PipelinedClient(broker.bootstrap_servers) as client:
            gathering = Gathering(broker, client)
        check_clients(broker, "before", seed)
        quiet_count, quiet_size = open_sockets(broker), broker.memory_size()
        sizes = []
        for round_name in ("first", "second"):
            with Crowd(broker.bootstrap_servers) as crowd:
                gathering.check(crowd, round_name, seed, quiet_size)
            wait_until(lambda: open_sockets(broker) <= quiet_count, "each connection is closed")
            sizes.append(broker.memory_size())
        print(f"once they left the broker was larger by {[s - quiet_size >> 10 for s in sizes]} KB")
        if not is_kafka(broker):
            assert sizes[1] - sizes[0] < CROWD * LEFT_SIZE, "the second crowd took new room"
            assert "Traceback" not in broker.output()


class Gathering:
    """A crowd of every kind, and what the broker is asked meanwhile."""

    def __init__(self, broker: BrokerProcess, client: PipelinedClient) -> None:
        self.broker = broker
        self.value = bytes(range(256)) * (BATCH_SIZE // 256)
        verbs.create_topic(client, "large", partitions=30)
        data = batch([record(value=self.value)])
        assert produce(client, "large", {0: data})[0].error_code is OK
        self.api_versions = client.frame(ApiKey.API_VERSIONS, 0, {})
        values = fetch_values("large", {0: 0}, max_bytes=INT_MAX, partition_max_bytes=INT_MAX)
        self.fetch = client.frame(ApiKey.FETCH, 12, values)
        values = {"topics": [{"name": "large", "topic_id": None}]}
        self.metadata = client.frame(ApiKey.METADATA, 12, values) * QUESTIONS
        # Kafka makes room for all that is announced.
        announced = 1 << 14 if is_kafka(broker) else INT_MAX
        self.announcement = struct.pack(">i", announced) + bytes(100)
        client.forget_due()

    def check(self, crowd: Crowd, round_name: str, seed: int, quiet_size: int) -> None:
        silent = crowd.join(SILENT)
        slow = crowd.join(SLOW)
        crowd.join(ANNOUNCERS, self.announcement)
        fetchers = crowd.join(FETCHERS, self.fetch)
        askers = crowd.join(ASKERS, self.metadata)
        assert len(crowd.sockets) == CROWD
        wait_until_readable([*fetchers, *askers])
        with (
            sending_slowly(slow, self.api_versions),
            Prober(self.broker.bootstrap_servers) as prober,
        ):
            check_clients(self.broker, round_name, seed)
        grown = self.broker.memory_size() - quiet_size
        print(
            f"{CROWD} connections, {round_name} round: the broker grew by {grown >> 10} KB; "
            f"longest wait of {prober.count} others {prober.longest_s * 1000:.0f} ms"
        )
        assert crowd.open_count() == CROWD
        if not is_kafka(self.broker):
            assert grown < CROWD * CONNECTION_SIZE + ASKERS * UNREAD_SIZE
        self.check_served(silent, slow, fetchers[:20])

    def check_served(
        self, silent: list[socket.socket], slow: list[socket.socket], fetchers: list[socket.socket]
    ) -> None:
        """Who speaks up in the end, or begins to read, is served as if nothing had been."""
        for one in silent:
            one.sendall(self.api_versions)
        replies = {read_reply(one) for one in (*silent, *slow)}
        assert len(replies) == 1, "all asked the same"
        for one in fetchers:
            assert self.value in read_reply(one)


def check_clients(broker: BrokerProcess, name: str, seed: int) -> None:
    """Real clients write records and read them all back, in order."""
    records = make_records(seed, RECORDS, PARTITIONS)
    for client in CLIENTS:
        topic = f"{name}-{client.name}"
        create_topic(broker.bootstrap_servers, topic, PARTITIONS)
        client.write(broker.bootstrap_servers, topic, records, "none")
        expected = by_partition(records)
        counts = {partition: len(sent) for partition, sent in expected.items()}
        assert client.read(broker.bootstrap_servers, topic, counts) == expected


class FewDescriptors(BrokerProcess):
    """A broker that may not have many files open."""

    soft = hard = 0

    def _command(self) -> list[str]:
        limits = f"ulimit -S -n {self.soft} && ulimit -H -n {self.hard}"
        return ["sh", "-c", f'{limits} && exec "$@"', "sh", *super()._command()]


def test_the_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    """As Kafka's JVM does, whose limit a shell sets to 1,024 or less."""
    broker = FewDescriptors(tmp_path)
    broker.soft, broker.hard = 64, 1_000
    with broker, Crowd(broker.bootstrap_servers) as crowd:
        assert "limit of open files raised from=64 to=1000" in broker.output()
        ask = api_versions(broker)
        for one in crowd.join(200, ask):
            assert read_reply(one)
        assert broker.open_files() > 200


def test_clients_leave_descriptors_for_files(tmp_path: Path) -> None:
    """Those who come when descriptors run short are closed; the log goes on, segment by segment."""
    broker = FewDescriptors(tmp_path, {**SETTINGS, "log.segment.bytes": 1 << 20})
    broker.soft = broker.hard = 300
    with broker, PipelinedClient(broker.bootstrap_servers) as client:
        with Crowd(broker.bootstrap_servers) as crowd:
            crowd.join(400)
            wait_until(lambda: crowd.open_count() < 200, "many are closed")
            topic, _ = verbs.create_topic(client, partitions=10)
            data = batch([record(value=bytes(700_000))])
            for number in range(3):
                for partition in range(10):
                    found = produce(client, topic, {partition: data})[partition]
                    assert (found.error_code, found.base_offset) == (OK, number)
            crowded = open_sockets(broker)
            assert crowded < 200
        assert "kept for the log" in broker.output()
        wait_until(lambda: open_sockets(broker) < crowded // 2, "the crowd has left")
        with Crowd(broker.bootstrap_servers) as crowd:
            (one,) = crowd.join(1, api_versions(broker))
            assert read_reply(one)


def open_sockets(broker: BrokerProcess) -> int:
    assert broker.process is not None
    count = 0
    for descriptor in Path(f"/proc/{broker.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed in between
            count += str(descriptor.readlink()).startswith("socket:")
    return count


def api_versions(broker: BrokerProcess) -> bytes:
    with PipelinedClient(broker.bootstrap_servers) as client:
        return client.frame(ApiKey.API_VERSIONS, 0, {})
