"""The decide, append, replay runtime: order, failures, timers, closing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from kstore.coordinator.runtime import CoordinatorRuntime, Step, Waiter, coordinator_error
from kstore.errors import ErrorCode, KafkaError
from kstore.runtime import Later
from kstore.testing.manual import ManualLog, ManualRuntime


@dataclass(frozen=True)
class Note:
    """A record of these tests."""

    text: str

    def encode(self) -> tuple[bytes, bytes | None]:
        if "unspeakable" in self.text:
            raise ValueError("can't be encoded")
        return self.text.encode(), None


class Fixture:
    def __init__(self) -> None:
        self.time = ManualRuntime()
        self.log = ManualLog()
        self.replayed: list[str] = []
        self.woken: list[tuple[str, float]] = []
        self.runtime: CoordinatorRuntime[Note] = CoordinatorRuntime(
            self.time, self.log, 7, lambda note: self.replayed.append(note.text), self.wake
        )

    def wake(self, key: str, step: Step[Note]) -> None:
        self.woken.append((key, step.now_ms))

    def write(self, key: str, text: str) -> Waiter[str]:
        """An event that stores `text` and answers with it."""
        waiter = Waiter(lambda error: error.name)

        def decide(step: Step[Note]) -> None:
            step.append(Note(text))
            step.reply(waiter, text)

        self.runtime.run(key, decide, waiter)
        return waiter

    def ask(self, key: str, answer: Callable[[], str]) -> Waiter[str]:
        """An event that stores nothing."""
        waiter = Waiter(lambda error: error.name)
        self.runtime.run(key, lambda step: step.reply(waiter, answer()), waiter)
        return waiter


@pytest.fixture
def fixture() -> Fixture:
    return Fixture()


def test_a_reply_leaves_after_the_commit_and_the_replay(fixture: Fixture) -> None:
    fixture.log.hold = True
    waiter = fixture.write("g", "one")
    assert not waiter.done
    assert fixture.replayed == []
    fixture.log.commit_next()
    assert waiter.result() == "one"
    assert fixture.replayed == ["one"]
    assert fixture.log.records == {7: [(b"one", None)]}


def test_events_of_a_key_wait_for_its_append_and_others_do_not(fixture: Fixture) -> None:
    fixture.log.hold = True
    first = fixture.write("g", "one")
    after = fixture.ask("g", lambda: ",".join(fixture.replayed))
    last = fixture.write("g", "two")
    other = fixture.ask("h", lambda: "free")
    assert other.result() == "free"
    assert not after.done
    fixture.log.commit_next()
    assert (first.result(), after.result(), last.done) == ("one", "one", False)
    fixture.log.commit_next()
    assert last.result() == "two"


def test_a_thousand_waiting_events_need_no_deep_stack(fixture: Fixture) -> None:
    fixture.log.hold = True
    fixture.write("g", "first")
    waiters = [fixture.write("g", str(number)) for number in range(1_000)]
    fixture.log.hold = False
    fixture.log.commit_next()
    assert [waiter.result() for waiter in waiters] == [str(number) for number in range(1_000)]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ErrorCode.REQUEST_TIMED_OUT, ErrorCode.COORDINATOR_NOT_AVAILABLE),
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_COORDINATOR),
        (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.UNKNOWN_SERVER_ERROR),
        (ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.INVALID_PRODUCER_EPOCH),
    ],
)
def test_a_failed_append_replays_nothing_and_refuses(
    fixture: Fixture, code: ErrorCode, told: ErrorCode
) -> None:
    fixture.log.hold = True
    waiter = fixture.write("g", "lost")
    fixture.log.fail_next(code)
    assert waiter.result() == told.name
    assert fixture.replayed == []
    assert coordinator_error(KafkaError(code)) is told
    assert coordinator_error(OSError()) is ErrorCode.UNKNOWN_SERVER_ERROR
    fixture.log.hold = False
    assert fixture.write("g", "kept").result() == "kept"


def test_what_follows_a_commit_or_a_failure_is_a_step_of_its_own(fixture: Fixture) -> None:
    order: list[str] = []

    def committed(step: Step[Note]) -> None:
        order.append("committed")
        step.append(Note("second"), committed=lambda _: order.append("second committed"))

    def failed(step: Step[Note], error: ErrorCode) -> None:
        order.append(error.name)

    fixture.runtime.run("g", lambda step: step.append(Note("first"), committed, failed))
    assert fixture.replayed == ["first", "second"]
    fixture.log.fail_with = ErrorCode.KAFKA_STORAGE_ERROR
    fixture.runtime.run("g", lambda step: step.append(Note("third"), committed, failed))
    assert order == ["committed", "second committed", "NOT_COORDINATOR"]
    assert fixture.replayed == ["first", "second"]


def test_a_decision_that_breaks_refuses_its_own_event_only(
    fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    waiter = Waiter(lambda error: error.name)

    def decide(step: Step[Note]) -> None:
        step.append(Note("never stored"))
        raise LookupError("a fault of ours")

    with caplog.at_level(logging.ERROR):
        fixture.runtime.run("g", decide, waiter)
    assert waiter.result() == "UNKNOWN_SERVER_ERROR"
    assert "a fault of ours" in caplog.text
    assert fixture.replayed == []
    assert fixture.ask("g", lambda: "alive").result() == "alive"


def test_a_record_that_cannot_be_encoded_is_a_failed_append(fixture: Fixture) -> None:
    assert fixture.write("g", "unspeakable").result() == "UNKNOWN_SERVER_ERROR"
    assert fixture.replayed == []
    assert fixture.ask("g", lambda: "alive").result() == "alive"


def test_a_reply_that_leads_to_an_event_is_heard_after_the_rest(fixture: Fixture) -> None:
    order: list[str] = []
    first, second = (Waiter[str](lambda error: error.name) for _ in range(2))

    def send_another(_: Later[str]) -> None:
        fixture.runtime.run("g", lambda step: order.append("event"))

    first.then(send_another)
    second.then(lambda _: order.append("second reply"))

    def decide(step: Step[Note]) -> None:
        step.reply(first, "1")
        step.reply(second, "2")

    fixture.runtime.run("g", decide)
    assert order == ["second reply", "event"]


def test_one_timer_per_key_set_again_only_for_an_earlier_deadline(fixture: Fixture) -> None:
    start = fixture.time.monotonic_ms()

    def wake_in(ms: float) -> None:
        fixture.runtime.run("g", lambda step: step.wake_by(step.now_ms + ms))

    wake_in(100)
    wake_in(500)
    assert fixture.time.timer_count == 1
    wake_in(20)
    assert fixture.time.timer_count == 1
    fixture.time.advance(19)
    assert fixture.woken == []
    fixture.time.advance(1_000)
    assert fixture.woken == [("g", start + 20)]
    assert fixture.time.timer_count == 0


def test_waking_waits_for_the_append_of_its_key(fixture: Fixture) -> None:
    fixture.runtime.run("g", lambda step: step.wake_by(step.now_ms + 10))
    fixture.log.hold = True
    fixture.write("g", "slow")
    fixture.time.advance(50)
    assert fixture.woken == []
    fixture.log.commit_next()
    assert [key for key, _ in fixture.woken] == ["g"]


def test_closing_refuses_all_and_stops_the_timers(fixture: Fixture) -> None:
    fixture.runtime.run("g", lambda step: step.wake_by(step.now_ms + 10))
    fixture.log.hold = True
    appending = fixture.write("g", "under way")
    waiting = fixture.ask("g", lambda: "never")
    fixture.runtime.run("g", lambda step: step.wake_by(0))
    fixture.runtime.close(ErrorCode.NOT_COORDINATOR)
    late = fixture.ask("g", lambda: "never")
    assert {w.result() for w in (appending, waiting, late)} == {"NOT_COORDINATOR"}
    fixture.log.commit_next()  # too late: nobody listens
    fixture.time.advance(100)
    assert (fixture.replayed, fixture.woken, fixture.time.timer_count) == ([], [], 0)
    fixture.runtime.run("g", lambda step: step.wake_by(0))


def test_a_fault_of_the_log_refuses_one_event_and_holds_up_none(fixture: Fixture) -> None:
    append = fixture.log.append

    def raises(partition: int, records: list[tuple[bytes, bytes | None]]) -> Later[int]:
        raise OverflowError("a batch that can't be built")

    fixture.log.append = raises  # type: ignore[method-assign]
    assert fixture.write("g", "one").result() == "UNKNOWN_SERVER_ERROR"
    fixture.log.append = append  # type: ignore[method-assign]
    assert fixture.write("g", "two").result() == "two"


def test_a_fault_in_the_replay_refuses_one_event_and_holds_up_none(
    fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    def replay(note: Note) -> None:
        if note.text == "one":
            raise KeyError(note.text)

    fixture.runtime._replay = replay
    assert fixture.write("g", "one").result() == "UNKNOWN_SERVER_ERROR"
    assert fixture.write("g", "two").result() == "two"
    assert "not taken over" in caplog.text


def test_an_event_that_a_commit_leads_to_waits_until_its_step_is_over(fixture: Fixture) -> None:
    """And those that the replies lead to come after it, one append at a time."""
    fixture.log.hold = True
    seen: list[str] = []

    def led_to(text: str) -> Callable[[Step[Note]], None]:
        def decide(step: Step[Note]) -> None:
            seen.append(f"{text} decided, {fixture.log.held_count} held")
            step.append(Note(text))

        return decide

    waiter: Waiter[str] = Waiter(lambda error: error.name)

    def decide(step: Step[Note]) -> None:
        step.append(Note("first"), lambda _: fixture.runtime.run("g", led_to("by commit")))
        step.reply(waiter, "done")

    def told(_: Later[str]) -> None:
        seen.append("told")
        fixture.runtime.run("g", led_to("by reply"))
        fixture.runtime.run("g", led_to("by reply too"))

    waiter.then(told)
    fixture.runtime.run("g", decide, waiter)
    for _ in range(4):
        assert fixture.log.held_count == 1
        fixture.log.commit_next()
    assert seen == [
        "told",
        "by commit decided, 0 held",
        "by reply decided, 0 held",
        "by reply too decided, 0 held",
    ]
    assert fixture.replayed == ["first", "by commit", "by reply", "by reply too"]
