"""Decide, append, replay: how a coordinator's state changes.

An event is decided by a plain function of the state, `decide(step)`. It fills in the `Step` what
the event leads to: records to be stored, replies to those who wait, and when to be woken. Then

1. the records are appended through the `CoordinatorLog` that the broker hands in,
2. once they are committed, each is replayed: only `replay` changes what is stored,
3. what else follows from the commit is decided (`committed`), and only then the replies leave.

If the append fails nothing is replayed, `failed` may undo what `decide` has prepared, and those
who were to get a reply are refused with the error that Kafka's coordinators would give.

Invariants: events of one key (a group, a transactional id) are decided one after the other, in
the order in which they came, and none while records of that key are under way; a waiter is
answered exactly once; `decide` and `replay` do no I/O and know time only through the step.
Every call is made on the loop.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from kstore.errors import ErrorCode, KafkaError
from kstore.log.producers import Verification
from kstore.log.records import EndTransactionMarker
from kstore.runtime import Later, Runtime, Timer

__all__ = [
    "CoordinatorLog",
    "CoordinatorRuntime",
    "InTransaction",
    "Step",
    "TransactionalLog",
    "Waiter",
    "coordinator_error",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Kafka's CoordinatorOperationExceptionHelper: errors of the log in the coordinator's words.
_ERRORS = {
    ErrorCode.NETWORK_EXCEPTION: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
}


def coordinator_error(error: BaseException) -> ErrorCode:
    """What a client of the coordinator is told when its log fails with `error`."""
    if isinstance(error, KafkaError):
        return _ERRORS.get(error.code, error.code)
    return ErrorCode.UNKNOWN_SERVER_ERROR


@dataclass(frozen=True, slots=True)
class InTransaction:
    """The producer of whose transaction records are part, and what the log asks for the first."""

    producer_id: int
    producer_epoch: int
    verification: Verification | None = None


class CoordinatorLog(Protocol):
    """Where a coordinator's records go; the broker's partition stands behind it."""

    def append(
        self,
        partition: int,
        records: list[tuple[bytes, bytes | None]],
        transaction: InTransaction | None = None,
    ) -> Later[int]:
        """Appends keys and values as one batch, maybe as part of a transaction.

        The `Later` is complete once they are committed (the high watermark has passed them), and
        fails with a `KafkaError`. Appends to one partition are committed in their order.
        """


class TransactionalLog(CoordinatorLog, Protocol):
    """The log of a coordinator whose records may be part of transactions."""

    def append_marker(
        self,
        partition: int,
        marker: EndTransactionMarker,
        producer_id: int,
        producer_epoch: int,
        transaction_version: int,
    ) -> Later[int]:
        """Ends a transaction; complete, or failed, as that of `append`."""


class Record(Protocol):
    """A record that knows its stored form."""

    def encode(self) -> tuple[bytes, bytes | None]:
        """Key and value; no value is a tombstone."""


R = TypeVar("R", bound=Record)


class Waiter(Later[T]):
    """A reply that somebody waits for, and what a refusal looks like to them."""

    __slots__ = ("_refusal",)

    def __init__(self, refusal: Callable[[ErrorCode], T]) -> None:
        super().__init__()
        self._refusal = refusal

    def refuse(self, error: ErrorCode) -> None:
        """Answers with `error`."""
        self.complete(self._refusal(error))


class Step(Generic[R]):
    """One step of a coordinator: when it happens, and what it leads to.

    `now_ms` is monotonic, for deadlines; `time_ms` is the wall clock, for what is stored.
    """

    __slots__ = (
        "committed",
        "failed",
        "now_ms",
        "records",
        "replies",
        "time_ms",
        "transaction",
        "wake_at_ms",
    )

    def __init__(self, now_ms: float, time_ms: int) -> None:
        self.now_ms = now_ms
        self.time_ms = time_ms
        self.records: list[R] = []
        self.replies: list[tuple[Waiter[Any], Any]] = []
        self.wake_at_ms = math.inf
        self.transaction: InTransaction | None = None
        """Of which all records of this step are part."""
        self.committed: list[Callable[[Step[R]], None]] = []
        self.failed: list[Callable[[Step[R], ErrorCode], None]] = []

    def append(
        self,
        record: R,
        committed: Callable[[Step[R]], None] | None = None,
        failed: Callable[[Step[R], ErrorCode], None] | None = None,
    ) -> None:
        """Stores `record`; then one of the two goes on, in a step of its own."""
        self.records.append(record)
        if committed is not None:
            self.committed.append(committed)
        if failed is not None:
            self.failed.append(failed)

    def reply(self, waiter: Waiter[T], value: T) -> None:
        """Answers `waiter` once this step's records are committed."""
        self.replies.append((waiter, value))

    def wake_by(self, deadline_ms: float) -> None:
        """Has the key woken at `deadline_ms` (monotonic) or before."""
        self.wake_at_ms = min(self.wake_at_ms, deadline_ms)

    def release(self) -> None:
        """Lets the replies leave."""
        for waiter, value in self.replies:
            waiter.complete(value)

    def refuse(self, error: ErrorCode) -> None:
        """Refuses those who were to get a reply."""
        for waiter, _ in self.replies:
            waiter.refuse(error)


