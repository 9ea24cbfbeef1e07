"""The step of a clock, from what it has timed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.ticks import clock_tick_s

counts = st.lists(st.integers(1, 10**6), min_size=2, max_size=50)


@given(st.lists(counts, min_size=1, max_size=4), st.sampled_from([1e-9, 3.2e-8, 5e-7, 1e-6, 1e-3]))
def test_it_is_a_multiple_of_the_tick_of_a_clock_that_counts(
    series: list[list[int]], tick_s: float
) -> None:
    found = clock_tick_s([count * tick_s for count in one] for one in series)

    steps = [
        abs(a - b) for one in series for a, b in zip(sorted(one), sorted(one)[1:], strict=False)
    ]
    least = min((step for step in steps if step), default=0)
    assert found == pytest.approx(least * tick_s, rel=1e-3)
    if least:
        assert found >= tick_s * (1 - 1e-3)


@given(counts)
def test_neither_the_order_nor_repetition_matters(samples: list[int]) -> None:
    latency_s = [1e-6 * sample for sample in samples]
    assert clock_tick_s([latency_s]) == clock_tick_s([sorted(latency_s) * 2])


def test_a_step_from_one_series_to_another_is_none() -> None:
    # 1 ms is a kernel's time, 1.001 ms another's; neither has been seen to vary.
    assert clock_tick_s([[1e-3, 1e-3], [1.001e-3]]) == 0.0


@pytest.mark.parametrize("series", [[], [[]], [[1e-3]], [[1e-3] * 9]])
def test_what_never_differs_shows_no_step(series: list[list[float]]) -> None:
    assert clock_tick_s(series) == 0.0


def test_rounding_is_no_step() -> None:
    # The same count of nanoseconds, by two ways of multiplying.
    assert 3 * 1e-4 != 3e-4
    assert clock_tick_s([[3 * 1e-4, 3e-4, 4e-4]]) == pytest.approx(1e-4)
