"""Transactions as their readers see them: all of one or nothing, and as its producer was told.

Producers come and go, the log holds records back, partitions refuse markers, time passes and the
broker is restarted in between. Partitions are lists here: what was written to them, and markers.
"""

from __future__ import annotations

from collections.abc import Collection

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from kstore.coordinator.transaction_records import TopicPartition
from kstore.errors import ErrorCode
from kstore.runtime import Later
from kstore.transactions.shard import RETRY_MS
from kstore.transactions.values import PartitionErrors, ProducerIdAndEpoch, ProducerResult
from tests.unit.transactions.support import ABORT_INTERVAL_MS, TIMEOUT_MS, Producer, World

PARTITIONS = [("a", 0), ("a", 1), ("b", 0)]
REFUSALS = [ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.KAFKA_STORAGE_ERROR]
IDS = ["one", "two"]
NONE = ErrorCode.NONE


class Partition:
    """What a producer wrote and how it ended: by producer id, the open transaction's numbers."""

    def __init__(self) -> None:
        self.epochs: dict[int, int] = {}
        self.open: dict[int, list[int]] = {}
        self.outcomes: dict[int, bool] = {}

    def write(self, producer: ProducerIdAndEpoch, number: int) -> None:
        if producer.producer_epoch >= self.epochs.get(producer.producer_id, -1):
            self.epochs[producer.producer_id] = producer.producer_epoch
            self.open.setdefault(producer.producer_id, []).append(number)

    def mark(self, producer_id: int, epoch: int, commit: bool, version: int) -> ErrorCode:
        last = self.epochs.get(producer_id, -1)
        is_open = bool(self.open.get(producer_id))
        if epoch < last or (version >= 2 and epoch == last and is_open):
            return ErrorCode.INVALID_PRODUCER_EPOCH
        self.epochs[producer_id] = epoch
        for number in self.open.pop(producer_id, ()):
            self.outcomes[number] = commit
        return NONE


class Partitions:
    """`Markers` on lists; `refuse` is how many of the next markers are refused for a while."""

    def __init__(self) -> None:
        self.all = {key: Partition() for key in PARTITIONS}
        self.refuse = 0

    def write(
        self,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        commit: bool,
        transaction_version: int,
        partitions: Collection[TopicPartition],
    ) -> Later[PartitionErrors]:
        answers = {}
        for key in partitions:
            if self.refuse:
                self.refuse -= 1
                answers[key] = REFUSALS[self.refuse % len(REFUSALS)]
                continue
            answers[key] = self.all[key].mark(
                producer_id, producer_epoch, commit, transaction_version
            )
        return Later.of(answers)


class Process:
    """One of those that use a transactional id: asks one thing after the other."""

    def __init__(self, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self.producer: Producer | None = None
        self.transaction = 0
        self.waits = False


class Transactions(RuleBasedStateMachine):
    @initialize(version=st.sampled_from([0, 2]))
    def start(self, version: int) -> None:
        self.version = version
        self.world = World(version=version)
        self.partitions = Partitions()
        self.world.markers = self.partitions  # type: ignore[assignment]
        self.world.restart()
        self.processes = [Process(name) for name in IDS for _ in range(2)]
        self.told: dict[int, bool] = {}
        self.given: set[ProducerIdAndEpoch] = set()
        self.count = 0

    def _begin_anew(self, process: Process) -> None:
        self.count += 1
        process.transaction = self.count

    @rule(index=st.integers(0, 3), anew=st.sampled_from([True, False, False]))
    def init(self, index: int, anew: bool) -> None:
        process = self.processes[index]
        if process.waits or (process.producer is not None and not anew):
            return
        producer = Producer(self.world, process.transactional_id, version=self.version)

        def told(done: Later[ProducerResult]) -> None:
            process.waits = False
            if producer.take(done.result()) is NONE:
                assert producer.current not in self.given, f"{producer.current} twice"
                self.given.add(producer.current)
                process.producer = producer
                self._begin_anew(process)

        process.waits = True
        producer.init_later().then(told)

    @rule(index=st.integers(0, 3), keys=st.sets(st.sampled_from(PARTITIONS), min_size=1))
    def write(self, index: int, keys: set[TopicPartition]) -> None:
        process = self.processes[index]
        producer = process.producer
        if producer is None or process.waits:
            return

        def added(done: Later[PartitionErrors]) -> None:
            process.waits = False
            (error,) = set(done.result().values())
            if error is NONE:
                for key in keys:
                    self.partitions.all[key].write(producer.current, process.transaction)
            elif error is not ErrorCode.CONCURRENT_TRANSACTIONS:
                process.producer = None

        process.waits = True
        producer.add_later(*keys).then(added)

    @rule(
        index=st.integers(0, 3),
        keys=st.sets(st.sampled_from(PARTITIONS), min_size=1),
        commit=st.booleans(),
    )
    def write_and_end(self, index: int, keys: set[TopicPartition], commit: bool) -> None:
        self.write(index, keys)
        self.end(index, commit)

    @rule(index=st.integers(0, 3), commit=st.booleans())
    def end(self, index: int, commit: bool) -> None:
        process = self.processes[index]
        producer = process.producer
        if producer is None or process.waits:
            return

        def ended(done: Later[ProducerResult]) -> None:
            process.waits = False
            error = producer.take(done.result())
            if error is NONE:
                self.told[process.transaction] = commit
                self.given.add(producer.current)
                self._begin_anew(process)
            elif error not in (ErrorCode.CONCURRENT_TRANSACTIONS, ErrorCode.INVALID_TXN_STATE):
                process.producer = None

        process.waits = True
        producer.end_later(commit).then(ended)

    @rule()
    def hold(self) -> None:
        self.world.log.hold = True

    @rule(lost=st.booleans())
    def commit_held(self, lost: bool) -> None:
        """What was held back is stored, all or (a little) not."""
        if lost and self.world.log.held_count:
            self.world.log.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS)
        while self.world.log.held_count:
            self.world.log.commit_next()
        self.world.log.hold = False

    @rule(count=st.integers(1, 5))
    def refuse_markers(self, count: int) -> None:
        self.partitions.refuse = count

    @rule(ms=st.sampled_from([1, RETRY_MS, ABORT_INTERVAL_MS, TIMEOUT_MS]))
    def wait(self, ms: int) -> None:
        self.world.time.advance(ms)

    @rule()
    def restart(self) -> None:
        """What was held back may be in the log all the same; nobody was told."""
        self.world.restart()
        while self.world.log.held_count:
            self.world.log.fail_next(ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.commit_held(lost=False)
        self.partitions.refuse = 0
        self.world.restart()
        self.world.time.advance(TIMEOUT_MS + 2 * ABORT_INTERVAL_MS)
        assert not any(process.waits for process in self.processes)
        for name in IDS:
            assert self.world.state(name) in ("", "Empty", "CompleteCommit", "CompleteAbort")
        outcomes: dict[int, set[bool]] = {}
        for key, partition in self.partitions.all.items():
            assert not any(partition.open.values()), f"{key} is stuck"
            for number, commit in partition.outcomes.items():
                outcomes.setdefault(number, set()).add(commit)
        for number, seen in outcomes.items():
            assert len(seen) == 1, f"half of transaction {number} was committed"
            assert seen == {self.told.get(number, *seen)}, f"transaction {number} ended otherwise"


TestTransactions = Transactions.TestCase
TestTransactions.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
