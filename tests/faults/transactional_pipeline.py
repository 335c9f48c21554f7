"""A transactional pipeline whose processes and broker are killed in the middle of transactions.

Numbers go into one topic; instances of a pipeline carry them to another, each once. The instances
say where they are (tests/faults/pipelines), and a kill comes when one says that it is inside a
transaction. It counts if the instance then had not heard of that transaction's end.
"""

from __future__ import annotations

import random
import selectors
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.judges import kafka
from tests.conformance.support.batches import now_ms
from tests.conformance.support.broker import BrokerProcess
from tests.conformance.support.clients import create_topic, write_confluent
from tests.conformance.support.topic_reading import (
    committed_offsets,
    read_to_end,
    wait_until_stable,
)
from tests.conformance.support.workload import Sent
from tests.faults.talker import Talker

INPUT, OUTPUT, GROUP = "numbers", "moved", "movers"
INSIDE = ("open", "ending")
"""What an instance says inside a transaction."""
ENDS = ("committed", "aborted", "given-up")
TARGETS = ("instance", "broker", "both")
ASK_EVERY_S = 3
SILENCE_S = 20
"""An instance that says nothing for so long, while there is work, is killed and started again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run does; a failure prints it."""

    client: str
    record_count: int
    kill_count: int
    transaction_count: int = 100
    """Records of a transaction, at most."""
    partition_count: int = 4
    instance_count: int = 2
    deadline_s: float = 1500


def pipeline_command(client: str) -> list[str]:
    """The program of the pipeline with this client, without its words."""
    if client == "java":
        return kafka.program_command("Pipeline")
    return [sys.executable, "-m", f"tests.faults.pipelines.through_{client}"]


class Instance(Talker):
    """One process of the pipeline."""

    def __init__(self, name: str, command: Sequence[str], log_file: Path) -> None:
        super().__init__(name, command, log_file)
        self.inside = ""
        """The transaction that it is in, as far as it has said."""
        self.spoke_s = 0.0

    def start(self, *words: object) -> None:
        super().start(*words)
        self.inside = ""
        self.spoke_s = time.monotonic()


