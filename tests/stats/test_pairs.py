"""Verdicts on two sides by their processes: right ones, symmetric ones, and reasons for none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.pairs import (
    PairRule,
    PairStatus,
    PairVerdict,
    judge_pairs,
    judge_unpaired,
)

RULE = PairRule()
JUDGES = (judge_pairs, judge_unpaired)
MIRROR = {PairStatus.SLOWER: PairStatus.FASTER, PairStatus.FASTER: PairStatus.SLOWER}
# Relative to each other as process medians are, with an odd one now and then.
OFFSETS = st.floats(-0.006, 0.006) | st.just(-0.017)
SIDES = (
    st.integers(1, 16)
    .flatmap(
        lambda count: st.tuples(
            *(st.lists(OFFSETS, min_size=count, max_size=count) for _ in range(2)),
            st.sampled_from([0.0, 0.005, 0.02, -0.01]),
        )
    )
    .map(lambda drawn: (np.exp(drawn[0]) * 1e-3, np.exp(np.array(drawn[1]) + drawn[2]) * 1e-3))
)


def medians(seed: int, count: int, ratio: float = 1.0, noise: float = 0.002) -> list[float]:
    return list(1e-3 * ratio * np.exp(noise * np.random.default_rng(seed).standard_normal(count)))


@pytest.mark.parametrize(
    ("ratio", "status"),
    [
        (1.02, PairStatus.SLOWER),
        (1 / 1.02, PairStatus.FASTER),
        (1.0, PairStatus.SAME),
        (1.003, PairStatus.INCONCLUSIVE),
    ],
)
@pytest.mark.parametrize("judge", JUDGES)
def test_what_is_known_is_told(judge: type, ratio: float, status: PairStatus) -> None:
    noise = 0.0005 if status is PairStatus.SAME else 0.002
    verdict = judge(medians(1, 16, noise=noise), medians(2, 16, ratio, noise), RULE)

    assert verdict.status is status
    assert verdict.lower < ratio < verdict.upper
    assert verdict.lower <= verdict.ratio <= verdict.upper
    assert (verdict.reason == "") == (status is not PairStatus.INCONCLUSIVE)
    assert verdict.pairs == 16


def test_eight_pairs_tell_of_two_percent_and_seven_of_nothing() -> None:
    base, head = medians(1, 8), medians(2, 8, 1.02)

    assert judge_pairs(base, head, RULE).status is PairStatus.SLOWER
    few = judge_pairs(base[:6], head[:6], RULE)
    assert few.status is PairStatus.INCONCLUSIVE
    assert (few.lower, few.upper) == (0.0, math.inf)
    assert few.reason == "too few for an interval at 98 %: 6 pairs"


def test_what_is_left_open_is_told() -> None:
    base = [1e-3] * 8
    head = [1e-3 * ratio for ratio in (1.001, 1.002, 1.003, 1.004, 1.005, 1.006, 1.007, 1.008)]

    verdict = judge_pairs(base, head, RULE)

    expected = "between +0.1 % and +0.8 %, where 0.2 % is no change: more pairs may tell"
    assert verdict.reason == expected
    unpaired = judge_unpaired(base[:5], head[:5], RULE)
    assert unpaired.reason.endswith(": pairs of processes that take turns may tell")


@pytest.mark.parametrize("judge", JUDGES)
def test_a_process_that_is_off_for_good_is_told_and_decides_nothing(judge: type) -> None:
    base, head = medians(1, 13, noise=0.0004), medians(2, 13, noise=0.0004)
    assert judge(base, head, RULE).status is PairStatus.SAME
    base[5] *= 1 - 0.017

    verdict = judge(base, head, RULE)

    assert verdict.status is PairStatus.SAME
    assert (verdict.odd_base, verdict.odd_head) == ((5,), ())
    assert judge(head, base, RULE).odd_head == (5,)
    assert verdict.pairs == 13


def test_an_odd_process_counts_where_too_few_pairs_would_be_left() -> None:
    base, head = medians(1, 8, noise=0.0004), medians(2, 8, 1.02, noise=0.0004)
    head[2] *= 1 + 0.017

    verdict = judge_pairs(base, head, RULE)

    assert verdict.odd_head == (2,)
    assert verdict.status is PairStatus.SLOWER
    unpaired = judge_unpaired(base[:5], head[:5], RULE)
    assert (unpaired.odd_head, unpaired.status) == ((2,), PairStatus.SLOWER)


def test_a_side_with_two_speeds_is_judged_by_all_of_its_processes() -> None:
    base, head = medians(1, 16, noise=0.0004), medians(2, 16, noise=0.0004)
    for place in (1, 4, 8, 13):
        head[place] *= 1.05

    verdict = judge_pairs(base, head, RULE)

    assert verdict.odd_head == (1, 4, 8, 13)
    assert verdict.status is PairStatus.INCONCLUSIVE
    assert verdict.upper > 1.02


def test_without_a_margin_nothing_is_the_same() -> None:
    verdict = judge_pairs(medians(1, 32), medians(2, 32), PairRule(margin=0.0))
    assert verdict.status is PairStatus.INCONCLUSIVE


@pytest.mark.parametrize("few", [1, 4])
def test_runs_of_fewer_than_five_processes_a_side_are_not_judged(few: int) -> None:
    verdict = judge_unpaired(medians(1, 31), medians(2, few, 1.5), RULE)

    assert verdict.status is PairStatus.INCONCLUSIVE
    assert verdict.p_value == 1.0
    name = "1 process" if few == 1 else "4 processes"
    expected = f"too few for an interval at 98 %: {name} a side"
    assert verdict.reason == expected
    five = judge_unpaired(medians(1, 5), medians(2, 5, 1.5), RULE)
    assert five.status is PairStatus.SLOWER
    assert five.pairs == 5


def same_but_for_rounding(a: PairVerdict, b: PairVerdict) -> bool:
    figures = [(v.ratio, v.lower, v.upper, v.p_value) for v in (a, b)]
    return figures[0] == pytest.approx(figures[1], rel=1e-12)


@given(SIDES, st.sampled_from(JUDGES))
def test_with_sides_changed_over_the_ratio_is_the_inverse(sides: tuple, judge: type) -> None:
    base, head = sides
    there, back = judge(base, head, RULE), judge(head, base, RULE)

    assert back.status is MIRROR.get(there.status, there.status)
    assert there.ratio * back.ratio == pytest.approx(1.0, rel=1e-12)
    if there.lower > 0.0:
        assert there.lower * back.upper == pytest.approx(1.0, rel=1e-12)
    else:
        assert back.upper == math.inf
    assert back.p_value == pytest.approx(there.p_value, rel=1e-9)
    assert (back.odd_base, back.odd_head) == (there.odd_head, there.odd_base)


@given(SIDES, st.sampled_from(JUDGES), st.sampled_from([2.0**-20, 2.0**10]))
def test_the_unit_of_time_does_not_matter(sides: tuple, judge: type, scale: float) -> None:
    base, head = sides
    found, scaled = judge(base, head, RULE), judge(scale * base, scale * head, RULE)

    assert scaled.status is found.status
    assert same_but_for_rounding(scaled, found)


@given(st.lists(OFFSETS, min_size=1, max_size=32), st.sampled_from(JUDGES))
def test_identical_sides_are_never_slower(offsets: list[float], judge: type) -> None:
    side = np.exp(offsets)

    verdict = judge(side, side, RULE)

    assert verdict.status in {PairStatus.SAME, PairStatus.INCONCLUSIVE}
    assert verdict.ratio == 1.0
    assert verdict.p_value > RULE.alpha


@given(SIDES, st.sampled_from(JUDGES), st.sampled_from([0.01, 0.02, 0.1]))
def test_the_p_value_is_at_most_alpha_just_where_a_change_is_found(
    sides: tuple, judge: type, alpha: float
) -> None:
    verdict = judge(*sides, PairRule(alpha=alpha))

    assert 0.0 < verdict.p_value <= 1.0
    assert (verdict.p_value <= alpha) == (verdict.status in MIRROR)


@given(SIDES)
def test_a_larger_margin_never_finds_more(sides: tuple) -> None:
    small, large = (judge_pairs(*sides, PairRule(margin=m)) for m in (0.002, 0.01))

    assert large.p_value >= small.p_value
    assert large.status in {small.status, PairStatus.SAME, PairStatus.INCONCLUSIVE}


def test_looks_follow_one_another() -> None:
    counts, count = [], RULE.next_look(0)
    while count is not None:
        counts.append(count)
        count = RULE.next_look(count)
    assert tuple(counts) == RULE.looks
    assert RULE.next_look(9) == 12


def test_a_look_between_looks_is_surer_than_a_single_one() -> None:
    base, head = medians(1, 10), medians(2, 10, 1.02)

    between = judge_pairs(base, head, RULE)
    alone = judge_pairs(base, head, PairRule(looks=(10,)))

    assert between.confidence > alone.confidence >= 0.98
    assert between.lower <= alone.lower


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": -0.1},
        {"margin": 1.0},
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"looks": ()},
        {"looks": (8, 8)},
        {"looks": (0, 8)},
    ],
)
def test_a_rule_that_is_none_is_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=r"margin|error|looks"):
        PairRule(**wrong)


@pytest.mark.parametrize("wrong", [[], [0.0], [-1.0], [math.nan], [math.inf]])
@pytest.mark.parametrize("judge", JUDGES)
def test_what_is_no_time_is_refused(judge: type, wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="positive and finite"):
        judge(wrong, wrong, RULE)


def test_sides_of_different_length_are_no_pairs() -> None:
    with pytest.raises(ValueError, match="3 processes of the base and 2 of the head are no pairs"):
        judge_pairs([1.0] * 3, [1.0] * 2, RULE)
