"""Shifts by ranks: their tests are scipy's, and their intervals what the tests do not reject."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, wilcoxon

from harness.stats.ranks import Shift, paired_shift, unpaired_shift

VALUES = st.floats(-1.0, 1.0).map(lambda value: round(value, 2))


@pytest.mark.parametrize("count", [1, 5, 8, 13, 32])
@pytest.mark.parametrize("at", [-0.4, 0.0, 0.7])
def test_the_paired_test_is_scipys(count: int, at: float) -> None:
    differences = np.random.default_rng(count).standard_normal(count) + 0.3
    shift = paired_shift(differences)

    for found, side in ((shift.p_not_above(at), "greater"), (shift.p_not_below(at), "less")):
        expected = wilcoxon(differences - at, alternative=side, method="exact").pvalue
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("base", "head"), [(1, 1), (1, 4), (5, 5), (6, 9), (12, 7)])
@pytest.mark.parametrize("at", [-0.4, 0.0, 0.7])
def test_the_unpaired_test_is_scipys(base: int, head: int, at: float) -> None:
    rng = np.random.default_rng([base, head])
    left, right = rng.standard_normal(base), rng.standard_normal(head) + 0.3
    shift = unpaired_shift(left, right)

    for found, side in ((shift.p_not_above(at), "greater"), (shift.p_not_below(at), "less")):
        expected = mannwhitneyu(right - at, left, alternative=side, method="exact").pvalue
        assert found == pytest.approx(expected, rel=1e-9)


def check_agreement(shift: Shift, tail: float, at: float) -> None:
    lower, upper = shift.interval(tail)
    assert lower <= shift.estimate <= upper
    assert (lower > at) == (shift.p_not_above(at) <= tail)
    assert (upper < at) == (shift.p_not_below(at) <= tail)


@given(st.lists(VALUES, min_size=1, max_size=12), st.sampled_from([0.004, 0.025, 0.1]), VALUES)
def test_an_interval_of_pairs_leaves_out_what_the_test_rejects(
    differences: list[float], tail: float, at: float
) -> None:
    check_agreement(paired_shift(np.array(differences)), tail, at)


@given(
    st.lists(VALUES, min_size=1, max_size=7),
    st.lists(VALUES, min_size=1, max_size=7),
    st.sampled_from([0.004, 0.025, 0.1]),
    VALUES,
)
def test_an_interval_of_two_runs_leaves_out_what_the_test_rejects(
    base: list[float], head: list[float], tail: float, at: float
) -> None:
    check_agreement(unpaired_shift(np.array(base), np.array(head)), tail, at)


def test_the_estimate_is_the_median_of_all_means_or_differences() -> None:
    # Means of pairs: 0, 1, 5, 0.5, 2.5, 3.
    assert paired_shift(np.array([0.0, 1.0, 5.0])).estimate == pytest.approx(1.75)
    # Differences: 3, 9, 2, 8.
    assert unpaired_shift(np.array([0.0, 1.0]), np.array([3.0, 9.0])).estimate == 5.5


def test_too_few_have_no_interval() -> None:
    assert paired_shift(np.ones(5)).interval(0.025) == (-math.inf, math.inf)
    assert paired_shift(np.ones(6)).interval(0.025) == (1.0, 1.0)
    assert unpaired_shift(np.zeros(4), np.ones(4)).interval(0.01) == (-math.inf, math.inf)
    assert unpaired_shift(np.zeros(5), np.ones(5)).interval(0.01) == (1.0, 1.0)


def test_a_side_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one difference"):
        paired_shift(np.zeros(0))
    with pytest.raises(ValueError, match="at least one value a side"):
        unpaired_shift(np.zeros(3), np.zeros(0))
