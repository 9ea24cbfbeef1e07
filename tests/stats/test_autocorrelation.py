"""Autocorrelation against series of known rho, and the interval that it widens."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.special import ndtri

from harness.stats.autocorrelation import (
    CorrelatedSeries,
    block_count_inflation,
    block_inflation,
    correlated_ranks,
    count_inflation,
    effective_autocorrelation,
    effective_count,
    estimate_correlated,
    lag1_autocorrelation,
    variance_inflation,
)
from harness.stats.quantiles import estimate_quantile, interval_ranks

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)
series = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=80)
rhos = st.floats(-0.99, 0.99)


def autoregressive(rho: float, shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(shape)
    noise[..., 1:] *= math.sqrt(1.0 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], noise))


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.3, 0.6, 0.9])
def test_rho_of_a_long_series_is_found(rho: float) -> None:
    found = lag1_autocorrelation(autoregressive(rho, (20_000,)))
    assert found == pytest.approx(rho, abs=0.03)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
def test_short_series_are_not_biased(rho: float) -> None:
    found = [lag1_autocorrelation(one) for one in autoregressive(rho, (1500, 40))]
    # Uncorrected it is lower by (1 + 3 rho) / 40: 0.025 to 0.07.
    assert np.mean(found) == pytest.approx(rho, abs=0.02)


def test_outliers_and_skewness_do_not_hide_it() -> None:
    latency_s = np.exp(2.0 * autoregressive(0.6, (4000,)))
    latency_s[::50] *= 1e6
    assert lag1_autocorrelation(latency_s) == pytest.approx(0.6, abs=0.06)


@SETTINGS
@given(series)
def test_it_is_always_between_minus_one_and_one(samples: list[float]) -> None:
    assert -1.0 < lag1_autocorrelation(samples) < 1.0


@SETTINGS
@given(st.lists(st.integers(1, 1000), min_size=8, max_size=60))
def test_only_the_order_of_values_matters(samples: list[int]) -> None:
    stretched = [float(sample) ** 3 for sample in samples]
    assert lag1_autocorrelation(stretched) == lag1_autocorrelation(samples)


@pytest.mark.parametrize("samples", [[], [1.0], [3.0] * 100, list(range(7))])
def test_too_few_or_equal_samples_have_none(samples: list[float]) -> None:
    assert lag1_autocorrelation(samples) == 0.0


def test_sample_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        lag1_autocorrelation([1.0, math.nan] * 10)


def test_effective_count_is_the_textbook_one() -> None:
    assert effective_count(400, 0.6) == pytest.approx(100.0)
    assert variance_inflation(1.0 / 3.0) == pytest.approx(2.0)


@SETTINGS
@given(st.integers(0, 10_000), rhos)
def test_effective_count_is_never_above_the_count(count: int, rho: float) -> None:
    effective = effective_count(count, rho)
    assert 0.0 <= effective <= count
    assert effective == count or rho > 0.0


@pytest.mark.parametrize("rho", [-1.0, 1.0, 2.0, math.nan])
def test_impossible_autocorrelation_is_refused(rho: float) -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        variance_inflation(rho)


@SETTINGS
@given(st.integers(1, 500), st.sampled_from([0.5, 0.9, 0.99]), rhos, rhos)
def test_more_autocorrelation_never_narrows_the_ranks(
    count: int, quantile: float, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    narrow = correlated_ranks(count, quantile, 0.99, low)
    wide = correlated_ranks(count, quantile, 0.99, high)
    assert 0 <= wide[0] <= narrow[0] < narrow[1] <= wide[1] <= count + 1


@SETTINGS
@given(st.integers(1, 500), st.floats(-0.99, 0.0))
def test_independent_or_alternating_samples_keep_the_plain_ranks(count: int, rho: float) -> None:
    assert correlated_ranks(count, 0.5, 0.99, rho) == interval_ranks(count, 0.5, 0.99)


def test_distance_of_the_ranks_grows_with_the_root_of_the_inflation() -> None:
    plain = interval_ranks(10_000, 0.5, 0.99)
    lower, upper = correlated_ranks(10_000, 0.5, 0.99, 0.6)
    assert (upper - lower) / (plain[1] - plain[0]) == pytest.approx(2.0, abs=0.01)
    # As wide, in shares of the samples, as for the effective count of independent samples.
    effective = interval_ranks(2500, 0.5, 0.99)
    assert (upper - lower) / 10_000 == pytest.approx((effective[1] - effective[0]) / 2500, rel=0.02)


@SETTINGS
@given(series, st.sampled_from([0.5, 0.9]))
def test_without_autocorrelation_the_estimate_is_the_plain_one(
    samples: list[float], quantile: float
) -> None:
    ordered = np.sort(np.array(samples))
    expected = estimate_quantile(samples, quantile, 0.99)
    assert estimate_correlated(ordered, quantile, 0.99, 0.0) == expected


@pytest.mark.parametrize(("rho", "plain_is_below"), [(0.3, 0.98), (0.6, 0.92)])
def test_simulated_correlated_series_are_covered(rho: float, plain_is_below: float) -> None:
    trials = autoregressive(rho, (700, 200), seed=2)
    covered = plain = 0
    for trial in trials:
        estimate = estimate_correlated(np.sort(trial), 0.5, 0.99, lag1_autocorrelation(trial))
        covered += estimate.lower <= 0.0 <= estimate.upper
        uncorrected = estimate_quantile(trial, 0.5, 0.99)
        plain += uncorrected.lower <= 0.0 <= uncorrected.upper
    # 684 of 700 has a lower 95 % bound of 0.964.
    assert covered >= 684
    assert plain / 700 < plain_is_below


@pytest.mark.parametrize("rho", [0.3, 0.6])
@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
def test_variance_of_a_count_grows_as_simulated(rho: float, quantile: float) -> None:
    series_of_z = autoregressive(rho, (3000, 1500), seed=5)
    counts = (series_of_z < ndtri(quantile)).sum(axis=1)
    independent = 1500 * quantile * (1.0 - quantile)
    assert counts.var() / independent == pytest.approx(count_inflation(quantile, rho), rel=0.1)


@given(st.floats(0.01, 0.99), rhos)
@SETTINGS
def test_count_of_what_is_rare_never_shrinks_and_grows_less(quantile: float, rho: float) -> None:
    assert 1.0 <= count_inflation(quantile, rho) <= variance_inflation(rho) * (1 + 1e-9)


def test_correlated_tail_is_covered() -> None:
    latencies = autoregressive(0.6, (1500, 700), seed=9)
    truth = float(ndtri(0.99))
    found = [
        estimate_correlated(np.sort(one), 0.99, 0.95, lag1_autocorrelation(one))
        for one in latencies
    ]
    covered = np.mean([estimate.lower <= truth <= estimate.upper for estimate in found])
    # 95 % less the noise of 1,500 series.
    assert covered > 0.935


def blocked(noise: float, shift: float, blocks: int, passes: int, seed: int) -> np.ndarray:
    """Latencies of ``blocks`` blocks, each with a level of its own."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(shift * rng.standard_normal(blocks), passes)
    return np.asarray(1.0 + levels + noise * rng.standard_normal(blocks * passes))


