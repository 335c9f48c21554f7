"""The broker inside a test: quick, complete, and gone without a trace."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer

from kstore.errors import ErrorCode, KafkaError, StoreError
from kstore.metadata.topics import Topics
from kstore.runtime import Later
from kstore.testing import BrokerThread

pytest_plugins = ["pytester"]


def open_files() -> set[str]:
    """What the descriptors of this process lead to, but for pipes and sockets."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            continue
        if target.startswith("/") and not target.startswith(("/dev/", "/proc/")):
            found.add(target)
    return found


def test_a_disk_too_full_to_raise_leader_epochs_serves_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Topics) -> Later[int]:
        return Later.failed(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "no room"))

    with BrokerThread(tmp_path) as broker:
        assert write_and_read(broker.bootstrap_servers, "t", [b"v"]) == [b"v"]
    (tmp_path / ".kafka_cleanshutdown").unlink()
    monkeypatch.setattr(Topics, "bump_leader_epochs", full)
    with BrokerThread(tmp_path) as broker:
        assert write_and_read(broker.bootstrap_servers, "t", [b"w"]) == [b"w"]


def write_and_read(bootstrap_servers: str, topic: str, values: list[bytes]) -> list[bytes]:
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(20) == 0
    return read(bootstrap_servers, topic, len(values))


def read(bootstrap_servers: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": "g", "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe([topic])
        found = [consumer.poll(20) for _ in range(count)]
        return [message.value() for message in found if message is not None]
    finally:
        consumer.close()


def test_a_broker_leaves_nothing_behind() -> None:
    before_threads = set(threading.enumerate())
    before_files = open_files()
    with BrokerThread() as broker:
        values = [b"%d" % number for number in range(100)]
        assert write_and_read(broker.bootstrap_servers, "t", values) == values
        directory = broker.data_dir
        address = broker.bootstrap_servers
        assert directory.is_dir()
    assert not directory.exists()
    assert set(threading.enumerate()) == before_threads
    assert open_files() == before_files
    host, port = address.split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_a_directory_that_was_given_is_kept_and_served_again(tmp_path: Path) -> None:
    values = [b"one", b"two"]
    with BrokerThread(tmp_path / "data") as broker:
        assert write_and_read(broker.bootstrap_servers, "kept", values) == values
    assert (tmp_path / "data" / ".kafka_cleanshutdown").exists()
    with BrokerThread(tmp_path / "data") as broker:
        more = [b"three"]
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
        producer.produce("kept", more[0], partition=0)
        assert producer.flush(20) == 0
        assert read(broker.bootstrap_servers, "kept", 1) == more, "the group goes on behind two"


def test_a_restart_keeps_address_and_records() -> None:
    with BrokerThread() as broker:
        address = broker.bootstrap_servers
        assert write_and_read(address, "t", [b"before"]) == [b"before"]
        broker.restart()
        assert broker.bootstrap_servers == address
        assert write_and_read(address, "u", [b"after"]) == [b"after"]


def test_what_keeps_a_broker_from_starting_is_raised(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with BrokerThread(tmp_path), pytest.raises(StoreError, match="in use"):
        BrokerThread(tmp_path).start()
    assert set(threading.enumerate()) == before


def test_a_broker_that_could_not_start_may_start_later(tmp_path: Path) -> None:
    second = BrokerThread(tmp_path)
    with BrokerThread(tmp_path), pytest.raises(StoreError, match="in use"):
        second.start()
    with second:
        assert write_and_read(second.bootstrap_servers, "t", [b"1"]) == [b"1"]


def test_plain_asyncio_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no uvloop: large replies, a group, a restart."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    values = [b"%d" % number + bytes(500_000) for number in range(20)]
    with BrokerThread() as broker:
        assert type(broker._loop).__module__.startswith("asyncio.")
        assert write_and_read(broker.bootstrap_servers, "t", values) == values
        broker.restart()
        assert write_and_read(broker.bootstrap_servers, "u", [b"after"]) == [b"after"]


def test_two_brokers_side_by_side() -> None:
    with BrokerThread() as one, BrokerThread() as two:
        assert write_and_read(one.bootstrap_servers, "t", [b"1"]) == [b"1"]
        assert write_and_read(two.bootstrap_servers, "t", [b"2"]) == [b"2"]


def test_the_plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pytest run of its own, as a user's would be."""
    # It runs in another directory, where a relative PYTHONPATH leads nowhere.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    pytester.makepyfile(
        test_user="""
        import sys

        def test_nothing_is_loaded():
            assert "kstore.broker" not in sys.modules
            assert "kstore_server" not in sys.modules

        def test_a_broker(kstore):
            host, _, port = kstore.bootstrap_servers.partition(":")
            assert host == "127.0.0.1"
            assert int(port) > 0
        """
    )
    arguments = ["-q", "-p", "no:cacheprovider"]
    listed = pytester.runpytest_subprocess("--fixtures", *arguments).stdout.str()
    if "kstore.testing.plugin" not in listed and "A running broker" not in listed:
        arguments += ["-p", "kstore.testing.plugin"]  # not installed, only on the path
    pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=2)
