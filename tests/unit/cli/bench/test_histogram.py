"""The histogram against exact percentiles of the same values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kstore.cli.bench.histogram import Histogram

VALUES = st.lists(st.integers(0, 10**12) | st.integers(0, 600), min_size=1, max_size=200)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(VALUES, st.floats(0, 100))
def test_a_percentile_is_never_below_the_exact_one_and_little_above(
    values: list[int], percent: float
) -> None:
    exact = sorted(values)[max(1, math.ceil(len(values) * percent / 100)) - 1]
    assert exact <= histogram_of(values).percentile(percent) <= exact * (1 + 1 / 128)


@given(VALUES)
def test_count_mean_and_maximum_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.count == len(values)
    assert histogram.max == histogram.percentile(100) == max(values)
    assert histogram.mean == pytest.approx(sum(values) / len(values))


@given(VALUES, VALUES)
def test_two_merged_are_one_of_all_values(first: list[int], second: list[int]) -> None:
    merged = histogram_of(first)
    merged.merge(histogram_of(second))
    whole = histogram_of(first + second)
    assert list(merged.steps()) == list(whole.steps())
    assert (merged.count, merged.max, merged.mean) == (whole.count, whole.max, whole.mean)


@given(VALUES)
def test_the_steps_ascend_to_all_values(values: list[int]) -> None:
    steps = list(histogram_of(values).steps())
    assert steps == sorted(set(steps))
    assert steps[-1] == (max(values), len(values))


def test_nothing_counted_is_nothing() -> None:
    histogram = Histogram()
    assert (histogram.percentile(99), histogram.mean, histogram.max) == (0, 0.0, 0)


def test_many_at_once_count_as_many() -> None:
    histogram = Histogram()
    histogram.record(5, 99)
    histogram.record(-1)
    assert list(histogram.steps()) == [(0, 1), (5, 100)]
