"""What Kafka's performance tools print, as 4.3.1 prints it, and what we read from it."""

from __future__ import annotations

import pytest

from bench.compare.kafka_tools import parse_consumed, parse_latency, parse_produced

PRODUCED = """\
182751 records sent, 36550.2 records/sec (35.69 MB/sec), 900.1 ms avg latency, 1310.0 ms max \
latency.
300000 records sent, 56480.000000 records/sec (55.16 MB/sec), 744.80 ms avg latency, 1433.00 ms \
max latency, 801 ms 50th, 1309 ms 95th, 1408 ms 99th, 1426 ms 99.9th.
"""
CONSUMED = """\
start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec
2026-11-22 18:59:01:100, 2026-11-22 18:59:05:200, 292.9688, 71.4558, 300000, 73170.7317, \
3300, 800, 366.2109, 375000.0000
"""
LATENCY = "0\t3.5\nAvg latency: 1.0660 ms\n\nPercentiles: 50th = 0, 99th = 8, 99.9th = 21\n"


def test_the_summary_of_a_producer_is_read_not_its_progress() -> None:
    assert parse_produced(PRODUCED) == {
        "producer_mb_per_s": 55.16,
        "producer_average_ms": 744.80,
        "producer_p99_ms": 1408.0,
    }


def test_the_time_to_join_is_no_part_of_a_consumer() -> None:
    assert parse_consumed(CONSUMED) == {"consumer_mb_per_s": 366.2109}


def test_latency() -> None:
    assert parse_latency(LATENCY) == {"e2e_average_ms": 1.066, "e2e_p99_ms": 8.0}


@pytest.mark.parametrize("parse", [parse_produced, parse_consumed, parse_latency])
def test_other_words_are_an_error_that_shows_them(parse) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RuntimeError, match="nothing of use"):
        parse("nothing of use")
