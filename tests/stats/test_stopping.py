"""The stopping rules: where they look, what they decide, and what is left when time runs out."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.autocorrelation import estimate_correlated
from harness.stats.stopping import (
    BIMODAL,
    PRECISION,
    TAIL,
    Decision,
    MedianPrecision,
    Status,
    TailInterval,
    give_up,
    next_look,
)

if TYPE_CHECKING:
    from harness.stats.stopping import StoppingRule

SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)
RULES = (MedianPrecision(), TailInterval())


def gaussian(count: int, noise: float, seed: int = 1) -> np.ndarray:
    return 1e-3 * (1.0 + noise * np.random.default_rng(seed).standard_normal(count))


def even_modes(count: int, gap: float = 0.02, noise: float = 0.003, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 1e-3 * (1.0 + gap * (rng.random(count) < 0.5) + noise * rng.standard_normal(count))


def run(rule: StoppingRule, series: np.ndarray) -> tuple[Decision, list[int]]:
    looks = [rule.next_look(0)]
    decision = rule.decide(series[: looks[0]].tolist())
    while decision.status is Status.GO_ON and rule.next_look(looks[-1]) <= series.size:
        looks.append(rule.next_look(looks[-1]))
        decision = rule.decide(series[: looks[-1]].tolist())
    return decision, looks


def test_looks_are_those_of_the_method() -> None:
    looks = list(itertools.islice(itertools.accumulate(itertools.repeat(0), _after, initial=32), 9))
    assert looks == [32, 40, 50, 63, 79, 98, 123, 153, 191]


def _after(count: int, _: int) -> int:
    return next_look(count)


@SETTINGS
@given(st.integers(0, 100_000))
def test_next_look_is_above_the_count_and_near_it(count: int) -> None:
    assert count < next_look(count) <= max(32, math.ceil(1.25 * (count + 1)))


def test_quiet_series_converges_at_the_first_look() -> None:
    decision, looks = run(MedianPrecision(), gaussian(100, 0.001))
    assert looks == [32]
    assert (decision.status, decision.reason) == (Status.CONVERGED, PRECISION)
    assert decision.estimate.value == pytest.approx(1e-3, rel=1e-3)
    assert (decision.estimate.quantile, decision.estimate.confidence) == (0.5, 0.99)


@pytest.mark.parametrize("seed", range(5))
def test_converged_interval_is_as_narrow_as_asked(seed: int) -> None:
    decision, looks = run(MedianPrecision(), gaussian(3000, 0.03, seed))
    half_s = (decision.estimate.upper - decision.estimate.lower) / 2.0
    assert decision.status is Status.CONVERGED
    assert 200 < looks[-1] < 1200
    assert half_s <= 0.005 * decision.estimate.value


def test_clock_that_cannot_show_the_precision_is_enough() -> None:
    ticks = np.random.default_rng(1).integers(20, 22, 100) * 0.5e-6
    assert run(MedianPrecision(), ticks)[0].status is not Status.CONVERGED
    assert run(MedianPrecision(clock_tick_s=0.5e-6), ticks)[0].status is Status.CONVERGED


def test_before_the_first_look_nothing_converges() -> None:
    assert MedianPrecision().decide([1e-3] * 31).status is Status.GO_ON
    assert MedianPrecision().decide([1e-3] * 32).status is Status.CONVERGED


def test_autocorrelation_is_recorded_and_widens_the_interval() -> None:
    independent = gaussian(400, 0.01, seed=2)
    sorted_runs = np.sort(independent).reshape(20, 20)
    alike = sorted_runs[np.random.default_rng(1).permutation(20)].ravel()
    plain, widened = (MedianPrecision().decide(one) for one in (independent, alike))
    assert abs(plain.autocorrelation) < 0.15
    assert widened.autocorrelation > 0.8
    assert widened.estimate.value == plain.estimate.value
    assert widened.estimate.lower < plain.estimate.lower
    assert widened.estimate.upper > plain.estimate.upper
    assert (plain.status, widened.status) == (Status.CONVERGED, Status.GO_ON)
    expected = estimate_correlated(np.sort(alike), 0.5, 0.99, widened.autocorrelation)
    assert widened.estimate == expected


@pytest.mark.parametrize("seed", range(8))
def test_even_modes_end_inconclusive_before_the_time(seed: int) -> None:
    decision, looks = run(MedianPrecision(), even_modes(20_000, seed=seed))
    assert (decision.status, decision.reason) == (Status.INCONCLUSIVE, BIMODAL)
    assert looks[-1] < 6000
    assert decision.estimate.is_finite


def test_even_modes_closer_than_the_precision_do_no_harm() -> None:
    series = even_modes(1000, gap=0.004, noise=0.0003)
    assert run(MedianPrecision(), series)[0].status is Status.CONVERGED


def test_interval_inside_one_mode_does_not_converge_beside_a_gap() -> None:
    # A quarter of 32 in the upper mode: the 99 % interval ends inside the lower one, and that of
    # 99.99 % does not.
    modes = np.array([1.0] * 24 + [1.02] * 8)
    series = 1e-3 * np.random.default_rng(4).permutation(modes)
    decision = MedianPrecision().decide(series)
    assert decision.estimate.upper == 1e-3
    assert decision.status is Status.GO_ON


def test_giving_up_on_two_modes_says_so() -> None:
    decision = MedianPrecision().decide(even_modes(153))
    assert (decision.status, decision.reason) == (Status.GO_ON, BIMODAL)
    final = give_up(decision, "time")
    assert (final.status, final.reason) == (Status.INCONCLUSIVE, BIMODAL)


@pytest.mark.parametrize("cause", ["time", "samples", "not steady"])
def test_giving_up_keeps_value_and_interval_and_names_the_cause(cause: str) -> None:
    decision = MedianPrecision().decide(gaussian(50, 0.03))
    final = MedianPrecision().give_up(decision, cause)
    assert (decision.status, decision.reason) == (Status.GO_ON, PRECISION)
    assert (final.status, final.reason) == (Status.INCONCLUSIVE, cause)
    assert final.estimate == decision.estimate
    assert final.autocorrelation == decision.autocorrelation


def test_what_has_converged_cannot_be_given_up() -> None:
    decision = MedianPrecision().decide(gaussian(50, 0.001))
    assert give_up(decision, "time") == decision


@pytest.mark.parametrize("noise", [0.001, 0.03])
def test_tail_waits_for_a_finite_interval_and_for_the_median(noise: float) -> None:
    series = gaussian(4000, noise, seed=3)
    decision, looks = run(TailInterval(), series)
    median, median_looks = run(MedianPrecision(), series)
    assert (decision.status, median.status) == (Status.CONVERGED, Status.CONVERGED)
    assert decision.estimate.quantile == 0.99
    assert decision.estimate.confidence == 0.95
    assert decision.estimate.is_finite
    assert looks[-1] >= max(373, median_looks[-1])
    assert looks[-1] <= 1200


def test_tail_says_that_it_alone_is_waited_for() -> None:
    decision = TailInterval().decide(gaussian(298, 0.001))
    assert (decision.status, decision.reason) == (Status.GO_ON, TAIL)
    assert decision.estimate.upper == math.inf


def test_tail_ends_with_even_modes_too() -> None:
    decision, _ = run(TailInterval(), even_modes(20_000))
    assert (decision.status, decision.reason) == (Status.INCONCLUSIVE, BIMODAL)


@SETTINGS
@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=120), st.sampled_from(RULES))
def test_any_series_gets_a_decision_that_can_be_given_up(
    samples: list[float], rule: StoppingRule
) -> None:
    decision = rule.decide(samples)
    final = rule.give_up(decision, "time")
    assert decision.estimate.count == len(samples)
    assert final.status is not Status.GO_ON
    assert final.reason
    if decision.status is Status.CONVERGED and isinstance(rule, MedianPrecision):
        half_s = (decision.estimate.upper - decision.estimate.lower) / 2.0
        assert half_s <= rule.rel_precision * decision.estimate.value


@SETTINGS
@given(st.integers(32, 200), st.floats(1e-3, 0.05), st.floats(1e-6, 1e3))
def test_unit_of_time_does_not_matter(count: int, noise: float, scale: float) -> None:
    series = gaussian(count, noise)
    before, after = (MedianPrecision().decide(one) for one in (series, scale * series))
    assert (after.status, after.reason) == (before.status, before.reason)
    assert after.estimate.lower == pytest.approx(scale * before.estimate.lower, rel=1e-9)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("samples", [[], [1.0, math.nan]])
def test_samples_that_say_nothing_are_refused(rule: StoppingRule, samples: list[float]) -> None:
    with pytest.raises(ValueError, match="sample"):
        rule.decide(samples)


@pytest.mark.parametrize("kind", [MedianPrecision, TailInterval])
@pytest.mark.parametrize(
    "options",
    [{"rel_precision": 0.0}, {"rel_precision": math.nan}, {"clock_tick_s": -1}, {"confidence": 1}],
)
def test_settings_that_no_series_meets_are_refused(
    kind: type[MedianPrecision | TailInterval], options: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match="must be"):
        kind(**options)


@pytest.mark.parametrize("options", [{"quantile": 1.0}, {"tail_confidence": 0.0}])
def test_tail_that_is_no_quantile_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        TailInterval(**options)
