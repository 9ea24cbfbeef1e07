"""A slope that outliers do not move, an interval that covers it, and when a limit is reached."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.stats.trend import MIN_POINTS, Fate, Slope, fit_slope, outlook


def series(count: int, slope: float, noise: str, rng: np.random.Generator) -> np.ndarray:
    """1, with a slope, and 1 % of noise of a kind."""
    drawn = rng.standard_normal(count)
    if noise == "outliers":
        drawn += (rng.random(count) < 0.05) * rng.uniform(5.0, 20.0, count)
    if noise == "alike":
        for i in range(1, count):
            drawn[i] = 0.6 * drawn[i - 1] + 0.8 * drawn[i]
    return 1.0 + slope * np.arange(count) + 0.01 * drawn


def test_a_line_is_found_exactly() -> None:
    found = fit_slope(range(10), [3.0 + 0.5 * i for i in range(10)])
    assert found is not None
    assert (found.value, found.lower, found.upper, found.level) == (0.5, 0.5, 0.5, 7.5)
    assert (found.count, found.is_seen) == (10, True)


def test_outliers_move_neither_slope_nor_level() -> None:
    values = [0.1 * i for i in range(20)]
    values[3], values[11] = 100.0, -50.0
    found = fit_slope(range(20), values)
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert found.level == pytest.approx(1.9)


def test_too_few_places_have_no_slope() -> None:
    count = MIN_POINTS - 1
    assert fit_slope(range(count), [1.0] * count) is None
    # However many values there are at each.
    places = sorted([*range(count)] * 3)
    assert fit_slope(places, [1.0] * len(places)) is None
    assert fit_slope(range(count + 1), [1.0] * (count + 1)) is not None


@pytest.mark.parametrize(
    ("noise", "least"), [("gaussian", 0.93), ("outliers", 0.93), ("alike", 0.8)]
)
def test_the_interval_covers_the_slope(noise: str, least: float) -> None:
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(300):
        found = fit_slope(range(30), series(30, 0.002, noise, rng))
        assert found is not None
        hits += found.lower <= 0.002 <= found.upper
    assert hits / 300 >= least


def test_what_follows_being_alike_widens_the_interval() -> None:
    rng = np.random.default_rng(3)
    values = series(40, 0.0, "alike", rng)
    shuffled = rng.permutation(values)
    apart, alike = fit_slope(range(40), shuffled), fit_slope(range(40), values)
    assert apart is not None
    assert alike is not None
    assert alike.correlation > apart.correlation
    assert alike.upper - alike.lower > apart.upper - apart.lower


def test_days_that_are_the_same_make_no_slope_between_them() -> None:
    places = [float(i // 2) for i in range(20)]
    found = fit_slope(places, [2.0 * place for place in places])
    assert found is not None
    assert found.value == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 2], [1.0], "a finite value for each place"),
        ([1, 2], [1.0, math.nan], "a finite value for each place"),
        ([2, 1], [1.0, 1.0], "do not go back"),
    ],
)
def test_what_is_no_series_is_refused(x: list[float], y: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_slope(x, y)


def slope(value: float, lower: float, upper: float, level: float = 60.0) -> Slope:
    return Slope(value, lower, upper, level, 20, 0.95, 0.0)


def test_a_rise_runs_out_after_the_room_over_the_slope() -> None:
    found = outlook(slope(2.0, 1.0, 4.0), 100.0)
    assert (found.fate, found.after, found.earliest, found.latest) == (
        Fate.RUNS_OUT,
        20.0,
        10.0,
        40.0,
    )


def test_a_slope_that_may_be_none_tells_only_the_earliest() -> None:
    found = outlook(slope(1.0, -1.0, 4.0), 100.0)
    assert (found.fate, found.after, found.earliest, found.latest) == (
        Fate.UNKNOWN,
        None,
        10.0,
        None,
    )


def test_a_fall_never_runs_out() -> None:
    for upper in (-0.5, 0.0):
        assert outlook(slope(-1.0, -2.0, upper), 100.0).fate is Fate.NEVER


def test_what_is_over_the_limit_is_spent_whatever_the_slope() -> None:
    assert outlook(slope(-1.0, -2.0, -0.5, level=100.0), 100.0).fate is Fate.SPENT


def test_nothing_is_told_of_too_few() -> None:
    assert outlook(None, 100.0).fate is Fate.UNKNOWN
    endless = outlook(slope(1.0, -math.inf, math.inf), 100.0)
    assert (endless.fate, endless.earliest) == (Fate.UNKNOWN, 0.0)
