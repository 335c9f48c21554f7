"""A real, small file system filled up under load, and room made on it again.

Needs to mount a tmpfs: where that is not allowed these tests are skipped.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from kio.schema.errors import ErrorCode

from kstore.log.records import iterate_records
from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.config_verbs import (
    DELETE,
    OF_TOPIC,
    SET,
    TOPIC,
    alter,
    replace,
    told,
)
from tests.conformance.support.group_verbs import commit, committed
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import (
    TIMEOUT_MS,
    create_topic,
    create_values,
    end_offset,
    fetch,
    list_offset,
    produce,
)
from tests.conformance.test_partitions import partition_count
from tests.faults.reading import read_all

DISK_SIZE = 8 << 20
SEGMENT_SIZE = 1 << 20
BIG = bytes(200_000)
DEADLINE_S = 20
EARLIEST = -2
OK = ErrorCode.none
FULL = ErrorCode.kafka_storage_error

SETTINGS = {
    "log.segment.bytes": SEGMENT_SIZE,
    "offsets.topic.num.partitions": 1,
    "log.segment.delete.delay.ms": 0,
    # Many checkpoints fail while the disk is full.
    "replica.high.watermark.checkpoint.interval.ms": 50,
    "log.flush.offset.checkpoint.interval.ms": 50,
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """A broker whose data directory is a file system of 8 MB."""
    broker = BrokerProcess(tmp_path, SETTINGS)
    broker.data_dir.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs", str(broker.data_dir)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a small file system")
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small file system can't be mounted here: {done.stderr.strip()}")
    try:
        yield broker.start()
    finally:
        if broker.process is not None:
            broker.kill()
        subprocess.run(["umount", str(broker.data_dir)], check=True)


@pytest.fixture
def client(broker: BrokerProcess) -> Iterator[RawClient]:
    with RawClient(broker.bootstrap_servers) as connected:
        yield connected


class Load:
    """A confluent-kafka producer that writes numbered records until it is refused."""

    def __init__(self, broker: BrokerProcess, topic: str) -> None:
        self.topic = topic
        self.acknowledged: dict[int, bytes] = {}
        self.refused = 0
        self._sent = 0
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": broker.bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 1,
                "batch.num.messages": 20,
                "message.timeout.ms": 1500,
            }
        )

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self.refused += 1
        else:
            assert message.offset() not in self.acknowledged
            self.acknowledged[message.offset()] = message.value()

    def run_until_refused(self) -> None:
        deadline = time.monotonic() + 2 * DEADLINE_S
        while not self.refused:
            assert time.monotonic() < deadline, "the disk was never full"
            self.write(50)
        self._producer.flush(DEADLINE_S)

    def write(self, count: int) -> None:
        for _ in range(count):
            value = b"%08d" % self._sent * 500
            self._producer.produce(self.topic, value, partition=0, on_delivery=self._delivered)
            self._sent += 1
        self._producer.flush(DEADLINE_S)


def holds(load: Load, found: dict[int, bytes]) -> None:
    """What was acknowledged is there; what was not may be there, but nothing twice."""
    missing = {offset for offset, value in load.acknowledged.items() if found.get(offset) != value}
    assert not missing, f"{len(missing)} acknowledged records are lost"
    values = list(found.values())
    assert values == sorted(set(values))


def has_room(file: io.FileIO, size: int) -> bool:
    try:
        file.write(bytes(size))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def take_the_rest(directory: Path) -> Path:
    """A file that takes every byte that is left."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            while has_room(file, size):
                pass
    return filler


def fill_topic(client: RawClient, topic: str, count: int) -> None:
    for _ in range(count):
        assert produce(client, topic, {0: batch([record(value=BIG)])})[0].error_code is OK


