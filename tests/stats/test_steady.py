"""A warm-up ends when its launches stop getting faster, and not for ever."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.steady import SteadyState, Warmth

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)
RULE = SteadyState()


def falling(count: int, noise: float = 0.0) -> list[float]:
    rng = np.random.default_rng(1)
    decay = 1.0 + np.exp(-np.arange(count) / 100.0)
    return (1e-3 * (decay + noise * rng.standard_normal(count))).tolist()


def test_equal_launches_are_steady_after_the_shortest_time() -> None:
    assert RULE.judge([1e-3] * 199, 0.199).warmth is Warmth.GO_ON
    assert RULE.judge([1e-3] * 200, 0.2).warmth is Warmth.STEADY


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_launches_that_get_faster_are_waited_for(noise: float) -> None:
    early = RULE.judge(falling(240, noise), 0.24)
    assert early.warmth is Warmth.GO_ON
    assert early.earlier_s - early.later_s > early.tolerance_s
    assert RULE.judge(falling(2000, noise), 2.0).warmth is Warmth.STEADY


def test_what_was_slow_at_first_falls_out_of_the_window() -> None:
    launches = [1.0] + [1e-3] * 300
    assert RULE.judge(launches, 1.3).warmth is Warmth.STEADY


def test_it_ends_not_steady_at_the_limit() -> None:
    growing = [1e-3 * 1.01**step for step in range(200)]
    assert RULE.judge(growing, 4.9).warmth is Warmth.GO_ON
    assert RULE.judge(growing, 5.0).warmth is Warmth.NOT_STEADY


def test_steady_at_the_limit_is_steady() -> None:
    assert RULE.judge([1.0] * 6, 6.0).warmth is Warmth.STEADY


def test_fewer_than_four_launches_are_no_two_halves() -> None:
    assert RULE.judge([1.0] * 3, 3.0).warmth is Warmth.GO_ON
    assert RULE.judge([6.0], 6.0).warmth is Warmth.NOT_STEADY
    assert RULE.judge([1.0] * 4, 4.0).warmth is Warmth.STEADY


@pytest.mark.parametrize("noise", [0.002, 0.03, 0.2])
def test_noise_alone_is_rarely_a_reason_to_go_on(noise: float) -> None:
    rng = np.random.default_rng(2)
    launches = np.abs(1.0 + noise * rng.standard_normal((500, 200)))
    went_on = sum(RULE.judge(one, 0.5).warmth is not Warmth.STEADY for one in launches)
    # Three standard errors leave 0.3 %; 10 of 500 allow for the estimate of the noise.
    assert went_on <= 10


def test_a_step_of_the_clock_is_no_difference() -> None:
    launches = [1.00e-5] * 100 + [1.05e-5] * 50
    assert RULE.judge(launches, 0.3).warmth is Warmth.GO_ON
    assert SteadyState(clock_tick_s=5.1e-7).judge(launches, 0.3).warmth is Warmth.STEADY


@SETTINGS
@given(
    st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=100),
    st.floats(0.0, 20.0),
)
def test_limits_are_always_kept(launches: list[float], elapsed_s: float) -> None:
    found = RULE.judge(launches, elapsed_s)
    if elapsed_s < RULE.min_s:
        assert found.warmth is Warmth.GO_ON
    if elapsed_s >= RULE.max_s:
        assert found.warmth is not Warmth.GO_ON
    if found.warmth is Warmth.STEADY:
        assert abs(found.earlier_s - found.later_s) <= found.tolerance_s


@pytest.mark.parametrize("launches", [[], [1.0, math.nan], [math.inf]])
def test_launches_that_say_nothing_are_refused(launches: list[float]) -> None:
    with pytest.raises(ValueError, match="launch"):
        RULE.judge(launches, 1.0)


@pytest.mark.parametrize(
    "limits",
    [{"min_s": -1.0}, {"min_s": 3.0, "max_s": 2.0}, {"rel_tolerance": -1.0}, {"clock_tick_s": -1}],
)
def test_impossible_limits_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"interval|negative"):
        SteadyState(**limits)