class _Lane(Generic[R]):
    """The events of one key: those that wait, and the step whose records are under way."""

    __slots__ = ("appending", "draining", "events")

    def __init__(self) -> None:
        self.events: deque[tuple[Callable[[Step[R]], None], Waiter[Any] | None]] = deque()
        self.appending: Step[R] | None = None
        self.draining = False


class CoordinatorRuntime(Generic[R]):
    """Runs the events of one partition of a coordinator's topic.

    `replay(record)` applies a committed record; `wake(key, step)` decides what a deadline that
    has passed leads to.
    """

    def __init__(
        self,
        runtime: Runtime,
        log: CoordinatorLog,
        partition: int,
        replay: Callable[[R], None],
        wake: Callable[[str, Step[R]], None],
    ) -> None:
        self._runtime = runtime
        self._log = log
        self._partition = partition
        self._replay = replay
        self._wake = wake
        self._lanes: dict[str, _Lane[R]] = {}
        self._alarms: dict[str, tuple[float, Timer]] = {}
        self._closed: ErrorCode | None = None

    def run(
        self, key: str, decide: Callable[[Step[R]], None], waiter: Waiter[Any] | None = None
    ) -> None:
        """Decides an event of `key`, now or after those that came before it.

        `waiter` is whose event it is: refused if the event is never decided or its decision fails.
        """
        if self._closed is not None:
            if waiter is not None:
                waiter.refuse(self._closed)
            return
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        lane.events.append((decide, waiter))
        if not lane.draining:
            self._drain(key, lane)

    def close(self, error: ErrorCode) -> None:
        """Decides nothing more; all that wait, and all to come, are refused with `error`."""
        self._closed = error
        alarms, self._alarms = self._alarms, {}
        for _, timer in alarms.values():
            timer.cancel()
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            step, lane.appending = lane.appending, None
            if step is not None:
                step.refuse(error)
            while lane.events:
                waiter = lane.events.popleft()[1]
                if waiter is not None:
                    waiter.refuse(error)

    def _drain(self, key: str, lane: _Lane[R]) -> None:
        lane.draining = True
        try:
            while lane.events and lane.appending is None:
                self._decide(key, lane, *lane.events.popleft())
        finally:
            lane.draining = False
            if not lane.events and lane.appending is None:
                self._lanes.pop(key, None)

    def _decide(
        self,
        key: str,
        lane: _Lane[R],
        decide: Callable[[Step[R]], None],
        waiter: Waiter[Any] | None,
    ) -> None:
        step: Step[R] = Step(self._runtime.monotonic_ms(), self._runtime.time_ms())
        try:
            decide(step)
        except Exception:
            logger.exception("An event of %s could not be decided", key)
            step.refuse(ErrorCode.UNKNOWN_SERVER_ERROR)
            if waiter is not None and not waiter.done:
                waiter.refuse(ErrorCode.UNKNOWN_SERVER_ERROR)
            return
        self._finish(key, lane, step)

    def _finish(self, key: str, lane: _Lane[R], step: Step[R]) -> None:
        if step.wake_at_ms != math.inf:
            self._arm(key, step.wake_at_ms)
        if not step.records:
            step.release()
            return
        lane.appending = step
        try:
            records = [record.encode() for record in step.records]
            appending = self._log.append(self._partition, records, step.transaction)
        except Exception as error:  # whatever it is, the key must not wait for it for ever
            self._appended(key, lane, step, error)
            return
        appending.then(lambda appended: self._appended(key, lane, step, appended.error))

    def _appended(
        self, key: str, lane: _Lane[R], step: Step[R], error: BaseException | None
    ) -> None:
        if lane.appending is not step:
            return  # closed meanwhile: all were refused then
        lane.appending = None
        # What comes of this step is decided once the step is over.
        was_draining, lane.draining = lane.draining, True
        follow: Step[R] = Step(self._runtime.monotonic_ms(), self._runtime.time_ms())
        if error is None:
            try:
                for record in step.records:
                    self._replay(record)
                for committed in step.committed:
                    committed(follow)
            except Exception:
                logger.exception("Records of %s were stored but not taken over", key)
                step.refuse(ErrorCode.UNKNOWN_SERVER_ERROR)
            else:
                step.release()
        else:
            code = coordinator_error(error)
            logger.warning(
                "Records of %s could not be stored, answering %s: %r", key, code.name, error
            )
            for failed in step.failed:
                failed(follow, code)
            step.refuse(code)
        self._finish(key, lane, follow)
        lane.draining = was_draining
        if not was_draining:
            self._drain(key, lane)

    def _arm(self, key: str, deadline_ms: float) -> None:
        alarm = self._alarms.get(key)
        if alarm is not None:
            if alarm[0] <= deadline_ms:
                return
            alarm[1].cancel()
        # Whole milliseconds, rounded up: a timer that fires early would only be set again.
        delay_ms = math.ceil(deadline_ms - self._runtime.monotonic_ms())
        timer = self._runtime.call_later(max(delay_ms, 0), self._ring, key)
        self._alarms[key] = (deadline_ms, timer)

    def _ring(self, key: str) -> None:
        del self._alarms[key]
        self.run(key, lambda step: self._wake(key, step))
