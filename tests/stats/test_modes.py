"""Two even modes are seen; single modes, skewed, correlated or uneven ones are not taken for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from harness.stats.modes import find_two_modes

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


def mixture(count: int, weight: float, seed: int = 1, noise: float = 0.003) -> np.ndarray:
    rng = np.random.default_rng(seed)
    latency = 1.0 + 0.02 * (rng.random(count) < weight) + noise * rng.standard_normal(count)
    return np.sort(latency)


@pytest.mark.parametrize("weight", [0.46, 0.5, 0.54])
@pytest.mark.parametrize("count", [100, 1000, 10_000])
def test_near_even_modes_are_found_with_place_and_weight(weight: float, count: int) -> None:
    modes = find_two_modes(mixture(count, weight))
    assert modes is not None
    assert modes.lower == pytest.approx(1.0, abs=0.002)
    assert modes.upper == pytest.approx(1.02, abs=0.002)
    assert modes.distance == pytest.approx(0.02, abs=0.003)
    assert modes.minor_weight <= 0.5
    assert modes.minor_weight == pytest.approx(min(weight, 1 - weight), abs=4 * modes.weight_error)
    assert modes.weight_error == pytest.approx(0.5 / math.sqrt(count), rel=0.1)


def test_weight_of_a_minor_mode_is_told_apart_from_even() -> None:
    modes = find_two_modes(mixture(1000, 0.3))
    assert modes is not None
    assert modes.minor_weight + 4.0 * modes.weight_error < 0.45


def test_small_minor_mode_is_far_from_the_median_and_not_seen() -> None:
    assert find_two_modes(mixture(1000, 0.1)) is None


@pytest.mark.parametrize("count", [32, 98, 1000])
@pytest.mark.parametrize("shape", ["gaussian", "log-normal", "uniform", "exponential", "AR(1)"])
def test_single_modes_are_rarely_taken_for_two(shape: str, count: int) -> None:
    rng = np.random.default_rng([3, count])
    fired = 0
    for _ in range(500):
        noise = rng.standard_normal(count)
        if shape == "gaussian":
            samples = noise
        elif shape == "log-normal":
            samples = np.exp(noise)
        elif shape == "uniform":
            samples = rng.random(count)
        elif shape == "exponential":
            samples = rng.exponential(size=count)
        else:
            noise[1:] *= 0.8
            samples = lfilter([1.0], [1.0, -0.6], noise)
        fired += find_two_modes(np.sort(samples)) is not None
    # At most 1 %: 5 of 500 has an upper 95 % bound of 2.1 %.
    assert fired <= 5


def test_autocorrelation_makes_the_samples_worth_less() -> None:
    samples = mixture(64, 0.5)
    alone = find_two_modes(samples)
    correlated = find_two_modes(mixture(4096, 0.5), 0.9)
    independent = find_two_modes(mixture(4096, 0.5))
    assert alone is not None
    assert find_two_modes(samples, 0.9) is None
    assert correlated is not None
    assert independent is not None
    assert correlated.weight_error == pytest.approx(
        independent.weight_error * math.sqrt(19.0), rel=1e-6
    )


@pytest.mark.parametrize("samples", [[], [1.0], [1.0, 2.0], [1.0] * 100])
def test_too_few_or_equal_samples_have_no_modes(samples: list[float]) -> None:
    assert find_two_modes(np.array(samples)) is None


def test_three_outliers_do_not_make_a_mode() -> None:
    samples = np.sort(np.concatenate((mixture(200, 0.0), [5.0, 6.0, 1e9])))
    assert find_two_modes(samples) is None


@SETTINGS
@given(st.integers(60, 300), st.floats(1e-3, 1e3), st.floats(0.0, 10.0))
def test_unit_and_offset_do_not_matter(count: int, scale: float, shift: float) -> None:
    samples = mixture(count, 0.5)
    before, after = find_two_modes(samples), find_two_modes(scale * (samples + shift))
    assert before is not None
    assert after is not None
    assert after.minor_weight == before.minor_weight
    assert after.distance == pytest.approx(scale * before.distance, rel=1e-6)
