"""Verdicts on latency budgets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats.budget import Verdict, judge_budget, judge_processes
from harness.stats.quantiles import estimate_quantile
from harness.stats.stopping import Status, TailInterval

SETTINGS = settings(deadline=None, derandomize=True, max_examples=200)
RANKING = [Verdict.MISSED, Verdict.INCONCLUSIVE, Verdict.WITHIN]

latencies = st.lists(st.floats(1e-6, 10.0), min_size=1, max_size=60)


def lognormal(count: int) -> list[float]:
    return [float(s) for s in np.random.default_rng(11).lognormal(sigma=0.1, size=count)]


def test_p99_is_within_from_368_samples_on_and_not_before() -> None:
    samples = lognormal(368)
    limit_s = 2.0 * max(samples)
    assert judge_budget(samples, limit_s).verdict is Verdict.WITHIN
    assert judge_budget(samples[:367], limit_s).verdict is Verdict.INCONCLUSIVE
    assert judge_budget(samples[:367], limit_s).samples_needed == 368


def test_few_samples_can_show_that_the_budget_is_missed() -> None:
    samples = lognormal(20)
    judged = judge_budget(samples, 0.5 * min(samples))
    assert judged.verdict is Verdict.MISSED
    assert judged.estimate.lower > judged.limit_s


def test_limit_inside_the_interval_is_inconclusive_on_either_side_of_the_value() -> None:
    samples = lognormal(600)
    estimate = estimate_quantile(samples, 0.99)
    for limit_s in (
        (estimate.lower + estimate.value) / 2.0,
        (estimate.value + estimate.upper) / 2.0,
    ):
        assert estimate.lower <= limit_s < estimate.upper
        assert judge_budget(samples, limit_s).verdict is Verdict.INCONCLUSIVE


def test_upper_bound_at_the_limit_is_within() -> None:
    samples = lognormal(600)
    upper = estimate_quantile(samples, 0.99).upper
    assert judge_budget(samples, upper).verdict is Verdict.WITHIN
    assert judge_budget(samples, math.nextafter(upper, 0.0)).verdict is not Verdict.WITHIN


def test_lower_bound_at_the_limit_is_not_missed() -> None:
    samples = lognormal(600)
    lower = estimate_quantile(samples, 0.99).lower
    assert judge_budget(samples, lower).verdict is Verdict.INCONCLUSIVE
    assert judge_budget(samples, math.nextafter(lower, 0.0)).verdict is Verdict.MISSED


def test_another_quantile_and_confidence_are_judged_by_their_own_interval() -> None:
    samples = lognormal(40)
    limit_s = 2.0 * max(samples)
    assert judge_budget(samples, limit_s, quantile=0.9).verdict is Verdict.WITHIN
    strict = judge_budget(samples, limit_s, quantile=0.9, confidence=0.99)
    assert strict.verdict is Verdict.INCONCLUSIVE
    assert strict.samples_needed == 51
    assert strict.estimate == estimate_quantile(samples, 0.9, 0.99)


@pytest.mark.parametrize("samples", [[], [math.nan]])
def test_budget_is_not_judged_without_usable_samples(samples: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        judge_budget(samples, 1.0)


@SETTINGS
@given(
    latencies,
    st.lists(st.floats(1e-7, 20.0), min_size=2, max_size=5),
    st.sampled_from([0.5, 0.9, 0.99]),
)
def test_looser_limit_never_makes_the_verdict_worse(
    samples: list[float], limits_s: list[float], quantile: float
) -> None:
    verdicts = [
        RANKING.index(judge_budget(samples, limit_s, quantile=quantile).verdict)
        for limit_s in sorted(limits_s)
    ]
    assert verdicts == sorted(verdicts)


@SETTINGS
@given(latencies, st.floats(1e-7, 20.0), st.floats(1.0, 3.0))
def test_slower_samples_never_make_the_verdict_better(
    samples: list[float], limit_s: float, factor: float
) -> None:
    fast = judge_budget(samples, limit_s, quantile=0.5).verdict
    slow = judge_budget([factor * sample for sample in samples], limit_s, quantile=0.5).verdict
    assert RANKING.index(slow) <= RANKING.index(fast)


# Several processes.


def apart(factors: list[float], count: int = 400) -> dict[int, list[float]]:
    rng = np.random.default_rng(7)
    return {
        process: [float(s) for s in factor * rng.lognormal(sigma=0.003, size=count)]
        for process, factor in enumerate(factors)
    }


def test_all_processes_are_within_or_the_budget_is_not_kept() -> None:
    # One of 150 is too slow for certain, and it holds too few of all samples to be seen there.
    slow = apart([0.9] * 7 + [1.1] + [0.9] * 142, count=400)
    together = [sample for process in slow.values() for sample in process]
    assert judge_budget(together, 1.0).verdict is Verdict.WITHIN

    judged = judge_processes(slow, 1.0)

    assert judged.verdict is Verdict.MISSED
    assert (judged.process, judged.processes) == (7, 150)
    assert (judged.missed_in, judged.within_in) == (1, 149)
    assert judged.estimate.lower > 1.0


def test_within_is_of_every_process_with_the_highest_bound() -> None:
    processes = apart([0.9, 0.95, 0.92])
    judged = judge_processes(processes, 1.0)

    assert (judged.verdict, judged.process, judged.within_in) == (Verdict.WITHIN, 1, 3)
    assert judged.estimate == judge_budget(processes[1], 1.0).estimate


def test_many_processes_that_are_too_short_are_not_within() -> None:
    short = apart([0.9] * 20, count=100)
    assert judge_budget([s for p in short.values() for s in p], 1.0).verdict is Verdict.WITHIN

    judged = judge_processes(short, 1.0)

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.estimate.count < judged.samples_needed
    assert judged.within_in == 0


def test_one_of_many_misses_by_chance_no_more_often_than_one_alone() -> None:
    # The limit is the true p99 of every process: all that misses is chance.
    rng = np.random.default_rng(1)
    limit_s = float(np.exp(2.3263 * 0.003))
    missed = 0
    for _ in range(100):
        draws = rng.lognormal(sigma=0.003, size=(20, 400))
        missed += judge_processes(dict(enumerate(draws.tolist())), limit_s).missed_in > 0
    assert missed <= 8


def test_one_process_is_judged_as_ever() -> None:
    (samples,) = apart([0.9]).values()
    assert judge_processes({0: samples}, 1.0) == judge_budget(samples, 1.0)
    with pytest.raises(ValueError, match="at least one process"):
        judge_processes({}, 1.0)


# Blocks with levels of their own.

PASSES = (16,) * 45


def blocked(level: float, passes: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.standard_normal(len(passes)), passes)
    return np.asarray(10.0 + level * levels + rng.standard_normal(sum(passes)))


@settings(SETTINGS, max_examples=80)
@given(
    st.lists(st.integers(1, 64), min_size=1, max_size=30),
    st.floats(0.0, 3.0),
    st.floats(8.0, 16.0),
    st.integers(0, 1000),
)
def test_a_budget_and_the_rule_that_waits_for_its_tail_never_disagree(
    lengths: list[int], level: float, limit_s: float, seed: int
) -> None:
    passes = tuple(lengths)
    latency_s = blocked(level, passes, seed).tolist()

    judged = judge_budget(latency_s, limit_s, passes)

    rule = TailInterval(rel_precision=0.9)
    decision = rule.decide(latency_s, passes)
    assert judged.estimate == decision.estimate
    if not decision.estimate.is_finite:
        assert decision.status is not Status.CONVERGED
        assert judged.verdict is not Verdict.WITHIN


def test_blocks_with_levels_of_their_own_leave_a_tail_open() -> None:
    """Neighbours hardly show them: the p99 would be bounded where the rule still waits for it."""
    latency_s = blocked(0.7, (64,) * 7, 1).tolist()
    limit_s = 2.0 * max(latency_s)

    assert judge_budget(latency_s, limit_s).verdict is Verdict.WITHIN
    judged = judge_budget(latency_s, limit_s, (64,) * 7)

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judge_processes({3: latency_s}, limit_s, {3: (64,) * 7}).estimate == judged.estimate


@pytest.mark.parametrize("passes", [PASSES, (64,) * 18])
def test_a_tail_in_blocks_is_covered(passes: tuple[int, ...]) -> None:
    level = 0.5
    truth = 10.0 + math.hypot(1.0, level) * 2.3263479
    plain = covered = 0
    for seed in range(400):
        latency_s = blocked(level, passes, seed).tolist()
        for known in ((), passes):
            found = judge_budget(latency_s, truth, known).estimate
            is_covered = found.lower <= truth <= found.upper
            covered += is_covered and bool(known)
            plain += is_covered and not known
    # 95 % are asked for; 372 of 400 is 93 %.
    assert covered >= 372
    assert plain < covered - 10


def test_blocks_of_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks of 20 samples for 30"):
        judge_budget(lognormal(30), 1.0, (10, 10))
