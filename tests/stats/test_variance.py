"""Variance taken apart by build, process and sample."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from harness.stats.variance import Sampled, components_of, share_of


def simulate(
    seed: int,
    *,
    builds: int = 1,
    processes: int = 10,
    samples: int = 200,
    of_build: float = 0.0,
    of_process: float = 0.002,
    within: float = 0.004,
    odd: int = 0,
) -> list[Sampled]:
    rng = np.random.default_rng(seed)
    made = []
    for build in range(builds):
        offset = rng.normal(0.0, of_build)
        for _ in range(processes):
            number = len(made)
            centre = offset + rng.normal(0.0, of_process) - (0.017 if number < odd else 0.0)
            logs = math.log(5e-4) + centre + rng.normal(0.0, within, samples)
            made.append(Sampled(number, build, np.exp(logs).tolist()))
    return made


def test_the_parts_of_a_simulated_variance_are_recovered() -> None:
    found = [
        components_of(simulate(seed, builds=8, of_build=0.03, of_process=0.002, within=0.004))
        for seed in range(100)
    ]

    def root_mean_square(values: list[float]) -> float:
        return math.sqrt(float(np.mean(np.square(values))))

    processes = [f.process.sd for f in found if f.process is not None]
    builds = [f.build.sd for f in found if f.build is not None]
    assert len(processes) == len(builds) == 100
    assert np.mean([f.within for f in found]) == pytest.approx(0.004, rel=0.03)
    assert root_mean_square(processes) == pytest.approx(0.002, rel=0.05)
    assert root_mean_square(builds) == pytest.approx(0.03, rel=0.1)


@pytest.mark.parametrize("of_build", [0.001, 0.03])
def test_intervals_hold_the_truth_as_often_as_they_say(of_build: float) -> None:
    found = [
        components_of(simulate(seed, builds=4, samples=100, of_build=of_build))
        for seed in range(100)
    ]
    for spreads, truth in (
        ([f.process for f in found], 0.002),
        ([f.build for f in found], of_build),
    ):
        held = sum(s is not None and s.lower <= truth <= s.upper for s in spreads)
        # 95 %, less three standard errors of 200 draws.
        assert held / len(found) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 200)


def test_samples_alone_are_no_difference_between_processes() -> None:
    found = [components_of(simulate(seed, of_process=0.0, samples=400)) for seed in range(100)]

    spreads = [f.process for f in found if f.process is not None]
    assert np.median([s.sd for s in spreads]) < 1e-4
    assert sum(s.lower == 0.0 for s in spreads) >= 93
    # Of 10 processes in each of 100 runs none is 0.3 % off.
    assert sum(len(f.odd) for f in found) == 0


def test_an_odd_process_is_told_apart_and_widens_nothing() -> None:
    found = components_of(simulate(1, processes=13, of_process=0.0003, odd=1))

    assert found.odd == (0,)
    assert found.process is not None
    assert found.process.sd < 0.001
    assert found.odd_share is not None
    assert (found.odd_share.count, found.odd_share.total) == (1, 13)
    assert found.odd_share.lower == pytest.approx(0.00195, abs=1e-4)
    assert found.odd_share.upper == pytest.approx(0.3603, abs=1e-3)
    assert found.near.count == 12


def test_a_wide_spread_makes_no_process_odd() -> None:
    found = [components_of(simulate(seed, processes=30, of_process=0.02)) for seed in range(50)]

    assert sum(len(f.odd) for f in found) <= 2


def test_of_few_processes_none_is_called_odd() -> None:
    found = components_of(simulate(3, processes=4, of_process=0.0001, odd=1))

    assert found.odd == ()
    assert found.odd_share is None


def test_one_process_shows_nothing_between_processes() -> None:
    found = components_of(simulate(0, processes=1))

    assert (found.process, found.build) == (None, None)
    assert found.within == pytest.approx(0.004, rel=0.3)
    assert found.near.count == 1


def test_one_process_of_each_build_tells_of_builds() -> None:
    found = components_of(simulate(0, builds=6, processes=1, of_build=0.05))

    assert found.process is None
    assert found.build is not None
    assert 0.02 < found.build.sd < 0.1


@settings(max_examples=50, deadline=None)
@given(
    factor=st.floats(1e-3, 1e3),
    seed=st.integers(0, 1000),
    builds=st.integers(1, 3),
    processes=st.integers(1, 6),
)
def test_the_unit_and_the_order_of_processes_change_nothing(
    factor: float, seed: int, builds: int, processes: int
) -> None:
    sampled = simulate(seed, builds=builds, processes=processes, samples=20, of_build=0.01)
    expected = components_of(sampled)
    scaled = [
        Sampled(s.process, s.build, [factor * value for value in s.latency_s])
        for s in reversed(sampled)
    ]
    found = components_of(scaled)

    assert found.median_s == pytest.approx(factor * expected.median_s)
    assert found.within == pytest.approx(expected.within, abs=1e-9)
    assert found.odd == expected.odd
    for mine, other in ((found.process, expected.process), (found.build, expected.build)):
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            assert mine.sd == pytest.approx(other.sd, abs=1e-6)
            assert mine.lower <= mine.sd <= mine.upper


@settings(deadline=None)
@given(total=st.integers(1, 60), data=st.data())
def test_a_share_has_the_exact_interval(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    share = share_of(count, total)

    assert share.lower <= share.rate <= share.upper
    if count:
        assert binom.sf(count - 1, total, share.lower) == pytest.approx(0.025, abs=1e-9)
    if count < total:
        assert binom.cdf(count, total, share.upper) == pytest.approx(0.025, abs=1e-9)


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3), (0, 0)])
def test_what_is_no_share_is_refused(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        share_of(count, total)


@pytest.mark.parametrize("latency_s", [[], [0.0, 1.0], [math.inf], [math.nan]])
def test_samples_that_have_no_logarithm_are_refused(latency_s: list[float]) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        components_of([Sampled(0, 0, latency_s)])


def test_no_process_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no process"):
        components_of([])
