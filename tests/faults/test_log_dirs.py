"""One of several data directories fails while clients write to all of them.

A directory fails by being moved away, with a file in its place; a disk fails when its file system
is shut down by the system (as ext4 is on an I/O error), for which a loop device has to be mounted:
where that is not allowed that test is skipped.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from kio.schema.errors import ErrorCode

from kstore.wire.versions import ApiKey
from tests.conformance.support.batches import batch, record
from tests.conformance.support.broker import BrokerProcess, run_kstore
from tests.conformance.support.raw_client import RawClient
from tests.conformance.support.verbs import create_topic, fetch, produce
from tests.conftest import broker_class
from tests.faults.reading import read_all

DEADLINE_S = 20
OK = ErrorCode.none
FAILED = ErrorCode.kafka_storage_error
FS_IOC_SHUTDOWN = 0x8004587D
SETTINGS = {
    "offsets.topic.num.partitions": 1,
    "group.initial.rebalance.delay.ms": 0,
    # A directory that nobody writes to is looked at this often.
    "replica.high.watermark.checkpoint.interval.ms": 50,
}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[BrokerProcess]:
    """A broker with two data directories; the metadata lie in the first."""
    broker = broker_class()(tmp_path, SETTINGS)
    broker.data_dirs = [broker.data_dir, tmp_path / "second"]
    yield broker
    if broker.process is not None:
        broker.kill()


class Writer:
    """Writes numbered records to one partition, each acknowledged before the next, in a thread."""

    def __init__(self, broker: BrokerProcess, topic: str, partition: int) -> None:
        self.acknowledged: list[bytes] = []
        self.codes: set[ErrorCode] = set()
        self._broker, self._topic, self._partition = broker, topic, partition
        self._stopping = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        with RawClient(self._broker.bootstrap_servers) as client:
            number = 0
            while not self._stopping:
                value = b"%d" % number * 500
                number += 1
                sent = {self._partition: batch([record(value=value)])}
                code = produce(client, self._topic, sent)[self._partition].error_code
                self.codes.add(code)
                if code is OK:
                    self.acknowledged.append(value)

    def wait_for_more(self, count: int) -> None:
        until = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= until, "the partition is not written to")


def eventually(check: Callable[[], bool], what: str, *, pause_s: float = 0.01) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(pause_s)


def described(client: RawClient) -> list[Any]:
    """The data directories in the order of the config."""
    reply = client.ask(ApiKey.DESCRIBE_LOG_DIRS, 4, {"topics": None})
    assert reply.error_code is OK
    return list(reply.results)


def partitions_of(directory: Any, topic: str) -> list[int]:
    """Those of a topic in a described directory."""
    return sorted(
        partition.partition_index
        for found in directory.topics
        if found.name == topic
        for partition in found.partitions
    )


def metadata(client: RawClient, topic: str) -> dict[int, Any]:
    (found,) = client.ask(ApiKey.METADATA, 12, {"topics": [{"name": topic}]}).topics
    return {partition.partition_index: partition for partition in found.partitions}


def values(broker: BrokerProcess, topic: str, partition: int) -> list[bytes]:
    return list(read_all(broker, topic, partition).values())


def holds(found: list[bytes], writer: Writer) -> None:
    """What was acknowledged is there, in order; what was not may be there too."""
    rest = iter(found)
    missing = [value for value in writer.acknowledged if value not in rest]
    assert not missing, f"{len(missing)} acknowledged records are lost"


def two_partitions(broker: BrokerProcess, client: RawClient, **configs: str) -> tuple[int, int]:
    """Makes topic t with a partition in each directory: that in the first, that in the second."""
    create_topic(client, "t", partitions=2, configs=configs)
    first, second = (partitions_of(directory, "t") for directory in described(client))
    assert (len(first), len(second)) == (1, 1)
    return first[0], second[0]


def check_isolation(
    broker: BrokerProcess, fail: Callable[[], None], *, flush: bool
) -> tuple[Writer, Writer, int, int]:
    """Lets the second directory fail under load; what was written, and to which partitions."""
    configs = {"flush.messages": "1"} if flush else {}
    with RawClient(broker.bootstrap_servers) as client:
        good, bad = two_partitions(broker, client, **configs)
        before = metadata(client, "t")[bad]
        with Writer(broker, "t", good) as here, Writer(broker, "t", bad) as there:
            there.wait_for_more(20)
            fail()
            eventually(lambda: FAILED in there.codes, "the failure was not noticed")
            here.wait_for_more(20)
        assert here.codes == {OK}, "the other directory's partition noticed"

        assert fetch(client, "t", {bad: 0})[bad].error_code is FAILED
        eventually(
            lambda: metadata(client, "t")[bad].error_code is ErrorCode.leader_not_available,
            "there is a leader still",
        )
        told = metadata(client, "t")[bad]
        assert (told.leader_id, told.leader_epoch) == (-1, before.leader_epoch + 1)
        asked = {"topics": [{"name": "t"}], "response_partition_limit": 10}
        (topic,) = client.ask(ApiKey.DESCRIBE_TOPIC_PARTITIONS, 0, asked).topics
        paged = topic.partitions[bad]
        assert (paged.leader_id, paged.leader_epoch) == (told.leader_id, told.leader_epoch)
        assert paged.eligible_leader_replicas == paged.last_known_elr == before.replica_nodes
        for offline in (told, paged):
            assert offline.isr_nodes == ()
            assert offline.replica_nodes == offline.offline_replicas == before.replica_nodes
        assert metadata(client, "t")[good].error_code is OK

        online, offline = described(client)
        assert (online.error_code, partitions_of(online, "t")) == (OK, [good])
        assert (offline.error_code, offline.topics) == (FAILED, ())
        assert offline.log_dir == str(broker.data_dirs[1])

        if type(broker) is BrokerProcess:
            servers = ("--bootstrap-server", broker.bootstrap_servers)
            told_by_us = run_kstore("log-dirs", "--describe", *servers)
            assert '"error":"KAFKA_STORAGE_ERROR","partitions":[]' in told_by_us

        create_topic(client, "new", partitions=4)
        online, _ = described(client)
        assert partitions_of(online, "new") == [0, 1, 2, 3]
    return here, there, good, bad


def test_a_directory_that_goes_away_takes_only_its_own_partitions(
    broker: BrokerProcess, tmp_path: Path
) -> None:
    second, aside = broker.data_dirs[1], tmp_path / "aside"

    def fail() -> None:
        second.rename(aside)
        second.write_text("no directory")

    broker.start()
    here, there, good, bad = check_isolation(broker, fail, flush=False)

    # A start without it: nothing is made anew, the rest is served.
    broker.kill()
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        assert metadata(client, "t")[bad].error_code is ErrorCode.leader_not_available
        reply = produce(client, "t", {bad: batch([record(value=b"x")])})
        assert reply[bad].error_code is FAILED
        holds(values(broker, "t", good), here)

    # And one with it mended.
    broker.stop()
    second.unlink()
    aside.rename(second)
    broker.start()
    holds(values(broker, "t", good), here)
    holds(values(broker, "t", bad), there)
    with RawClient(broker.bootstrap_servers) as client:
        assert [directory.error_code for directory in described(client)] == [OK, OK]
        assert produce(client, "t", {bad: batch([record(value=b"x")])})[bad].error_code is OK


def run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")


@pytest.fixture
def disk(broker: BrokerProcess, tmp_path: Path) -> Iterator[Callable[[], None]]:
    """The second directory lies on an ext4 of its own; the fixture mounts it anew when called."""
    place, image = tmp_path / "disk", tmp_path / "image"
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("needs root and mkfs.ext4 for a disk that can fail")
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(24 << 20)

    def mount() -> None:
        run("mount", "-o", "loop", image, place)

    def mount_anew() -> None:
        run("umount", place)
        mount()

    try:
        run("mkfs.ext4", "-q", "-F", image)
        mount()
    except OSError as error:
        pytest.skip(f"a disk can't be mounted here: {error}")
    broker.data_dirs[1] = place / "logs"
    yield mount_anew
    if broker.process is not None:
        broker.kill()
    run("umount", place)


def test_a_disk_that_fails_takes_only_its_own_partitions(
    broker: BrokerProcess, disk: Callable[[], None]
) -> None:
    second = broker.data_dirs[1]

    def fail() -> None:
        """From now on every call that needs the disk is an I/O error."""
        descriptor = os.open(second, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", 0))
        finally:
            os.close(descriptor)

    broker.start()
    here, there, good, bad = check_isolation(broker, fail, flush=True)
    broker.kill()
    disk()
    broker.start()
    holds(values(broker, "t", good), here)
    holds(values(broker, "t", bad), there)


def test_without_any_directory_the_broker_ends(broker: BrokerProcess, tmp_path: Path) -> None:
    """So it does without that of the metadata, whatever else there is."""
    broker.start()
    process = broker.process
    assert process is not None
    broker.data_dir.rename(tmp_path / "aside")
    broker.data_dir.write_text("no directory")
    assert process.wait(DEADLINE_S) == 1
    broker.process = None
    BrokerProcess.running.remove(broker)
    assert f"the metadata log dir {broker.data_dir} has failed" in broker.output()


def test_a_kill_with_two_directories_loses_nothing(broker: BrokerProcess) -> None:
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        first, second = two_partitions(broker, client)
    acknowledged: dict[int, list[bytes]] = {first: [], second: []}
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True}
    )

    def told(error: Any, message: Any) -> None:
        if error is None:
            acknowledged[message.partition()].append(message.value())

    for number in range(3000):
        value = b"%d" % number
        producer.produce("t", value, partition=number % 2, on_delivery=told)
        if number in (1000, 2000):
            producer.poll(0)
            broker.kill()
            broker.start()
    assert producer.flush(DEADLINE_S) == 0
    for partition, sent in acknowledged.items():
        assert len(sent) == 1500
        assert values(broker, "t", partition) == sent


def move(client: RawClient, topic: str, partition: int, path: object) -> ErrorCode:
    wanted = {"path": str(path), "topics": [{"name": topic, "partitions": [partition]}]}
    reply = client.ask(ApiKey.ALTER_REPLICA_LOG_DIRS, 2, {"dirs": [wanted]})
    code = reply.results[0].partitions[0].error_code
    assert isinstance(code, ErrorCode)
    return code


def places(client: RawClient, topic: str, partition: int) -> dict[str, bool]:
    """The directories where a partition lies, and whether it is only a copy there yet."""
    return {
        directory.log_dir: found.is_future_key
        for directory in described(client)
        for told in directory.topics
        if told.name == topic
        for found in told.partitions
        if found.partition_index == partition
    }


def moved(client: RawClient, topic: str, partition: int, path: Path) -> Callable[[], bool]:
    return lambda: places(client, topic, partition) == {str(path): False}


@pytest.mark.parametrize("flush", [False, True])
def test_a_partition_moves_while_it_is_written(broker: BrokerProcess, flush: bool) -> None:
    """With `flush` those who wait for a sync of the log are answered by that of its copy."""
    if flush and type(broker) is not BrokerProcess:
        pytest.skip("acks=all on the disk is not Kafka's")
    broker.start()
    first, second = broker.data_dirs
    acknowledged: list[bytes] = []
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True}
    )

    def told(error: Any, message: Any) -> None:
        assert error is None, error
        acknowledged.append(message.value())

    numbers = itertools.count()

    def write(count: int) -> None:
        for number in itertools.islice(numbers, count):
            value = b"%08d" % number * 50
            producer.produce("t", value, partition=here, on_delivery=told)
        assert producer.flush(DEADLINE_S) == 0

    with RawClient(broker.bootstrap_servers) as client:
        configs = {"segment.bytes": str(1 << 20)}
        if flush:
            configs["kstore.acks.all.flush"] = "true"
        here, _ = two_partitions(broker, client, **configs)
        write(4000)
        for target in (second, first, second):
            assert move(client, "t", here, target) is OK
            while not moved(client, "t", here, target)():
                write(100)
            write(100)
        assert move(client, "t", here, second) is OK, "it is there already"
        assert moved(client, "t", here, second)()
        assert not list(first.glob(f"t-{here}"))
        assert move(client, "t", here, first / "nowhere") is ErrorCode.log_dir_not_found
        unknown = move(client, "new", 1, second)
        assert unknown is ErrorCode.unknown_topic_or_partition
        assert move(client, "new", 0, second) is unknown
        create_topic(client, "new", partitions=2)
        assert places(client, "new", 0) == places(client, "new", 1) == {str(second): False}
        sent = values(broker, "t", here)
        assert sent == acknowledged == sorted(set(sent))
    broker.kill()
    broker.start()
    assert values(broker, "t", here) == acknowledged
    write(10)
    with RawClient(broker.bootstrap_servers) as client:
        assert moved(client, "t", here, second)()


def test_a_move_that_is_killed_goes_on(broker: BrokerProcess) -> None:
    broker.start()
    second = broker.data_dirs[1]
    with RawClient(broker.bootstrap_servers) as client:
        here, _ = two_partitions(broker, client)
        with Writer(broker, "t", here) as writer:
            writer.wait_for_more(300)
        for _ in range(40):
            sent = {here: batch([record(value=bytes(900_000))])}
            assert produce(client, "t", sent)[here].error_code is OK
        assert move(client, "t", here, second) is OK
        copy = f"t-{here}.*-future"
        eventually(lambda: any(second.glob(copy)), "there is no copy", pause_s=0.001)
    broker.kill()
    broker.start()
    with RawClient(broker.bootstrap_servers) as client:
        eventually(moved(client, "t", here, second), "the move did not go on")
    found = values(broker, "t", here)
    holds(found, writer)
    assert len(found) == len(writer.acknowledged) + 40
