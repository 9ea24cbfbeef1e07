"""What each look may err by, with which all together err as often as is allowed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from harness.stats.looks import error_of_all, look_levels

LOOKS = (8, 12, 16, 20, 24, 28, 32)


def test_a_single_look_has_all_of_the_error() -> None:
    assert look_levels((8,), 0.01) == pytest.approx((0.01,), rel=1e-6)


def test_two_looks_err_together_as_often_as_is_allowed() -> None:
    first, second = look_levels((8, 32), 0.02)
    # Sums of 8 and of 32 values have a correlation of sqrt(8 / 32).
    both = multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]])
    neither = both.cdf([-ndtri(first), -ndtri(second)])

    assert first == pytest.approx(0.02 * 0.25 ** (2 / 3), rel=1e-6)
    assert neither == pytest.approx(0.98, abs=2e-5)


@pytest.mark.parametrize("error", [0.005, 0.01, 0.05])
def test_all_looks_have_the_error_that_they_were_made_for(error: float) -> None:
    levels = look_levels(LOOKS, error)

    assert error_of_all(LOOKS, levels) == pytest.approx(error, rel=1e-6)
    assert max(levels) < error < sum(levels)


def test_simulated_sums_cross_as_often() -> None:
    levels = np.array(look_levels(LOOKS, 0.05))
    sums = np.cumsum(np.random.default_rng(3).standard_normal((20_000, 32)), axis=1)
    at_looks = sums[:, np.array(LOOKS) - 1] / np.sqrt(LOOKS)
    crossed = (at_looks > -ndtri(levels)).any(axis=1).mean()

    assert crossed == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 20_000))


def test_eight_pairs_may_decide() -> None:
    # All eight on one side have a probability of 1 in 256.
    assert look_levels(LOOKS, 0.01)[0] >= 1 / 256
