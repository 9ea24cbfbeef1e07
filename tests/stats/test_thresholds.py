"""Where a tensor is clipped for INT8, held against the procedure done bin by bin."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from harness.stats.thresholds import METHODS, Histogram, clip_range, clip_threshold

SETTINGS = settings(deadline=None, derandomize=True, max_examples=200)
FEWER = settings(SETTINGS, max_examples=40)
BINS = 2048
LEVELS = 128

values = arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e3, 1e3, width=32))
percentiles = st.one_of(st.sampled_from([99.0, 99.9, 99.99, 100.0]), st.floats(0.1, 100.0))
methods = st.sampled_from(METHODS)


def histogram_of(tensor: Any, bins: int = BINS) -> Histogram:
    magnitude = np.abs(np.asarray(tensor, dtype=np.float64))
    counts, _ = np.histogram(magnitude, bins=bins, range=(0.0, magnitude.max() or 1.0))
    return Histogram(counts.astype(np.int64), float(np.min(tensor)), float(np.max(tensor)))


def gaussian(count: int = 100_000, seed: int = 5) -> Any:
    return np.random.default_rng(seed).normal(size=count)


def divergence_bin_by_bin(counts: Any, kept: int) -> float:
    """KL divergence of one candidate, with both distributions written out."""
    inside = counts[:kept].astype(np.float64)
    if not inside.any():
        return math.inf
    p = inside.copy()
    p[-1] += counts[kept:].sum()
    level = np.arange(kept) * LEVELS // kept
    occupied = np.bincount(level, weights=inside > 0.0)
    share = np.bincount(level, weights=inside) / np.maximum(occupied, 1.0)
    q = np.where(inside > 0.0, share[level], 0.0)
    if p[-1] > 0.0 and q[-1] == 0.0:
        q[-1] = 0.5
    return float(entropy(p, q))


def test_methods_are_those_that_the_configuration_names() -> None:
    assert METHODS == ("percentile", "entropy", "minmax")


@pytest.mark.parametrize(
    ("lowest", "highest", "largest"), [(-3.0, 2.0, 3.0), (-1.0, 2.0, 2.0), (1.0, 2.0, 2.0)]
)
def test_largest_is_that_of_either_sign(lowest: float, highest: float, largest: float) -> None:
    histogram = Histogram(np.ones(4, np.int64), lowest, highest)
    assert histogram.largest == largest
    assert clip_threshold(histogram, "minmax") == largest


@pytest.mark.parametrize(
    ("percentile", "threshold"),
    [(0.01, 1.0), (50.0, 1.0), (50.1, 2.0), (75.0, 2.0), (75.1, 4.0), (99.99, 4.0), (100.0, 4.0)],
)
def test_percentile_is_the_upper_edge_of_its_bin(percentile: float, threshold: float) -> None:
    histogram = Histogram(np.array([2, 1, 0, 1]), -4.0, 1.0)
    assert clip_threshold(histogram, "percentile", percentile=percentile) == threshold


@pytest.mark.parametrize(("percentile", "total"), [(90.0, 10), (99.9, 1_000), (99.99, 10_000)])
def test_share_that_is_met_exactly_needs_no_further_bin(percentile: float, total: int) -> None:
    # In doubles 99.9 / 100 is more than 0.999.
    met = Histogram(np.array([total - 1, 0, 0, 1]), -4.0, 4.0)
    assert clip_threshold(met, "percentile", percentile=percentile) == 1.0
    missed = Histogram(np.array([total - 2, 0, 0, 2]), -4.0, 4.0)
    assert clip_threshold(missed, "percentile", percentile=percentile) == 4.0


@pytest.mark.parametrize("method", METHODS)
def test_threshold_that_keeps_all_is_the_largest_without_rounding(method: str) -> None:
    # 0.1 * 3 / 3 is more than 0.1.
    histogram = Histogram(np.ones(3, np.int64), 0.0, 0.1)
    assert clip_threshold(histogram, method, percentile=100.0) == 0.1


@SETTINGS
@given(values, percentiles, percentiles, st.integers(1, 300))
def test_threshold_grows_with_the_percentile_up_to_the_largest(
    tensor: Any, one: float, other: float, bins: int
) -> None:
    histogram = histogram_of(tensor, bins)
    low, high = (
        clip_threshold(histogram, "percentile", percentile=percentile)
        for percentile in sorted((one, other))
    )
    assert low <= high <= histogram.largest
    assert clip_threshold(histogram, "percentile", percentile=100.0) == histogram.largest


@SETTINGS
@given(values, percentiles, st.integers(1, 300))
def test_percentile_keeps_its_share_and_hardly_more(
    tensor: Any, percentile: float, bins: int
) -> None:
    histogram = histogram_of(tensor, bins)
    threshold = clip_threshold(histogram, "percentile", percentile=percentile)
    magnitude = np.abs(tensor.astype(np.float64))
    rounding = 1e-9 * histogram.largest
    assert (magnitude <= threshold + rounding).mean() >= percentile / 100.0 - 1e-9
    below = threshold - histogram.largest / bins
    assert (magnitude < below - rounding).mean() <= percentile / 100.0 + 1e-9


@pytest.mark.parametrize("method", ["percentile", "entropy"])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_outlier_is_clipped(method: str, sign: float) -> None:
    bulk = gaussian()
    tensor = np.append(bulk, sign * 1_000.0 * bulk.std())
    histogram = histogram_of(tensor)
    assert clip_threshold(histogram, method) < 0.1 * histogram.largest
    assert clip_threshold(histogram, "minmax") == np.abs(tensor).max()


def test_entropy_clips_the_tail_of_a_gaussian_and_keeps_its_bulk() -> None:
    histogram = histogram_of(gaussian(1_000_000))
    assert 3.0 < clip_threshold(histogram, "entropy") < 0.95 * histogram.largest


@pytest.mark.parametrize("count", [20_000, 500_000])
def test_entropy_keeps_nearly_all_of_a_uniform_tensor(count: int) -> None:
    tensor = np.random.default_rng(6).uniform(-1.0, 1.0, count)
    assert clip_threshold(histogram_of(tensor), "entropy") > 0.97


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_zeros_do_not_move_the_entropy_threshold(share: float) -> None:
    tensor = gaussian(50_000)
    zeros = np.zeros(int(tensor.size * share / (1.0 - share)))
    threshold = clip_threshold(histogram_of(tensor), "entropy")
    with_zeros = clip_threshold(histogram_of(np.append(tensor, zeros)), "entropy")
    assert with_zeros == threshold
    assert threshold > 3.0


@FEWER
@given(st.integers(0, 2**32 - 1), st.sampled_from([130, 200, 700, 1500]), st.floats(0.01, 1.0))
def test_entropy_finds_the_least_divergence(seed: int, bins: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    decay = np.exp(-rng.uniform(0.0, 10.0) * np.linspace(0.0, 1.0, bins))
    counts = rng.poisson(rng.uniform(0.1, 200.0) * decay) * (rng.random(bins) < density)
    counts[-1] += 1
    histogram = Histogram(counts.astype(np.int64), -float(bins), 1.0)
    kept = round(clip_threshold(histogram, "entropy"))
    counts[0] = counts[1]
    candidates = sorted({*range(LEVELS, bins, max(1, bins // 256)), bins})
    divergences = {other: divergence_bin_by_bin(counts, other) for other in candidates}
    least = min(divergences.values())
    assert divergences[kept] <= least + 1e-8
    # Of several that are as good, the largest.
    assert all(divergences[other] > least for other in candidates if other > kept)


@pytest.mark.parametrize("bins", [1, 2, 64, LEVELS])
def test_entropy_keeps_everything_where_each_bin_has_a_level(bins: int) -> None:
    histogram = histogram_of(np.append(gaussian(1_000), 1_000.0), bins)
    assert clip_threshold(histogram, "entropy") == 1_000.0


@pytest.mark.parametrize("tensor", [[5.0], [-5.0, -5.0], [0.0] * 100 + [5.0], [2.0, -5.0]])
def test_entropy_keeps_a_tensor_of_few_values(tensor: list[float]) -> None:
    assert clip_threshold(histogram_of(tensor), "entropy") == 5.0


def test_entropy_does_not_pile_everything_on_one_rare_value() -> None:
    # With all but one value clipped to the last bin, both distributions would be the same spike.
    counts = np.zeros(BINS, np.int64)
    counts[127] = 1
    counts[-1] = 1_000_000
    assert clip_threshold(Histogram(counts, 0.0, 1.0), "entropy") == 1.0


@SETTINGS
@given(values, methods, st.floats(1e-3, 1e3))
def test_threshold_scales_with_the_tensor(tensor: Any, method: str, scale: float) -> None:
    histogram = histogram_of(tensor)
    scaled = Histogram(histogram.counts, scale * histogram.lowest, scale * histogram.highest)
    expected = scale * clip_threshold(histogram, method)
    assert clip_threshold(scaled, method) == pytest.approx(expected, rel=1e-9)


@SETTINGS
@given(values, methods, percentiles)
def test_range_is_that_of_the_values_within_the_threshold(
    tensor: Any, method: str, percentile: float
) -> None:
    histogram = histogram_of(tensor)
    threshold = clip_threshold(histogram, method, percentile=percentile)
    lower, upper = clip_range(histogram, method, percentile=percentile)
    assert lower <= 0.0 <= upper
    assert lower == -min(max(-float(tensor.min()), 0.0), threshold)
    assert upper == min(max(float(tensor.max()), 0.0), threshold)


@SETTINGS
@given(values, methods)
def test_threshold_is_positive_unless_all_is_zero(tensor: Any, method: str) -> None:
    # Below the smallest normal number the share of a bin rounds to zero.
    assume(np.abs(tensor).max() > 1e-30)
    assert clip_threshold(histogram_of(tensor), method) > 0.0


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        (-3.0, 4.0, (-2.0, 2.0)),
        (-1.0, 4.0, (-1.0, 2.0)),
        (0.0, 4.0, (0.0, 2.0)),
        (-4.0, 1.0, (-2.0, 1.0)),
        (3.0, 4.0, (0.0, 2.0)),
        (-4.0, -3.0, (-2.0, 0.0)),
    ],
)
def test_range_is_clipped_on_each_side_and_contains_zero(
    lowest: float, highest: float, expected: tuple[float, float]
) -> None:
    histogram = Histogram(np.array([1, 8, 0, 1]), lowest, highest)
    assert clip_range(histogram, "percentile", percentile=90.0) == expected


@pytest.mark.parametrize("method", METHODS)
def test_tensor_of_zeros_has_the_threshold_zero(method: str) -> None:
    histogram = histogram_of(np.zeros(10))
    assert clip_threshold(histogram, method) == 0.0
    assert clip_range(histogram, method) == (0.0, 0.0)


def test_histogram_is_left_as_it_is() -> None:
    histogram = histogram_of(gaussian(1_000))
    counts = histogram.counts.copy()
    for method in METHODS:
        clip_threshold(histogram, method)
    assert np.array_equal(histogram.counts, counts)


@pytest.mark.parametrize("method", ["", "mse", "MinMax"])
def test_unknown_method_is_refused_with_the_known_ones(method: str) -> None:
    for clip in (clip_threshold, clip_range):
        with pytest.raises(ValueError, match="percentile, entropy, minmax"):
            clip(histogram_of([1.0]), method)


@pytest.mark.parametrize("percentile", [0.0, -1.0, 100.1, math.nan, math.inf])
def test_percentile_out_of_range_is_refused(percentile: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 100"):
        clip_threshold(histogram_of([1.0]), "percentile", percentile=percentile)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("counts", [np.zeros(0, np.int64), np.zeros(BINS, np.int64)])
@pytest.mark.parametrize("highest", [0.0, 1.0])
def test_histogram_without_values_is_refused(method: str, counts: Any, highest: float) -> None:
    with pytest.raises(ValueError, match="at least one value"):
        clip_threshold(Histogram(counts, 0.0, highest), method)


@pytest.mark.parametrize(
    ("lowest", "highest"), [(-math.inf, 1.0), (0.0, math.inf), (math.nan, 1.0)]
)
def test_extremes_that_are_not_finite_are_refused(lowest: float, highest: float) -> None:
    with pytest.raises(ValueError, match="all of them finite"):
        clip_threshold(Histogram(np.ones(4, np.int64), lowest, highest), "minmax")


def test_entropy_of_a_large_histogram_takes_less_than_a_few_candidates_bin_by_bin() -> None:
    histogram = histogram_of(gaussian())
    found_s, by_hand_s = [], []
    for _ in range(5):
        started_s = time.process_time()
        clip_threshold(histogram, "entropy")
        found_s.append(time.process_time() - started_s)
        started_s = time.process_time()
        for kept in range(BINS - 256, BINS):
            divergence_bin_by_bin(histogram.counts, kept)
        by_hand_s.append(time.process_time() - started_s)
    # There are 1921 candidates.
    assert min(found_s) < min(by_hand_s)
