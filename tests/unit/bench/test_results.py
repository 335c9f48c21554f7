"""Medians, ratios, the file of a case, and whether a target is met."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.compare import report
from bench.compare.results import Result, Round, path_of, read, read_all
from bench.compare.targets import Target


def a_result(case: str = "sync-1", **rounds: list[float]) -> Result:
    run = {"commit": "c0ffee", "machine": "2 cores", "python": "3", "rounds": 3, "scale": 1}
    return Result(
        case,
        f"title of {case}",
        {**run, "warm_up_s": 60, "seconds": 90},
        dict.fromkeys(rounds, "1.0"),
        rounds={
            name: [Round({"p50_us": value, "gb_per_s": value}) for value in values]
            for name, values in rounds.items()
        },
    )


def test_a_ratio_is_the_median_of_the_ratios_within_rounds() -> None:
    """Both brokers ten times slower in one round: no change of the ratio, though of the medians."""
    result = a_result(kstore=[10, 100, 11], kafka=[40, 400, 55])
    assert result.median("kstore", "p50_us") == 11
    assert result.ratio("kstore", "p50_us", "kafka") == 0.25


def test_what_was_not_measured_has_no_figure() -> None:
    result = a_result(kstore=[10], kafka=[0])
    assert result.median("tansu", "p50_us") is None
    assert result.ratio("kstore", "p50_us", "tansu") is None
    assert result.ratio("kstore", "p50_us", "kafka") is None
    assert result.median("kstore", "p99_us") is None


def test_a_ratio_of_two_metrics_of_one_broker() -> None:
    result = Result("codecs", "", {}, {}, rounds={"kstore": [Round({"lz4": 3, "none": 4})]})
    assert result.ratio("kstore", "lz4", "kstore", "none") == 0.75


def test_a_distribution_is_the_median_at_each_share() -> None:
    result = a_result()
    result.rounds["kafka"] = [Round({}, [[0.5, us], [0.99, us * 2]]) for us in (7.0, 1.0, 3.0)]
    assert result.quantiles("kafka") == [(0.5, 3.0), (0.99, 6.0)]


def test_a_file_reads_as_it_was_written(tmp_path: Path) -> None:
    result = a_result(kstore=[1.5, 2.5], kafka=[3.0])
    result.left_out = {"crabka": "yanked"}
    result.rounds["kstore"][0].quantiles = [[0.5, 1.25]]
    assert result.write(tmp_path) == path_of(tmp_path, "sync-1")
    assert read(path_of(tmp_path, "sync-1")) == result
    assert list(read_all(tmp_path)) == ["sync-1"]
    assert [path.name for path in tmp_path.iterdir()] == ["compare-sync-1.json"]


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("sync-1", "p50_us", at_most=10), True),
        (Target("sync-1", "p50_us", at_most=9.9), False),
        (Target("sync-1", "p50_us", "kafka", at_most=1 / 4), True),
        (Target("sync-1", "p50_us", "kafka", at_most=1 / 5), False),
        (Target("sync-1", "gb_per_s", "kafka", at_least=0.25), True),
        (Target("sync-1", "gb_per_s", "kafka", at_least=0.3), False),
        (Target("sync-1", "p50_us", "crabka", at_most=1), None),
    ],
)
def test_a_target(target: Target, met: bool | None) -> None:
    assert target.is_met(a_result(kstore=[10], kafka=[40])) is met


def test_the_tables_say_what_was_measured_and_what_is_missed() -> None:
    result = a_result(kstore=[10], kafka=[20])
    result.left_out = {"tansu": "no wheel"}
    results = {"sync-1": result}
    table = report.targets_table(results).splitlines()
    assert table[0].startswith("0 targets met, 1 missed, ")
    row = "| title of sync-1 | p50 | 10 µs | Kafka 20 µs | 0.50 | at most 1/3 | **missed** |"
    assert row in table
    assert "| title of sync-1 | p50 | 10 µs | 20 µs |" in report.figures_table(results)
    notes = report.notes(results)
    assert "Commit c0ffee, 2 cores, Python 3, 3 rounds of each broker in turn, after 60 s" in notes
    assert "- Tansu is left out: no wheel" in notes


def test_without_results_the_page_says_so() -> None:
    for table in (report.targets_table, report.figures_table, report.notes, report.pictures):
        assert table({}) == report.NOT_YET


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("p50_us", 11.52, "11.5 µs"),
        ("p99_us", 2345.0, "2.35 ms"),
        ("processor_us_per_request", 4.2, "4.2 µs"),
        ("lz4_processor_s_per_gb", 0.6, "0.6 s/GB"),
        ("requests_per_s", 172500.4, "172,500/s"),
        ("resident_mb", 1013.2, "1,013 MB"),
        ("producer_mb_per_s", 144.9, "145 MB/s"),
        ("ready_s", 0.187, "0.187 s"),
        ("errors", 0.0, "0"),
        ("p50_us", None, "-"),
    ],
)
def test_a_figure_has_its_unit(metric: str, value: float | None, said: str) -> None:
    assert report.shown(metric, value) == said


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("p99.9_us", "p99.9"),
        ("processor_s_per_gb", "processor per GB"),
        ("lz4_processor_s_per_gb", "lz4 processor per GB"),
        ("loopback_gb_per_s", "loopback throughput"),
        ("producer_mb_per_s", "producer"),
        ("e2e_average_ms", "e2e average"),
        ("first_acknowledged_s", "first acknowledged produce"),
        ("errors", "errors"),
    ],
)
def test_a_metric_in_words(metric: str, words: str) -> None:
    assert report.metric_name(metric) == words
