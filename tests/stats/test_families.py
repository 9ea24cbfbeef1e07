"""Many verdicts of one table, against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from harness.stats.families import adjusted_p_values, discoveries

P_VALUES = st.lists(st.floats(0.0, 1.0) | st.sampled_from([0.0, 0.01, 1.0]), max_size=30)


@given(P_VALUES)
def test_p_values_are_adjusted_as_scipy_does(p_values: list[float]) -> None:
    expected = false_discovery_control(p_values) if p_values else []
    assert adjusted_p_values(p_values) == pytest.approx(list(expected), rel=1e-12)


@given(P_VALUES, st.floats(0.001, 0.5))
def test_discoveries_are_those_of_the_step_up_procedure(p_values: list[float], rate: float) -> None:
    # By its definition: the largest k of which the k-th smallest is at most k / count of the rate.
    # Where the two sides are equal but for rounding, either is right.
    ordered, count = sorted(p_values), len(p_values)
    steps = [value for place, value in enumerate(ordered, 1) if value * count / place <= rate]
    most = max(steps, default=-1.0)
    assert discoveries(p_values, rate) == tuple(value <= most for value in p_values)


def test_one_small_p_value_of_many_is_no_discovery_and_several_are() -> None:
    many = [0.5] * 19
    assert not any(discoveries([0.01, *many], 0.02))
    assert discoveries([0.0009, *many], 0.02)[0]
    assert discoveries([0.01] * 12 + [0.5] * 8, 0.02) == (True,) * 12 + (False,) * 8


def test_what_is_no_p_value_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjusted_p_values([0.5, 1.5])
    with pytest.raises(ValueError, match="between 0 and 1"):
        adjusted_p_values([float("nan")])