class PipelineRun:
    """Runs a plan and checks what came of it."""

    def __init__(self, broker: BrokerProcess, plan: Plan, seed: int) -> None:
        self.broker = broker
        self.plan = plan
        self._choices = random.Random(seed)
        self._thresholds = [
            plan.record_count * number // (plan.kill_count + 1)
            for number in range(plan.kill_count, 0, -1)
        ]
        self._committed: Counter[str] = Counter()
        self._aborted: Counter[str] = Counter()
        """Records of each transaction of which an instance was told that it ended so."""
        self.starts = 0
        self._asked_s = time.monotonic()
        command = [*pipeline_command(plan.client), broker.bootstrap_servers]
        command += [INPUT, OUTPUT, GROUP]
        self._instances = []
        for number in range(plan.instance_count):
            name = f"{plan.client}-{number}-{plan.instance_count}"
            words = [*command, name, str(plan.transaction_count)]
            log_file = broker.directory / f"instance-{number}.log"
            self._instances.append(Instance(name, words, log_file))

    def run(self) -> None:
        """Moves all records with all kills, stops the instances and checks both topics."""
        plan = self.plan
        bootstrap = self.broker.bootstrap_servers
        create_topic(bootstrap, INPUT, plan.partition_count)
        create_topic(bootstrap, OUTPUT, plan.partition_count)
        write_confluent(bootstrap, INPUT, numbers(plan), "none")
        with selectors.DefaultSelector() as selector:
            self._selector = selector
            try:
                for instance in self._instances:
                    self._start(instance)
                self._drive()
            finally:
                for instance in self._instances:
                    instance.close()
        self._check()

    def _drive(self) -> None:
        deadline = time.monotonic() + self.plan.deadline_s
        while not self._is_done():
            assert time.monotonic() < deadline, self._progress()
            assert self.starts < 20 + 10 * self.plan.kill_count, self._progress()
            for key, _ in self._selector.select(1):
                self._listen(key.data)
            for instance in self._instances:
                if time.monotonic() - instance.spoke_s > SILENCE_S:
                    print(f"{instance.name} said nothing for {SILENCE_S} s")
                    self._restart(instance)
        assert not self._thresholds, f"{len(self._thresholds)} kills never came"
        for instance in self._instances:
            self._selector.unregister(instance.stdout)
            instance.stop()

    def _is_done(self) -> bool:
        """Whether the group is past all records. Not every commit was told of."""
        count, now = self.plan.record_count, time.monotonic()
        if self._committed.total() < count and now - self._asked_s < ASK_EVERY_S:
            return False
        self._asked_s = now
        bootstrap = self.broker.bootstrap_servers
        return sum(committed_offsets(bootstrap, GROUP, INPUT, self._partitions)) == count

    @property
    def _partitions(self) -> range:
        return range(self.plan.partition_count)

    def _start(self, instance: Instance) -> None:
        self.starts += 1
        instance.start(self._choices.randrange(1 << 31))
        self._selector.register(instance.stdout, selectors.EVENT_READ, instance)

    def _restart(self, instance: Instance) -> None:
        self._selector.unregister(instance.stdout)
        instance.kill()
        self._take(instance)
        self._start(instance)

    def _listen(self, instance: Instance) -> None:
        said, alive = self._take(instance)
        if not alive:
            print(f"{instance.name} ended by itself: {instance.errors()[-300:]}")
            self._restart(instance)
        elif said in INSIDE and self._is_due():
            self._kill(instance)

    def _is_due(self) -> bool:
        return bool(self._thresholds) and self._committed.total() >= self._thresholds[-1]

    def _take(self, instance: Instance) -> tuple[str, bool]:
        """Takes in what it said; gives the first word of the last line."""
        said, alive = instance.lines()
        last = ""
        for line in said:
            last, *rest = line.split()
            instance.spoke_s = time.monotonic()
            if last in INSIDE:
                instance.inside = rest[0]
            elif last in ENDS:
                instance.inside = ""
            if last == "committed":
                self._committed[rest[0]] = int(rest[1])
            elif last == "aborted":
                self._aborted[rest[0]] = int(rest[1])
            elif last in ("note", "given-up"):
                print(instance.name, last, *rest)
        return last, alive

    def _kill(self, instance: Instance) -> None:
        """A kill in the middle of this instance's transaction, if it is still in it."""
        target = TARGETS[len(self._thresholds) % len(TARGETS)]
        if target in ("broker", "both"):
            self.broker.kill()
        if target in ("instance", "both"):
            self._selector.unregister(instance.stdout)
            instance.kill()
        self._take(instance)
        inside = instance.inside
        print(f"kill of {target} at {self._committed.total()}, inside {inside or 'nothing'}")
        if inside:
            self._thresholds.pop()
        if target in ("broker", "both"):
            self.broker.start()
        if target in ("instance", "both"):
            self._start(instance)

    def _check(self) -> None:
        plan, bootstrap = self.plan, self.broker.bootstrap_servers
        wait_until_stable(bootstrap, OUTPUT, self._partitions)
        committed = read_to_end(bootstrap, OUTPUT, self._partitions, "read_committed")
        everything = read_to_end(bootstrap, OUTPUT, self._partitions, "read_uncommitted")
        expected = {partition: [] for partition in self._partitions}
        for record in numbers(plan):
            expected[record.partition].append(record.value)
        for partition in self._partitions:
            moved = [value.split()[0] for _, value in committed[partition]]
            assert moved == expected[partition], _difference(moved, expected[partition])
            assert set(committed[partition]) <= set(everything[partition])
        values = [value.split() for part in committed.values() for _, value in part]
        assert {plan for _, _, plan in values} == {b"commit"}
        for told, where in ((self._committed, committed), (self._aborted, everything)):
            there = Counter(v.split()[1].decode() for part in where.values() for _, v in part)
            wrong = {name: (n, there[name]) for name, n in told.items() if n != there[name]}
            assert not wrong, f"records of a transaction, said and found: {wrong}"
        share = len(self._aborted) / (len(self._aborted) + len(self._committed))
        print(f"{self._progress()}; {share:.0%} aborted on purpose")
        assert 0.1 < share < 0.35
        ends = [len(expected[partition]) for partition in self._partitions]
        assert committed_offsets(bootstrap, GROUP, INPUT, self._partitions) == ends

    def _progress(self) -> str:
        return (
            f"{self._committed.total()} of {self.plan.record_count} records, {self.starts} starts, "
            f"{len(self._thresholds)} kills to come; "
            f"{len(self._committed)} transactions committed, {len(self._aborted)} aborted"
        )


def numbers(plan: Plan) -> list[Sent]:
    """What goes in: each partition has its numbers in order. Old ones would soon be deleted."""
    return [
        Sent(number % plan.partition_count, None, b"%d" % number, (), now_ms())
        for number in range(plan.record_count)
    ]


def _difference(found: list[bytes], expected: list[bytes]) -> str:
    counts = Counter(found)
    lost = [value for value in expected if value not in counts]
    double = [value for value, count in counts.items() if count > 1]
    if lost or double:
        return f"{len(lost)} lost: {lost[:5]}; {len(double)} more than once: {double[:5]}"
    return "every number is there once, in another order"
