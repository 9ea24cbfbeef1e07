"""What a set of latencies comes to."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.quantiles import estimate_quantile
from harness.stats.summary import real_time_factor, summarize, summarize_processes

SETTINGS = settings(deadline=None, derandomize=True, max_examples=100)

latencies = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60)


@SETTINGS
@given(latencies)
def test_each_quantile_is_the_estimate_of_its_own_probability(samples: list[float]) -> None:
    summary = summarize(samples)
    for found in (summary.median, summary.p90, summary.p95, summary.p99):
        apart = estimate_quantile(samples, found.quantile)
        assert (found.value, found.count) == (apart.value, apart.count)
        # Corrected for autocorrelation, never narrower.
        assert found.lower <= apart.lower
        assert found.upper >= apart.upper


@SETTINGS
@given(latencies)
def test_quantiles_are_ordered_between_the_extremes(samples: list[float]) -> None:
    summary = summarize(samples)
    points = [summary.median.value, summary.p90.value, summary.p95.value, summary.p99.value]
    assert (summary.min_s, summary.max_s) == (min(samples), max(samples))
    rounding = 1e-12 * max(samples)
    ordered = [summary.min_s, *points, summary.max_s]
    assert all(low <= high + rounding for low, high in pairwise(ordered))
    assert summary.count == len(samples)


def test_jitter_is_the_mean_step_between_successive_latencies() -> None:
    assert summarize([1.0, 3.0, 2.0, 2.0]).jitter_s == pytest.approx(1.0)


def test_jitter_and_intervals_depend_on_the_order_and_the_quantiles_do_not() -> None:
    alternating = summarize([1.0, 2.0] * 50)
    ascending = summarize([1.0] * 50 + [2.0] * 50)
    assert alternating.jitter_s == pytest.approx(1.0)
    assert ascending.jitter_s == pytest.approx(1.0 / 99.0)
    assert alternating.median.value == ascending.median.value
    assert alternating.p99.value == ascending.p99.value
    # Two long stretches say little of how often each comes.
    assert alternating.median.is_finite
    assert not ascending.median.is_finite


def test_single_latency_has_no_jitter_and_no_interval() -> None:
    summary = summarize([0.25])
    assert summary.jitter_s == 0.0
    assert (summary.min_s, summary.median.value, summary.max_s) == (0.25, 0.25, 0.25)
    assert not summary.median.is_finite


def test_array_is_summarized_like_a_list() -> None:
    samples = np.random.default_rng(3).lognormal(size=50)
    assert summarize(samples) == summarize(samples.tolist())  # type: ignore[arg-type]


@pytest.mark.parametrize("samples", [[], [math.nan], [1.0, math.inf]])
def test_nothing_and_what_is_not_finite_are_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        summarize(samples)


def test_real_time_factor_is_below_one_where_faster_than_real_time() -> None:
    assert real_time_factor(0.5, 2.0) == 0.25
    assert real_time_factor(4.0, 2.0) == 2.0


def test_intervals_of_several_processes_are_those_of_the_processes_own_quantiles() -> None:
    rng = np.random.default_rng(5)
    processes = [(1.0 + 0.02 * n) * rng.lognormal(sigma=0.003, size=500) for n in range(8)]
    found = summarize_processes([list(map(float, process)) for process in processes])

    everything = np.concatenate(processes)
    for estimate in (found.p90, found.p95, found.p99):
        own = sorted(float(np.quantile(process, estimate.quantile)) for process in processes)
        assert estimate.value == pytest.approx(np.quantile(everything, estimate.quantile))
        # The extremes of eight; the order statistics of 4 000 samples know nothing below 1.12.
        assert (estimate.lower, estimate.upper) == pytest.approx((own[0], own[-1]))
    few = summarize_processes([list(map(float, process)) for process in processes[:5]])
    assert not few.p99.is_finite


def test_too_few_samples_of_many_processes_bound_no_tail() -> None:
    found = summarize_processes([[1.0 + 0.01 * n + 0.001 * i for i in range(5)] for n in range(8)])

    assert found.p90.is_finite
    assert not found.p95.is_finite
    assert not found.p99.is_finite


def test_the_value_is_never_outside_its_interval() -> None:
    # One process of many is so slow that all of the pooled tail is its own.
    processes = [[1.0 + 1e-4 * i + 1e-3 * n for i in range(100)] for n in range(30)]
    processes[7] = [9.0 + 1e-4 * i for i in range(100)]
    found = summarize_processes(processes)

    assert found.p99.value > 9.0
    assert found.p99.lower < 1.1
    assert found.p99.upper == found.p99.value


def test_a_value_lies_within_its_interval_however_few_the_samples() -> None:
    for latency_s in ([1.0, 2.0], [1.0, 2.0, 3.0], [3.0]):
        found = summarize(latency_s)
        for estimate in (found.median, found.p90, found.p95, found.p99):
            assert estimate.lower <= estimate.value <= estimate.upper
        low = estimate_quantile(latency_s, 0.01)
        assert low.lower <= low.value <= low.upper
