"""The manual runtime keeps the order of real time."""

from __future__ import annotations

import pytest

from kstore.errors import ErrorCode, KafkaError
from kstore.testing.manual import ManualLog, ManualRuntime


def test_timers_fire_in_order_each_at_its_own_time() -> None:
    runtime = ManualRuntime(start_ms=1_000)
    fired: list[tuple[str, int]] = []

    def note(name: str) -> None:
        fired.append((name, runtime.time_ms()))

    runtime.call_later(30, note, "c")
    runtime.call_later(10, note, "a")
    runtime.call_later(10, note, "b")
    runtime.call_later(10, lambda: runtime.call_later(5, note, "from a timer"))
    cancelled = runtime.call_later(20, note, "never")
    cancelled.cancel()
    runtime.advance(29)
    assert fired == [("a", 1_010), ("b", 1_010), ("from a timer", 1_015)]
    assert runtime.time_ms() == 1_029
    runtime.advance(1)
    assert fired[-1] == ("c", 1_030)
    assert runtime.timer_count == 0


def test_workers_and_soon_run_on_demand() -> None:
    runtime = ManualRuntime()
    seen: list[str] = []
    first = runtime.run_in_worker(lambda: "done")
    failing = runtime.run_in_worker(lambda: 1 // 0)
    first.then(lambda later: runtime.call_soon(seen.append, later.result()))
    assert not first.done
    assert runtime.run_workers(1) == 1
    assert seen == ["done"]
    assert runtime.work_count == 1
    runtime.run_workers()
    assert isinstance(failing.error, ZeroDivisionError)
    assert runtime.run_workers() == 0


def test_soon_runs_before_time_passes() -> None:
    runtime = ManualRuntime()
    seen: list[str] = []
    runtime.call_later(0, seen.append, "timer")
    runtime.call_soon(seen.append, "soon")
    runtime.advance(0)
    assert seen == ["soon", "timer"]


def test_a_log_commits_when_told() -> None:
    log = ManualLog()
    assert log.append(3, [(b"k", b"v")]).result() == 1
    log.hold = True
    committed = log.append(3, [(b"k", None)])
    refused = log.append(3, [(b"never", b"there")])
    assert (committed.done, log.held_count) == (False, 2)
    log.commit_next()
    log.fail_next(ErrorCode.NOT_ENOUGH_REPLICAS)
    assert committed.result() == 2
    with pytest.raises(KafkaError) as raised:
        refused.result()
    assert raised.value.code is ErrorCode.NOT_ENOUGH_REPLICAS
    assert log.records == {3: [(b"k", b"v"), (b"k", None)]}
    log.hold = False
    log.fail_with = ErrorCode.KAFKA_STORAGE_ERROR
    assert log.append(0, []).error is not None
