"""What a gate would say, by resampling: of equal commits, of slowed ones, at which margin."""

from __future__ import annotations

import numpy as np
import pytest

from harness.noise.resampling import (
    SIZES,
    Pairs,
    grow,
    margin_of,
    slower_share,
    smallest_caught,
)
from harness.stats.pairs import PairRule, PairStatus

RULE = PairRule(looks=(8, 12, 16))
TRIALS = 60


def pairs_of(sd: float, count: int = 16, drift: float = 0.0) -> Pairs:
    rng = np.random.default_rng(1)
    levels = 1.0 + drift * np.arange(count)
    base, head = (levels * np.exp(sd * rng.standard_normal(count)) for _ in range(2))
    return Pairs(tuple(base), tuple(head))


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_a_draw_exchanges_sides_and_keeps_pairs() -> None:
    pairs = Pairs((1.0, 10.0, 100.0), (2.0, 20.0, 200.0))
    base, head = pairs.draw(rng(), 200, 0.5)
    ratios = {round(h / b, 6) for b, h in zip(base, head, strict=True)}
    # Each pair is one that was measured, in either order, with the head slowed.
    assert ratios == {round(1.5 * 2.0, 6), round(1.5 / 2.0, 6)}
    assert set(base) == {1.0, 2.0, 10.0, 20.0, 100.0, 200.0}


def test_a_drift_that_both_of_a_pair_share_is_no_noise() -> None:
    steady, drifting = (
        margin_of(pairs_of(0.001, drift=drift), RULE, TRIALS, rng()) for drift in (0.0, 0.05)
    )
    assert drifting == pytest.approx(steady, abs=0.0005)


def test_equal_commits_raise_no_alarm_and_slowed_ones_do() -> None:
    pairs = pairs_of(0.002)
    assert slower_share(pairs, RULE, TRIALS, rng()).count == 0
    assert slower_share(pairs, RULE, TRIALS, rng(), 0.02).rate == 1.0
    assert slower_share(pairs, RULE, TRIALS, rng(), 0.003).rate < 0.9


def test_more_noise_needs_a_wider_margin_and_hides_more() -> None:
    margins, smallest = [], []
    for sd in (0.0005, 0.005, 0.02):
        pairs = pairs_of(sd)
        margin = margin_of(pairs, RULE, TRIALS, rng())
        found, caught = smallest_caught(pairs, PairRule(margin, looks=RULE.looks), TRIALS, rng())
        assert found in SIZES
        assert found > margin
        by_size = {one.size: one.share.rate for one in caught}
        assert by_size[found] >= 0.95
        assert all(rate < 0.95 for size, rate in by_size.items() if size < found)
        margins.append(margin)
        smallest.append(found)
    assert margins == sorted(margins)
    assert margins[0] == 0.002
    assert smallest == sorted(smallest)
    assert smallest[-1] > 3 * smallest[0]


def test_at_its_margin_equal_commits_are_the_same() -> None:
    pairs, source = pairs_of(0.01), rng()
    margin = margin_of(pairs, RULE, 200, rng())
    rule = PairRule(margin, looks=(16,))
    statuses = [grow(*pairs.draw(source, 16), rule).status for _ in range(100)]
    assert statuses.count(PairStatus.SAME) >= 90


def test_what_nothing_can_be_told_in_is_none() -> None:
    pairs = Pairs((1.0, 1.0, 9.0) * 4, (1.0, 9.0, 1.0) * 4)
    margin = margin_of(pairs, RULE, TRIALS, rng())
    assert margin >= 0.5
    found, _ = smallest_caught(pairs, PairRule(min(margin, 0.9), looks=(8,)), TRIALS, rng())
    assert found is None
