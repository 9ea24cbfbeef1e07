"""What each look may err by, with which all together err as often as is allowed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from harness.stats.looks import error_of_all, look_levels
from harness.stats.ranks import paired_shift

LOOKS = (8, 12, 16, 20, 24, 28, 32)


def test_a_single_look_has_all_of_the_error_that_ranks_attain() -> None:
    (level,) = look_levels((20,), 0.01)

    assert 0.009 < level <= 0.01
    assert paired_shift(np.ones(20)).interval(level) == (1.0, 1.0)


def test_two_looks_err_together_as_often_as_is_allowed() -> None:
    first, second = look_levels((20, 40), 0.02)
    # Sums of 20 and of 40 values have a correlation of sqrt(20 / 40).
    both = multivariate_normal([0, 0], [[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]])
    neither = both.cdf([-ndtri(first), -ndtri(second)])

    assert first == pytest.approx(0.4 * 0.02, rel=0.1)
    assert 0.98 <= neither + 1e-4 < 0.9806
    assert error_of_all((20, 40), (first, second)) == pytest.approx(1.0 - neither, abs=2e-5)


@pytest.mark.parametrize("error", [0.005, 0.01, 0.05])
def test_all_looks_together_have_the_error_that_they_were_made_for(error: float) -> None:
    levels = look_levels(LOOKS, error)

    assert 0.97 * error < error_of_all(LOOKS, levels) <= error
    assert max(levels) < error < sum(levels)


def test_a_look_that_cannot_decide_leaves_its_error_to_the_next() -> None:
    # Five pairs have no smaller error than 1 in 32.
    none, all_of_it = look_levels((5, 30), 0.01)

    assert none == 0.0
    assert all_of_it == look_levels((30,), 0.01)[0]


def test_simulated_sums_cross_as_often() -> None:
    levels = np.array(look_levels(LOOKS, 0.05))
    sums = np.cumsum(np.random.default_rng(3).standard_normal((20_000, 32)), axis=1)
    at_looks = sums[:, np.array(LOOKS) - 1] / np.sqrt(LOOKS)
    crossed = (at_looks > -ndtri(levels)).any(axis=1).mean()

    assert crossed == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 20_000))


def test_later_looks_have_more_of_the_error_than_the_second() -> None:
    levels = look_levels(LOOKS, 0.01)
    expected = [0.0039, 0.0007, 0.0013, 0.0018, 0.0024, 0.0030, 0.0037]

    assert levels == pytest.approx(expected, abs=1e-4)


def test_eight_pairs_may_decide() -> None:
    # All eight on one side have a probability of 1 in 256.
    assert look_levels(LOOKS, 0.01)[0] == 1 / 256
