"""A worker of Kafka Connect in distributed mode, with exactly-once sources, and its REST."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.conformance.judges.kafka import free_ports, java_command
from tests.conformance.support.java_process import JavaProcess

READY_S = 120
POLL_S = 0.2
NOT_YET = (404, 409, 503)
"""Answers of a worker that starts, or is in the middle of a rebalance."""
# A start of the worker again must not wait for those who will never come back.
SETTINGS: dict[str, object] = {
    "group.id": "workers",
    "config.storage.topic": "connect-configs",
    "offset.storage.topic": "connect-offsets",
    "status.storage.topic": "connect-status",
    "config.storage.replication.factor": 1,
    "offset.storage.replication.factor": 1,
    "status.storage.replication.factor": 1,
    "offset.storage.partitions": 1,
    "status.storage.partitions": 1,
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    "exactly.once.source.support": "enabled",
    "consumer.isolation.level": "read_committed",
    "plugin.discovery": "service_load",
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 500,
    "scheduled.rebalance.max.delay.ms": 0,
    "offset.flush.interval.ms": 500,
    "reconnect.backoff.max.ms": 200,
}


class Worker:
    """One worker, as often as it is started, under one address."""

    def __init__(self, bootstrap_servers: str, directory: Path) -> None:
        (directory / "plugins").mkdir(parents=True)
        (port,) = free_ports(1)
        self._address = f"http://127.0.0.1:{port}"
        settings = {
            **SETTINGS,
            "bootstrap.servers": bootstrap_servers,
            "listeners": self._address,
            "plugin.path": directory / "plugins",
        }
        properties = directory / "worker.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        command = [*java_command("connect-distributed"), str(properties)]
        self._process = JavaProcess(command, directory / "worker.log")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> Self:
        self._process.start()
        return self

    def kill(self) -> None:
        self._process.kill()

    def stop(self) -> None:
        self._process.stop()

    def output(self) -> str:
        return self._process.output()

    def put_connector(self, name: str, **config: object) -> None:
        """Creates the connector, or changes it; waits until the worker takes orders."""
        body = json.dumps({key.replace("_", "."): str(value) for key, value in config.items()})
        deadline = time.monotonic() + READY_S
        while True:
            self.assert_alive()
            try:
                self._ask("PUT", f"/connectors/{name}/config", body)
            except urllib.error.HTTPError as error:
                said = f"{error.code}: {error.read().decode(errors='replace')}"
                if error.code not in NOT_YET:
                    raise AssertionError(said) from error
            except OSError as error:
                said = str(error)
            else:
                return
            assert time.monotonic() < deadline, f"{said}\n{self.output()[-4000:]}"
            time.sleep(POLL_S)

    def assert_alive(self) -> None:
        self._process.assert_alive()

    def _ask(self, method: str, path: str, body: str) -> Any:
        request = urllib.request.Request(
            self._address + path,
            body.encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)
