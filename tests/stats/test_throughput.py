"""The rate of several streams, and bounds of rare events."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from harness.stats.proportions import independent_trials, upper_bound
from harness.stats.throughput import Span, in_flight, share, throughput


def _loop(start_s: float, *latency_s: float) -> list[Span]:
    spans = []
    for seconds in latency_s:
        spans.append(Span(start_s, start_s + seconds))
        start_s += seconds
    return spans


def test_only_the_time_at_which_all_are_at_work_counts() -> None:
    # The second begins at 1, and its last at 41; of these 40 the first 2 are left out.
    shared = share([_loop(0.0, *[2.0] * 40), _loop(1.0, *[1.0] * 41)])

    assert shared.window_s == pytest.approx(38.0)
    assert shared.rate_per_s == pytest.approx(1.5)
    assert len(shared.latency_s) == 19 + 38
    assert shared.latency_s[:4] == (1.0, 1.0, 2.0, 1.0)


def test_what_began_before_the_end_counts_however_long_it_takes() -> None:
    streams = [_loop(0.0, *[1.0] * 10, 30.0), _loop(0.0, *[1.0] * 40)]

    shared = share(streams, 20.0)

    assert shared.window_s == pytest.approx(19.0)
    assert max(shared.latency_s) == 30.0
    assert len(shared.latency_s) == 10 + 19
    assert shared.rate_per_s == pytest.approx((9 + 1 / 3 + 19) / 19)


@given(
    streams=st.integers(1, 6),
    launches=st.integers(3, 40),
    mean_s=st.floats(1e-5, 10.0),
    seed=st.integers(0, 1 << 32),
)
def test_streams_without_gaps_give_their_number_over_the_mean_latency(
    streams: int, launches: int, mean_s: float, seed: int
) -> None:
    # Little's law: the rates of equal streams add up whenever each began.
    start = random.Random(seed)  # noqa: S311
    own = [_loop(start.uniform(0, mean_s), *[mean_s] * launches) for _ in range(streams)]

    shared = share(own)

    assert shared.rate_per_s == pytest.approx(streams / mean_s, rel=1e-6)
    assert shared.latency_s == pytest.approx([mean_s] * len(shared.latency_s))
    assert len(shared.latency_s) >= streams * (0.95 * (launches - 2) - 2)
    assert in_flight(shared.rate_per_s, shared.latency_s) == pytest.approx(streams, rel=1e-6)


def test_a_gap_between_inferences_lowers_the_rate_and_not_the_latency() -> None:
    spans = [Span(2.0 * i, 2.0 * i + 1.0) for i in range(100)]

    shared = share([spans, spans])

    assert shared.rate_per_s == pytest.approx(1.0, rel=0.01)
    assert in_flight(shared.rate_per_s, shared.latency_s) == pytest.approx(1.0, rel=0.01)
    assert set(shared.latency_s) == {1.0}


def test_what_is_too_short_for_the_clock_counts_once() -> None:
    shared = share([[Span(0, 0), Span(1, 1), Span(2, 2)]])
    assert shared.rate_per_s == pytest.approx(1 / 1.9)


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ([], "needs an inference"),
        ([_loop(0.0, 1.0), []], "needs an inference"),
        ([_loop(0.0, 1.0), _loop(2.0, 1.0)], "at no time"),
        ([_loop(0.0, 4.0, 4.0), _loop(1.0, 4.0)], "at no time"),
    ],
)
def test_what_cannot_be_counted_is_refused(streams: list[list[Span]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        share(streams)


def test_throughput_is_all_over_all_with_an_interval_from_six_blocks_on() -> None:
    few = throughput([10] * 5, [1.0, 2.0, 1.0, 1.0, 1.0])
    assert (few.value, few.is_finite) == (pytest.approx(50 / 6), False)
    many = throughput([10, 20, 10, 10, 10, 40], [1.0] * 6)
    assert (many.inferences, many.counted_s, many.count) == (100, 6.0, 6)
    # Blocks that are equally long: the mean, and Student's t of it.
    error = float(np.std([10, 20, 10, 10, 10, 40], ddof=1)) / math.sqrt(6)
    assert many.value == pytest.approx(100 / 6)
    assert many.upper == pytest.approx(many.value + 2.5706 * error, rel=1e-4)
    assert many.lower == pytest.approx(many.value - 2.5706 * error, rel=1e-4)


def test_a_long_block_counts_for_more_than_a_short_one() -> None:
    # The median of the rates would be 1000.
    found = throughput([10, 10, 10, 10, 10, 1000], [0.01] * 5 + [10.0])
    assert found.value == pytest.approx(1050 / 10.05)
    assert found.lower >= 0.0


@pytest.mark.parametrize(("passes", "walls"), [([], []), ([1], []), ([1, 2], [1.0])])
def test_no_blocks_give_no_rate(passes: list[int], walls: list[float]) -> None:
    with pytest.raises(ValueError, match="give no rate"):
        throughput(passes, walls)
    with pytest.raises(ValueError, match="no latency"):
        in_flight(1.0, ())


def test_the_interval_of_a_rate_covers_it() -> None:
    draws = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        walls = draws.uniform(0.1, 0.3, 12)
        found = throughput([int(n) for n in draws.poisson(1000 * walls)], list(walls))
        covered += found.lower <= 1000 <= found.upper
    assert 273 <= covered < 300


@given(total=st.integers(1, 2000), data=st.data())
def test_the_bound_is_the_rate_at_which_so_few_are_as_rare_as_asked(
    total: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(0, total))
    bound = upper_bound(count, total)
    assert count / total <= bound <= 1.0
    if count < total:
        assert binom.cdf(count, total, bound) == pytest.approx(0.05, rel=1e-6)


def test_none_in_three_hundred_is_under_one_percent() -> None:
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert upper_bound(5, 5) == 1.0
    assert upper_bound(0, 300, 0.99) > upper_bound(0, 300)


@pytest.mark.parametrize(("count", "total"), [(0, 0), (2, 1), (-1, 3)])
def test_what_is_no_rate_is_refused(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        upper_bound(count, total)
    assert math.isfinite(upper_bound(0, 1))


# Events that depend on one another.


def clustered(rate: float, length: float, count: int, seed: int) -> list[bool]:
    """Whether each trial is an event, where an event lasts for ``length`` trials in the mean."""
    draws = np.random.default_rng(seed).random(count)
    begins = rate / length / (1.0 - rate)
    found = [bool(draws[0] < rate)]
    for draw in draws[1:]:
        found.append(bool(draw >= 1.0 / length) if found[-1] else bool(draw < begins))
    return found


@pytest.mark.parametrize("length", [2.0, 5.0])
def test_the_bound_of_events_that_last_covers_their_rate(length: float) -> None:
    plain = covered = 0
    for seed in range(300):
        events = clustered(0.05, length, 400, seed)
        plain += upper_bound(sum(events), 400) >= 0.05
        worth = independent_trials(events, (50,) * 8)
        covered += upper_bound(sum(events), 400, worth=worth) >= 0.05
    # 95 % are asked for; reports/examples/simulations/dependence.md has 97 and 92 % of 1,000.
    assert covered >= 270
    assert plain < 264


def test_the_bound_of_independent_events_is_hardly_moved() -> None:
    bounds = []
    for seed in range(200):
        events = [bool(e) for e in np.random.default_rng(seed).random(400) < 0.05]
        worth = independent_trials(events, (50,) * 8)
        bounds.append(upper_bound(sum(events), 400, worth=worth) / upper_bound(sum(events), 400))
    assert min(bounds) >= 1.0
    assert np.mean(bounds) < 1.2


@pytest.mark.parametrize("events", [[False] * 40, [True] + [False] * 39])
def test_fewer_than_two_events_show_no_dependence(events: list[bool]) -> None:
    assert independent_trials(events) == 40.0
    assert independent_trials(events, (8,) * 5) == 40.0


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 7))
@settings(deadline=None, derandomize=True)
def test_dependence_never_lowers_a_bound(events: list[bool], block: int) -> None:
    passes = [len(events[at : at + block]) for at in range(0, len(events), block)]
    worth = independent_trials(events, passes)
    assert 1.0 <= worth <= len(events)
    plain = upper_bound(sum(events), len(events))
    assert upper_bound(sum(events), len(events), worth=worth) >= plain - 1e-9


@pytest.mark.parametrize("worth", [0.5, 11.0, math.nan])
def test_trials_are_worth_no_more_than_they_are(worth: float) -> None:
    with pytest.raises(ValueError, match="10 trials cannot be worth"):
        upper_bound(1, 10, worth=worth)
    with pytest.raises(ValueError, match="no trial"):
        independent_trials([])
