"""Intervals: each has what ended in it, a long run has as many as a short one, a pipe sees none."""

from __future__ import annotations

import os
import sys

import pytest

from kstore.cli.bench.broker_process import BrokerProcess
from kstore.cli.bench.live import LiveLine
from kstore.cli.bench.recorder import Interval, Recorder

MS = 1_000_000


def run(recorder: Recorder, seconds: float) -> None:
    """A request each ms that takes half of one, from a beginning at 5 s on."""
    start_ns = 5000 * MS
    recorder.begin(start_ns)
    for number in range(int(seconds * 1000)):
        now_ns = start_ns + number * MS
        recorder.turn(now_ns)
        recorder.done(now_ns, now_ns + MS // 2, 2, 10)
    recorder.end(start_ns + int(seconds * 1e9))


def test_an_interval_has_what_was_done_in_it() -> None:
    seen: list[Interval] = []
    recorder = Recorder(on_interval=seen.append)
    run(recorder, 1.0)
    assert seen == recorder.intervals
    assert [one.request_count for one in seen] == [100] * 10
    assert [one.record_count for one in seen] == [200] * 10
    assert [one.batch_size for one in seen] == [1000] * 10
    assert [(one.start_ns, one.end_ns) for one in seen] == [
        (number * 100 * MS, (number + 1) * 100 * MS) for number in range(10)
    ]


def test_a_short_end_is_part_of_the_interval_before() -> None:
    recorder = Recorder()
    run(recorder, 0.245)
    assert [one.request_count for one in recorder.intervals] == [100, 145]


def test_a_long_run_has_longer_intervals_that_lose_nothing() -> None:
    recorder = Recorder(process=BrokerProcess(os.getpid()))
    run(recorder, 61)
    assert 120 <= len(recorder.intervals) <= 240
    assert sum(one.request_count for one in recorder.intervals) == 61_000
    assert sum(one.latency.count for one in recorder.intervals) == 61_000
    ends = [one.end_ns for one in recorder.intervals]
    assert [one.start_ns for one in recorder.intervals] == [0, *ends[:-1]]
    costs = [one.cost.processor_s for one in recorder.intervals if one.cost]
    assert len(costs) == len(ends)
    assert costs == sorted(costs)


def test_what_was_to_be_sent_in_the_warm_up_does_not_count() -> None:
    recorder = Recorder()
    recorder.done(1 * MS, 2 * MS, 1, 1)
    recorder.begin(10 * MS)
    recorder.done(9 * MS, 11 * MS, 1, 1)
    recorder.done(10 * MS, 12 * MS, 1, 1)
    recorder.end(20 * MS)
    assert [one.request_count for one in recorder.intervals] == [1]


def test_a_terminal_sees_a_line_and_a_pipe_sees_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interval = Interval(0, 500 * MS, 1000, 1000, 10**6)
    interval.latency.record(3 * MS, 1000)
    with LiveLine("produce", 10) as line:
        line.show(interval)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda descriptor: os.terminal_size((60, 20)))
    with LiveLine("produce", 10) as line:
        line.show(interval)
    warm, shown, cleared = capsys.readouterr().err.split("\r\x1b[K")[1:]
    assert warm == "produce: warming up"
    assert shown == "produce  0.5/10 s  2,000 records/s  2.0 MB/s  p50 3.00 ms  p99 3.00 ms"[:59]
    assert cleared == ""
