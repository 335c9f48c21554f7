"""What is due when: a fixed schedule does not wait for anybody, a closed loop ends in time."""

from __future__ import annotations

from kstore.cli.bench.recorder import Recorder
from kstore.cli.bench.schedule import Schedule
from kstore.cli.bench.workloads import Load

MS = 1_000_000
START = 7_000 * MS


def all_due(schedule: Schedule, now_ns: int) -> list[tuple[int, int]]:
    schedule.turn(now_ns)
    found = []
    while (due := schedule.due(now_ns)) is not None and len(found) < 10_000:
        found.append(due)
    return found


def test_a_pause_moves_no_request_of_a_fixed_schedule() -> None:
    load = Load(rate=1000.0, duration_s=0.05, warmup_s=0.0)
    schedule = Schedule(load, 10, Recorder())
    schedule.start(START)
    assert all_due(schedule, START) == [(START, 10)]
    assert schedule.next_ns == START + 10 * MS
    # Nothing is asked for until long after the end: all is still due when it was meant to be.
    late = all_due(schedule, START + 9000 * MS)
    assert late == [(START + number * 10 * MS, 10) for number in range(1, 5)]
    assert schedule.is_over(START + 9000 * MS)


def test_latency_is_counted_from_the_intended_time() -> None:
    recorder = Recorder()
    schedule = Schedule(Load(rate=1000.0, duration_s=0.01, warmup_s=0.0), 1, recorder)
    schedule.start(START)
    for intended_ns, count in all_due(schedule, START + 100 * MS):
        recorder.done(intended_ns, START + 101 * MS, count, 70)
    recorder.end(START + 101 * MS)
    (interval,) = recorder.intervals
    assert interval.request_count == interval.record_count == 10
    assert interval.latency.max == 101 * MS
    assert interval.latency.percentile(1) > 91 * MS


def test_the_warm_up_is_not_counted() -> None:
    recorder = Recorder()
    schedule = Schedule(Load(rate=1000.0, duration_s=0.01, warmup_s=0.02), 1, recorder)
    schedule.start(START)
    for now_ns in range(START, START + 40 * MS, MS):
        for intended_ns, count in all_due(schedule, now_ns):
            recorder.done(intended_ns, now_ns, count, 70)
    recorder.end(START + 40 * MS)
    assert [one.record_count for one in recorder.intervals] == [10]


def test_a_number_of_records_is_sent_exactly() -> None:
    schedule = Schedule(Load(num_records=25, warmup_s=0.0), 10, Recorder())
    schedule.start(START)
    assert [count for _, count in all_due(schedule, START)] == [10, 10, 5]
    assert schedule.is_over(START)


def test_a_closed_loop_is_over_when_its_time_is() -> None:
    schedule = Schedule(Load(duration_s=1.0, warmup_s=0.5), 1, Recorder())
    schedule.start(START)
    schedule.turn(START + 1499 * MS)
    assert schedule.due(START + 1499 * MS) == (START + 1499 * MS, 1)
    assert schedule.due(START + 1500 * MS) is None
    assert schedule.is_over(START + 1500 * MS)
