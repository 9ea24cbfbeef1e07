"""The step of a clock, from what it has timed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.ticks import MAX_TICK_S, clock_tick_s

counts = st.lists(st.integers(1, 10**6), min_size=2, max_size=50)


@given(st.lists(counts, min_size=1, max_size=4), st.sampled_from([1e-9, 3.2e-8, 5e-7, 1e-6]))
def test_it_is_a_multiple_of_the_tick_of_a_clock_that_counts_or_not_known(
    series: list[list[int]], tick_s: float
) -> None:
    found = clock_tick_s([count * tick_s for count in one] for one in series)

    steps = [b - a for one in series for a, b in pairwise(sorted(set(one)))]
    least_s = min(steps, default=0) * tick_s
    assert found == pytest.approx(least_s, rel=1e-3) or not found
    assert found <= MAX_TICK_S * (1 + 1e-3)
    if found:
        assert found >= tick_s * (1 - 1e-3)


@given(st.integers(8, 50), st.sampled_from([1e-9, 3.2e-8, 5e-7, 1e-6]))
def test_enough_successive_counts_show_the_tick(count: int, tick_s: float) -> None:
    found = clock_tick_s([[1e-3], [at * tick_s for at in range(1000, 1000 + count)]])
    assert found == pytest.approx(tick_s, rel=1e-3)


@given(counts)
def test_neither_the_order_nor_repetition_matters(samples: list[int]) -> None:
    latency_s = [1e-8 * sample for sample in samples]
    assert clock_tick_s([latency_s]) == clock_tick_s([sorted(latency_s) * 2])


@pytest.mark.parametrize("tick_s", [1e-7, 1e-6])
def test_fewer_than_eight_values_are_no_grid(tick_s: float) -> None:
    few = [at * tick_s for at in range(100, 107)]
    assert clock_tick_s([few]) == 0.0
    assert clock_tick_s([[*few, 107 * tick_s]]) == pytest.approx(tick_s)
    # They must be of one series: another's are of other work, and may be off by anything.
    assert clock_tick_s([few, [at + 0.3 * tick_s for at in few]]) == 0.0


def test_two_exact_times_are_two_modes_and_no_tick() -> None:
    # 2 % apart, at 10 us and at 1 ms.
    assert clock_tick_s([[1e-5, 1.02e-5] * 50]) == 0.0
    assert clock_tick_s([[1e-3, 1.02e-3] * 50]) == 0.0


def test_no_clock_is_as_coarse_as_that() -> None:
    assert clock_tick_s([[at * 2e-6 for at in range(100, 200)]]) == 0.0


def test_values_off_the_grid_are_not_counted() -> None:
    # Two values near each other by chance, and 20 that are not whole steps from them.
    off = [1e-5 + at * 7.3e-7 for at in range(20)]
    assert clock_tick_s([[*off, 1e-5 + 3e-7]]) == 0.0


def test_a_step_from_one_series_to_another_is_none() -> None:
    # 1 ms is a kernel's time, 1.0001 ms another's; neither has been seen to vary.
    assert clock_tick_s([[1e-3, 1e-3], [1.0001e-3]]) == 0.0


@pytest.mark.parametrize("series", [[], [[]], [[1e-3]], [[1e-3] * 9]])
def test_what_never_differs_shows_no_step(series: list[list[float]]) -> None:
    assert clock_tick_s(series) == 0.0


def test_rounding_is_no_step() -> None:
    # The same count of nanoseconds, by two ways of multiplying.
    assert 3 * 1e-4 != 3e-4
    found = clock_tick_s([[3 * 1e-4, *(3e-4 + at * 1e-6 for at in range(8))]])
    assert found == pytest.approx(1e-6)
