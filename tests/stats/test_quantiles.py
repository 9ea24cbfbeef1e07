"""Quantiles and their intervals, held against scipy's binomial distribution and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom, norm

from harness.stats.quantiles import estimate_quantile, interval_ranks, samples_for_interval

SETTINGS = settings(deadline=None, derandomize=True, max_examples=200)
ROUNDING = 1e-9
TRIALS = 4_000

counts = st.integers(1, 600)
quantiles = st.one_of(st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.floats(0.01, 0.99))
confidences = st.one_of(st.just(0.95), st.floats(0.5, 0.999))
latencies = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=80)


@SETTINGS
@given(counts, quantiles, confidences)
def test_ranks_cover_the_quantile_with_at_least_the_confidence(
    count: int, quantile: float, confidence: float
) -> None:
    lower, upper = interval_ranks(count, quantile, confidence)
    coverage = binom.cdf(upper - 1, count, quantile) - binom.cdf(lower - 1, count, quantile)
    assert 0 <= lower < upper <= count + 1
    assert coverage >= confidence - ROUNDING


@SETTINGS
@given(counts, quantiles, confidences)
def test_each_tail_holds_at_most_half_of_the_rest(
    count: int, quantile: float, confidence: float
) -> None:
    lower, upper = interval_ranks(count, quantile, confidence)
    tail = (1.0 - confidence) / 2.0
    assert binom.cdf(lower - 1, count, quantile) <= tail + ROUNDING
    assert binom.sf(upper - 1, count, quantile) <= tail + ROUNDING


@SETTINGS
@given(counts, quantiles, confidences)
def test_moving_either_bound_inwards_by_one_rank_breaks_its_tail(
    count: int, quantile: float, confidence: float
) -> None:
    lower, upper = interval_ranks(count, quantile, confidence)
    tail = (1.0 - confidence) / 2.0
    assert binom.cdf(lower, count, quantile) > tail - ROUNDING
    assert binom.sf(upper - 2, count, quantile) > tail - ROUNDING


@pytest.mark.parametrize(
    ("quantile", "needed"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.1, 36), (0.01, 368)]
)
def test_samples_for_a_finite_interval_are_the_published_ones(quantile: float, needed: int) -> None:
    assert samples_for_interval(quantile) == needed


@SETTINGS
@given(quantiles, st.floats(0.5, 0.999))
@example(0.5, 0.95)
@example(0.9, 0.95)
@example(0.95, 0.95)
@example(0.99, 0.95)
@example(0.5, 0.7500000000000001)
@example(0.5000000000000001, 0.75)
def test_interval_is_finite_from_exactly_that_many_samples_on(
    quantile: float, confidence: float
) -> None:
    needed = samples_for_interval(quantile, confidence)
    lower, upper = interval_ranks(needed, quantile, confidence)
    assert lower >= 1
    assert upper <= needed
    if needed > 1:
        lower, upper = interval_ranks(needed - 1, quantile, confidence)
        assert lower == 0 or upper == needed


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368)])
def test_estimate_becomes_finite_with_the_last_sample_needed(quantile: float, needed: int) -> None:
    samples = np.random.default_rng(1).lognormal(size=needed).tolist()
    assert not estimate_quantile(samples[:-1], quantile).is_finite
    assert estimate_quantile(samples, quantile).is_finite


def test_bound_that_the_data_cannot_give_is_infinite() -> None:
    estimate = estimate_quantile([1.0, 2.0, 3.0], 0.5)
    assert (estimate.lower, estimate.value, estimate.upper) == (-math.inf, 2.0, math.inf)


def test_bounds_are_the_samples_at_the_ranks() -> None:
    estimate = estimate_quantile([float(rank) for rank in range(100, 0, -1)], 0.5)
    # P(B <= 39) and P(B >= 61) are 0.0176 of Binomial(100, 1/2); one rank further in, 0.0284.
    assert (estimate.lower, estimate.upper) == (40.0, 61.0)
    assert estimate.value == 50.5
    assert (estimate.quantile, estimate.confidence, estimate.count) == (0.5, 0.95, 100)


# With two samples the whole interval of a p98 or above may lie above the interpolated value.
@SETTINGS
@given(latencies.filter(lambda samples: len(samples) > 2), quantiles)
def test_value_lies_between_the_bounds(samples: list[float], quantile: float) -> None:
    estimate = estimate_quantile(samples, quantile)
    rounding = 1e-12 * max(samples)
    assert estimate.lower <= estimate.value + rounding
    assert estimate.value <= estimate.upper + rounding


@SETTINGS
@given(latencies, quantiles, st.floats(0.5, 0.9), st.floats(0.9, 0.99))
def test_more_confidence_never_narrows_the_interval(
    samples: list[float], quantile: float, less: float, more: float
) -> None:
    narrow = estimate_quantile(samples, quantile, less)
    wide = estimate_quantile(samples, quantile, more)
    assert wide.lower <= narrow.lower
    assert narrow.upper <= wide.upper


@SETTINGS
@given(st.data(), latencies, quantiles)
def test_order_of_the_samples_does_not_matter(
    data: st.DataObject, samples: list[float], quantile: float
) -> None:
    shuffled = data.draw(st.permutations(samples))
    assert estimate_quantile(shuffled, quantile) == estimate_quantile(samples, quantile)


@SETTINGS
@given(latencies, quantiles, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_scaling_and_shifting_the_samples_scales_and_shifts_the_estimate(
    samples: list[float], quantile: float, scale: float, shift: float
) -> None:
    before = estimate_quantile(samples, quantile)
    after = estimate_quantile([scale * sample + shift for sample in samples], quantile)
    expected = [scale * bound + shift for bound in (before.lower, before.value, before.upper)]
    rounding = 1e-12 * (scale * max(samples) + abs(shift))
    assert [after.lower, after.value, after.upper] == pytest.approx(expected, abs=rounding)


def test_value_interpolates_as_definition_seven_of_hyndman_and_fan() -> None:
    assert estimate_quantile([1.0, 2.0, 4.0, 8.0], 0.9).value == pytest.approx(6.8)


@pytest.mark.parametrize("sample", [math.nan, math.inf, -math.inf])
def test_sample_that_is_not_finite_is_refused(sample: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        estimate_quantile([1.0, sample, 2.0], 0.5)


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        estimate_quantile([], 0.5)


@pytest.mark.parametrize("probability", [-0.1, 0.0, 1.0, 1.5, math.nan])
def test_probability_outside_zero_to_one_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        estimate_quantile([1.0, 2.0], probability)
    with pytest.raises(ValueError, match="between 0 and 1"):
        estimate_quantile([1.0, 2.0], 0.5, probability)


@pytest.mark.parametrize(("quantile", "count"), [(0.5, 100), (0.9, 60)])
@pytest.mark.parametrize("shape", ["gaussian", "lognormal"])
def test_simulated_intervals_cover_the_true_quantile(
    quantile: float, count: int, shape: str
) -> None:
    rng = np.random.default_rng([20260101, count, len(shape)])
    gaussian = rng.normal(size=(TRIALS, count))
    true_value = float(norm.ppf(quantile))
    samples = gaussian
    if shape == "lognormal":
        true_value, samples = math.exp(0.5 * true_value), np.exp(0.5 * gaussian)
    covered = 0
    for trial in samples:
        estimate = estimate_quantile(trial, quantile)
        covered += estimate.lower <= true_value <= estimate.upper

    # Clopper-Pearson bounds: the coverage is at least the nominal one, and it is that of the
    # ranks (0.9648 and 0.9716), not that of an interval that is one rank narrower.
    at_least = beta.ppf(0.05, covered, TRIALS - covered + 1)
    assert at_least >= 0.95
    lower, upper = interval_ranks(count, quantile, 0.95)
    promised = binom.cdf(upper - 1, count, quantile) - binom.cdf(lower - 1, count, quantile)
    low = beta.ppf(0.0005, covered, TRIALS - covered + 1)
    high = beta.ppf(0.9995, covered + 1, TRIALS - covered)
    assert low <= promised <= high