def eventually(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def is_refused(client: RawClient, topic: str) -> bool:
    """Tries to write a large record: is the disk too full for it?"""
    code = produce(client, topic, {0: batch([record(value=BIG)])})[0].error_code
    assert code in (OK, FULL)
    return code is FULL


def delete_records(client: RawClient, topic: str) -> Any:
    wanted = {"name": topic, "partitions": [{"partition_index": 0, "offset": -1}]}
    values = {"topics": [wanted], "timeout": TIMEOUT_MS}
    return client.ask(ApiKey.DELETE_RECORDS, 2, values).topics[0].partitions[0]


def delete_topic(client: RawClient, topic: str) -> ErrorCode:
    values = {"topics": [{"name": topic, "topic_id": None}], "timeout": TIMEOUT_MS}
    code = client.ask(ApiKey.DELETE_TOPICS, 6, values).responses[0].error_code
    assert isinstance(code, ErrorCode)
    return code


def test_a_disk_that_fills_up_under_load(broker: BrokerProcess, client: RawClient) -> None:
    for topic in ("load", "trimmed", "deleted"):
        create_topic(client, topic)
    for topic in ("trimmed", "deleted"):
        fill_topic(client, topic, 8)
    load = Load(broker, "load")
    load.run_until_refused()
    assert load.acknowledged
    filler = take_the_rest(broker.data_dir)

    # Full: what can't be written is refused with the code that says so; all is read as before.
    for topic in ("trimmed", "deleted"):
        # Room that a segment was given before is still used.
        eventually(partial(is_refused, client, topic), f"{topic} has room")
    holds(load, read_all(broker, "load"))
    refused = client.ask(ApiKey.CREATE_TOPICS, 7, create_values("new")).topics[0]
    assert refused.error_code is FULL
    eventually(lambda: broker.output().count("checkpoint failed") > 1, "no checkpoint failed")

    # Deleting records makes room, which is used without a restart.
    end = end_offset(client, "trimmed")
    result = delete_records(client, "trimmed")
    assert (result.error_code, result.low_watermark) == (OK, end)
    assert list_offset(client, "trimmed", EARLIEST).offset == end
    assert not is_refused(client, "trimmed")
    take_the_rest(broker.data_dir)
    eventually(partial(is_refused, client, "trimmed"), "the disk is not full again")

    # And so does deleting a topic.
    assert delete_topic(client, "deleted") is OK
    eventually(lambda: not is_refused(client, "trimmed"), "a deleted topic made no room")

    # As if nothing had been: also for the producer that was refused, and for the checkpoints.
    filler.unlink()
    before = len(load.acknowledged)
    load.write(50)
    assert len(load.acknowledged) == before + 50
    create_topic(client, "later")
    start_file = broker.data_dir / "log-start-offset-checkpoint"
    eventually(lambda: f"trimmed 0 {end}" in start_file.read_text(), "no checkpoint since")
    holds(load, read_all(broker, "load"))
    broker.kill()
    broker.start()
    holds(load, read_all(broker, "load"))
    broker.stop()
    run_kstore("check", str(broker.data_dir))


def commit_offset(client: RawClient, offset: int) -> ErrorCode:
    return commit(client, "group", "read", offset, "m" * 4000)


def test_groups_on_a_full_disk(broker: BrokerProcess, client: RawClient) -> None:
    for topic in ("read", "trimmed"):
        create_topic(client, topic)
        fill_topic(client, topic, 8)
    client.ask(ApiKey.FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": ["group"]})
    eventually(lambda: commit_offset(client, 0) is OK, "there is no coordinator")
    filler = take_the_rest(broker.data_dir)
    last = 0
    while (code := commit_offset(client, last + 1)) is OK:
        last += 1
        assert last < DISK_SIZE // 4000
    assert code is ErrorCode.not_coordinator
    assert committed(client, "group", "read") == last
    broker.kill()
    filler.unlink()
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        assert committed(client, "group", "read") == last
        assert commit_offset(client, last + 1) is OK
        assert committed(client, "group", "read") == last + 1
        assert len(read_all(broker, "read")) == 8


@pytest.mark.parametrize("clean", [False, True])
def test_a_start_without_any_room_serves_what_is_there(
    broker: BrokerProcess, client: RawClient, clean: bool
) -> None:
    create_topic(client, "read")
    fill_topic(client, "read", 8)
    if clean:
        broker.stop()
        take_the_rest(broker.data_dir)
    else:
        take_the_rest(broker.data_dir)
        broker.kill()
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        assert len(read_all(broker, "read")) == 8
        eventually(partial(is_refused, client, "read"), "the disk is not full")
        assert delete_records(client, "read").error_code is OK
        assert not is_refused(client, "read")


def test_partitions_without_room_for_an_index_entry_are_read(
    broker: BrokerProcess, client: RawClient
) -> None:
    """Small ones, so that trimming what was preallocated for them frees no page."""
    topics = [f"small-{number}" for number in range(20)]
    for topic in (*topics, "read"):
        create_topic(client, topic)
    sent = batch([record(value=b"small")])
    for topic in topics:
        assert produce(client, topic, {0: sent})[0].error_code is OK
    client.ask(ApiKey.FIND_COORDINATOR, 4, {"key_type": 0, "coordinator_keys": ["group"]})
    eventually(lambda: commit_offset(client, 7) is OK, "there is no coordinator")
    filler = take_the_rest(broker.data_dir)
    broker.kill()
    with filler.open("ab", buffering=0) as file:
        while has_room(file, 4096):
            pass
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        for topic in topics:
            answer = fetch(client, topic, {0: 0})[0]
            assert answer.error_code is OK
            assert [one.value for one in iterate_records(answer.records)] == [b"small"]
            assert produce(client, topic, {0: batch([record(value=BIG)])})[0].error_code is FULL
        assert committed(client, "group", "read") == 7
        filler.unlink()
        for topic in topics:
            assert produce(client, topic, {0: sent})[0].error_code is OK
            assert end_offset(client, topic) == 2
        assert commit_offset(client, 8) is OK
    broker.stop()
    run_kstore("check", str(broker.data_dir))


def test_changes_of_metadata_on_a_full_disk(broker: BrokerProcess, client: RawClient) -> None:
    """Each is made, or refused as a whole with the code that says so, by the connection it has."""
    name = "leader.replication.throttled.replicas"
    topics = [f"t{number}" for number in range(12)]
    for topic in topics:
        create_topic(client, topic)
    filler = take_the_rest(broker.data_dir)

    # What needs directories is not there if these could not be made.
    for _ in range(20):
        answer = client.ask(ApiKey.CREATE_TOPICS, 7, create_values("new", partitions=3)).topics[0]
        assert answer.error_code is FULL
        (grown,) = more_partitions(client, "t0", 4)
        assert grown.error_code is FULL
    assert partition_count(client, "t0") == 1

    # Small changes and deletions go on, in room that was taken before.
    assert alter(client, TOPIC, "t1", ("retention.ms", SET, "1"))[0] is OK
    assert alter(client, TOPIC, "t1", ("retention.ms", DELETE, None))[0] is OK
    assert delete_topic(client, topics.pop()) is OK

    # That is not enough for all of this.
    with filler.open("ab", buffering=0) as file:
        while has_room(file, 4096):
            pass
    kept: dict[str, str] = {}
    refused = []
    for number in range(10 * len(topics)):
        topic = topics[number % len(topics)]
        value = ",".join([f"{number}:1"] * 450 * (1 + number // len(topics)))
        code, _ = alter(client, TOPIC, topic, (name, SET, value))
        if code is OK:
            kept[topic] = value
        else:
            assert code is FULL
            refused.append(topic)
    assert kept
    assert refused, "there was room for everything"
    again = refused[-1]
    too_much = {"retention_ms": "1", name: ",".join(["1:1"] * 7000)}
    assert replace(client, TOPIC, again, **too_much) is FULL
    for topic in topics:
        assert told(client, TOPIC, topic, name)[0] == kept.get(topic, "")
        assert told(client, TOPIC, topic, "retention.ms")[1] != OF_TOPIC

    filler.unlink()
    assert alter(client, TOPIC, again, (name, SET, "7:7"))[0] is OK
    assert told(client, TOPIC, again, name)[0] == "7:7"
    create_topic(client, "new", partitions=3)
    assert more_partitions(client, "t0", 4)[0].error_code is OK
    sent = {index: batch([record()]) for index in range(4)}
    assert {one.error_code for one in produce(client, "t0", sent).values()} == {OK}
    broker.kill()
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        assert partition_count(client, "t0") == 4
        assert partition_count(client, "new") == 3
        assert told(client, TOPIC, again, name)[0] == "7:7"


def more_partitions(client: RawClient, topic: str, count: int) -> Any:
    wanted = {"name": topic, "count": count, "assignments": None}
    values = {"topics": [wanted], "timeout": TIMEOUT_MS, "validate_only": False}
    return client.ask(ApiKey.CREATE_PARTITIONS, 3, values).results