def test_blocks_with_levels_of_their_own_widen_the_interval() -> None:
    covered = plain = 0
    for seed in range(400):
        latency_s = blocked(0.01, 0.01, 12, 16, seed)
        ordered, passes = np.sort(latency_s), (16,) * 12
        rho = effective_autocorrelation(latency_s, passes)
        found = estimate_correlated(ordered, 0.5, 0.99, rho)
        covered += found.lower <= 1.0 <= found.upper
        found = estimate_correlated(ordered, 0.5, 0.99, 0.0)
        plain += found.lower <= 1.0 <= found.upper
    assert covered / 400 >= 0.97
    assert plain / 400 < 0.8


def test_blocks_that_are_alike_cost_little() -> None:
    inflations = [
        block_inflation(blocked(0.01, 0.0, 20, 10, seed), (10,) * 20) for seed in range(200)
    ]
    assert np.median(inflations) < 1.4
    assert min(inflations) >= 1.0


def test_one_block_or_blocks_of_one_sample_tell_nothing() -> None:
    latency_s = blocked(0.01, 0.0, 1, 30, 1)
    assert block_inflation(latency_s, (30,)) == 1.0
    assert block_inflation(latency_s, (1,) * 30) == 1.0


def test_blocks_of_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks of 20 samples for 30"):
        block_inflation(blocked(0.01, 0.0, 1, 30, 1), (10, 10))


@pytest.mark.parametrize("quantile", [0.9, 0.99])
@pytest.mark.parametrize("level", [0.5, 1.0])
def test_variance_of_a_count_in_blocks_grows_as_simulated(quantile: float, level: float) -> None:
    passes = (32,) * 30
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((3000, 30, 32)) + level * rng.standard_normal((3000, 30, 1))
    limit = float(ndtri(quantile)) * math.hypot(1.0, level)
    counts = (noise < limit).sum(axis=(1, 2))
    shared = level**2 / (1.0 + level**2)

    # The ranks of gaussians are correlated a little less than they are.
    of_ranks = 6.0 / math.pi * math.asin(shared / 2.0)
    inflation = 1.0 + of_ranks / (1.0 - of_ranks) * 32
    found = block_count_inflation(quantile, inflation, passes)

    independent = 960 * quantile * (1.0 - quantile)
    assert found == pytest.approx(counts.var() / independent, rel=0.1)


@given(st.floats(0.5, 0.99), st.floats(0.5, 199.0), st.lists(st.integers(1, 64), max_size=12))
@SETTINGS
def test_of_a_count_in_blocks_more_is_more_and_never_less_than_one(
    quantile: float, inflation: float, passes: list[int]
) -> None:
    found = block_count_inflation(quantile, inflation, passes)
    assert found >= 1.0
    assert block_count_inflation(quantile, inflation + 1.0, passes) >= found


@pytest.mark.parametrize("passes", [(), (400,)])
def test_without_blocks_a_series_is_that_of_its_neighbours(passes: tuple[int, ...]) -> None:
    latency_s = autoregressive(0.6, (400,))
    found = CorrelatedSeries.of(latency_s, passes)
    ordered, rho = np.sort(latency_s), lag1_autocorrelation(latency_s)
    assert found.autocorrelation == rho
    for quantile in (0.5, 0.9, 0.99):
        expected = estimate_correlated(ordered, quantile, 0.95, rho)
        assert found.estimate(quantile, 0.95) == expected


def test_a_series_of_blocks_that_are_alike_bounds_a_tail_as_soon_as_without() -> None:
    # As a paced run with the defaults measures it: 400 chunks in 8 blocks.
    rng = np.random.default_rng(4)
    found = [CorrelatedSeries.of(rng.standard_normal(400), (50,) * 8) for _ in range(200)]
    assert np.mean([series.estimate(0.99, 0.95).is_finite for series in found]) > 0.95
