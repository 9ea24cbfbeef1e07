"""How far a median moved, against samples whose change is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.drift import drift_between, drift_within

POSITIVE = st.lists(st.floats(1e-6, 1e3), min_size=6, max_size=60)
# Close enough that 1 + a bound keeps its digits.
ALIKE = st.lists(st.floats(0.5, 2.0), min_size=6, max_size=60)


@given(POSITIVE, POSITIVE)
def test_the_change_is_the_ratio_of_the_medians_and_lies_in_its_interval(
    before: list[float], after: list[float]
) -> None:
    drift = drift_between(before, after)

    # The median of an even count is the mean of two logarithms.
    expected = math.exp(np.median(np.log(after)) - np.median(np.log(before))) - 1.0
    assert drift.value == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert drift.is_finite
    assert drift.lower <= drift.value <= drift.upper
    assert (drift.before_count, drift.after_count) == (len(before), len(after))


@given(ALIKE, ALIKE)
def test_the_way_back_undoes_it(before: list[float], after: list[float]) -> None:
    there, back = drift_between(before, after), drift_between(after, before)

    assert (1.0 + there.value) * (1.0 + back.value) == pytest.approx(1.0)
    assert (1.0 + there.lower) * (1.0 + back.upper) == pytest.approx(1.0)


@given(POSITIVE, st.floats(1e-3, 1e3))
def test_the_unit_is_of_no_matter(samples: list[float], factor: float) -> None:
    half = len(samples) // 2
    before, after = samples[:half] or [1.0], samples[half:]
    one = drift_between(before, after)
    other = drift_between([factor * x for x in before], [factor * x for x in after])

    assert other.value == pytest.approx(one.value, rel=1e-6, abs=1e-9)
    assert other.is_finite == one.is_finite


@pytest.mark.parametrize("autocorrelation", [0.0, 0.5])
def test_the_interval_covers_the_change_about_as_often_as_it_says(autocorrelation: float) -> None:
    random = np.random.default_rng(1)
    covered, false_alarms, rounds = 0, 0, 1000
    for _ in range(rounds):
        before, after, same = (_noise(random, 60, autocorrelation) for _ in range(3))
        drift = drift_between(before, after * 1.01, autocorrelation=autocorrelation)
        covered += drift.lower <= 0.01 <= drift.upper
        false_alarms += drift_between(before, same, autocorrelation=autocorrelation).is_seen

    assert 0.93 < covered / rounds < 0.995
    assert false_alarms / rounds < 0.07


def test_samples_that_follow_each_other_widen_the_interval() -> None:
    samples = np.random.default_rng(2).normal(1.0, 0.01, 90)

    widths = [
        drift.upper - drift.lower
        for drift in (drift_within(samples, autocorrelation=r) for r in (-0.5, 0.0, 0.6, 1.0))
    ]

    # As many as n (1 - r) / (1 + r): a quarter, so twice as wide.
    assert widths[0] == widths[1]
    assert widths[2] / widths[1] == pytest.approx(2.0, rel=1e-3)
    assert widths[3] > widths[2]


def test_within_a_run_the_last_third_is_held_against_the_first() -> None:
    samples = [1.0] * 10 + [7.0] * 10 + [1.03] * 10

    drift = drift_within(samples)

    assert drift.value == pytest.approx(0.03)
    assert (drift.before_count, drift.after_count) == (10, 10)
    assert drift.is_seen
    assert not drift_within([1.0] * 30).is_seen


@pytest.mark.parametrize("count", [1, 2, 5, 17])
def test_few_samples_have_no_interval(count: int) -> None:
    drift = drift_within([1.0] * (count - 1) + [2.0])

    assert not drift.is_finite
    assert not drift.is_seen
    assert (drift.lower, drift.upper) == (-math.inf, math.inf)


@pytest.mark.parametrize("samples", [[], [0.0] * 9, [1.0, -1.0], [math.nan] * 9, [math.inf]])
def test_what_is_no_time_is_refused(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        drift_within(samples)


def _noise(
    random: np.random.Generator, count: int, autocorrelation: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Log-normal times around 1 of 1 %, each partly as the one before."""
    steps = random.normal(0.0, 0.01 * math.sqrt(1.0 - autocorrelation**2), count)
    value = random.normal(0.0, 0.01)
    values = []
    for step in steps:
        value = autocorrelation * value + step
        values.append(value)
    return np.exp(np.array(values))
