"""Real clients of one topic under kills and pauses, and the history of what they told.

Producers and readers run as processes (queue_client). Faults are drawn from a seed: the broker or a
client is killed or paused for longer than clients wait. At the end all is read once more.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic
from tests.conformance.support.topic_reading import read_to_end, wait_until_stable
from tests.faults.talker import Talker
from tests.support.queue_history import COMMITTED, Ending, History

TOPIC = "judged"
PARTITION_COUNT = 3
ROLES = ("transactional", "transactional", "plain", "read_committed", "read_committed")
UNCOMMITTED = "read_uncommitted"
BETWEEN_FAULTS_S = 1.0
PAUSE_S = 2.5
"""Longer than clients wait for an answer."""
LISTEN_S = 0.02
DEADLINE_S = 120


class QueueRun:
    """One topic, its clients and their history."""

    def __init__(self, broker: BrokerProcess, directory: Path, seed: int) -> None:
        self.broker = broker
        self.history = History()
        self._choices = random.Random(seed)
        self._clients: list[Talker] = []
        for number, role in enumerate((*ROLES, UNCOMMITTED)):
            name = f"{role}-{number}"
            command = [sys.executable, "-m", "tests.faults.queue_client", role, name]
            command += [broker.bootstrap_servers, TOPIC, str(PARTITION_COUNT)]
            self._clients.append(Talker(name, command, directory / f"{name}.log"))

    def run(self, faults: list[str]) -> None:
        """Each fault once, in this order, with work between them; then the end of all clients."""
        create_topic(self.broker.bootstrap_servers, TOPIC, PARTITION_COUNT)
        try:
            for client in self._clients:
                client.start(self._choices.randrange(1 << 31))
            for fault in faults:
                self._work()
                print(f"{fault}; {self.summary()}")
                getattr(self, f"_{fault}")()
            self._work()
            for client in self._clients:
                for line in client.stop():
                    self._take(line)
        finally:
            for client in self._clients:
                client.close()
        self._read_all()

    def summary(self) -> str:
        sends = self.history.sends.values()
        endings = [one.ending for one in self.history.transactions.values()]
        counts = ", ".join(f"{endings.count(one)} {one.value}" for one in Ending)
        acknowledged = sum(sent.offset is not None for sent in sends)
        reads = sum(len(run.reads) for run in self.history.runs)
        return (
            f"{len(sends)} sent, {acknowledged} acknowledged; transactions: {counts}; {reads} read"
        )

    # Faults, by the names of these methods.

    def _kill_broker(self) -> None:
        self.broker.kill()
        self.broker.start()

    def _pause_broker(self) -> None:
        assert self.broker.process is not None
        self.broker.process.send_signal(signal.SIGSTOP)
        try:
            self._listen(PAUSE_S)
        finally:
            self.broker.process.send_signal(signal.SIGCONT)

    def _kill_client(self) -> None:
        self._start_again(self._choices.choice(self._clients))

    def _pause_client(self) -> None:
        client = self._choices.choice(self._clients)
        client.pause()
        self._listen(PAUSE_S)
        client.resume()

    def _start_again(self, client: Talker) -> None:
        client.kill()
        self._hear(client)
        client.start(self._choices.randrange(1 << 31))

    def _work(self) -> None:
        """For a while, and until a transaction was committed and something was read since."""
        committed, read = self._progress()
        self._listen(BETWEEN_FAULTS_S)
        deadline = time.monotonic() + DEADLINE_S
        while self._progress()[0] == committed or self._progress()[1] == read:
            assert time.monotonic() < deadline, f"nothing moves: {self.summary()}"
            self._listen(0.1)

    def _progress(self) -> tuple[int, int]:
        endings = [one.ending for one in self.history.transactions.values()]
        read = sum(len(run.reads) for run in self.history.runs if run.isolation == COMMITTED)
        return endings.count(Ending.COMMITTED), read

    def _listen(self, for_s: float) -> None:
        end = time.monotonic() + for_s
        while time.monotonic() < end:
            for client in self._clients:
                if not self._hear(client):
                    print(f"{client.name} ended by itself: {client.errors()[-300:]}")
                    self._start_again(client)
            time.sleep(LISTEN_S)

    def _hear(self, client: Talker) -> bool:
        lines, alive = client.lines()
        for line in lines:
            self._take(line)
        return alive

    def _take(self, line: str) -> None:
        """A line of a client: a method of the history's, and its arguments."""
        what, *rest = json.loads(line)
        if what == "end":
            rest[1] = Ending(rest[1])
        method: Callable[..., None] = getattr(self.history, what)
        method(*rest)

    def _read_all(self) -> None:
        bootstrap, partitions = self.broker.bootstrap_servers, range(PARTITION_COUNT)
        wait_until_stable(bootstrap, TOPIC, partitions)
        for isolation in (COMMITTED, UNCOMMITTED):
            found = read_to_end(bootstrap, TOPIC, partitions, isolation)
            self.history.begin_reading(f"last {isolation}", isolation)
            for partition, records in found.items():
                self.history.poll(
                    f"last {isolation}",
                    [(partition, offset, value.decode()) for offset, value in records],
                )
