"""The effect of switching something on: found where there is one, none where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from harness.stats.overhead import (
    estimate_median_effect,
    estimate_tail_effect,
    hodges_lehmann,
    is_on,
)


def simulate(
    rng: np.random.Generator,
    *,
    groups: int = 12,
    count: int = 100,
    effect: float = 0.0,
    drift: float = 0.0,
    noise: float = 0.01,
) -> list[np.ndarray]:
    """Blocks of 1 ms with noise, of each block too, a drift over all, and an effect where on."""
    blocks = []
    for block in range(4 * groups):
        level = 1e-3 * (1 + drift * block) * (1 + effect * is_on(block))
        level *= 1 + 0.1 * noise * rng.standard_normal()
        blocks.append(level * (1 + noise * rng.standard_normal(count)))
    return blocks


def test_the_order_is_off_on_on_off_and_then_the_other_way_round() -> None:
    order = "".join("B" if is_on(block) else "A" for block in range(16))

    assert order == "ABBABAABABBABAAB"


@pytest.mark.parametrize("effect", [0.0, 0.02, -0.02])
def test_an_effect_is_found_through_a_drift_that_is_larger(effect: float) -> None:
    blocks = simulate(np.random.default_rng(1), effect=effect, drift=0.01)

    median, tail = estimate_median_effect(blocks), estimate_tail_effect(blocks)

    assert median.lower <= effect <= median.upper
    assert median.relative == pytest.approx(effect, abs=2e-3)
    assert median.upper - median.lower < 5e-3
    assert (median.figure, tail.figure) == ("median", "p99")
    assert tail.lower <= tail.relative <= tail.upper


def test_a_stall_now_and_then_is_seen_by_the_p99_and_not_by_the_median() -> None:
    rng = np.random.default_rng(2)
    blocks = simulate(rng, count=200)
    for block, samples in enumerate(blocks):
        if is_on(block):
            samples[rng.choice(200, 5, replace=False)] *= 1.5

    median, tail = estimate_median_effect(blocks), estimate_tail_effect(blocks)

    assert median.lower < 0.0 < median.upper
    assert tail.lower > 0.2
    assert tail.relative == pytest.approx(0.5, abs=0.1)


def test_the_interval_covers_no_effect_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    missed = {"median": 0, "p99": 0}
    for turn in range(200):
        blocks = simulate(rng, groups=12, count=64, noise=0.02)
        effects = [estimate_median_effect(blocks)]
        if turn < 40:
            effects.append(estimate_tail_effect(blocks))
        for effect in effects:
            missed[effect.figure] += not effect.lower <= 0.0 <= effect.upper

    # 10 are expected; at 5 %, 24 or more come in 4 of 100,000. A bootstrap of few is too narrow.
    assert missed["median"] < 24
    assert missed["p99"] < 10


def test_the_same_seed_gives_the_same_interval() -> None:
    blocks = simulate(np.random.default_rng(4))

    assert estimate_tail_effect(blocks) == estimate_tail_effect(blocks)
    assert estimate_tail_effect(blocks) != estimate_tail_effect(blocks, seed=1)


def test_the_resampled_p99_is_that_of_the_resampled_samples() -> None:
    # With one group that is far above the others a resample's p99 may lie among the lowest.
    rng = np.random.default_rng(5)
    blocks = [
        1e-3 * (1 + 10 * (block < 4)) + 1e-6 * rng.standard_normal(100) for block in range(24)
    ]

    found = estimate_tail_effect(blocks)

    # A third of the resamples lack the slow group: both sides then do.
    assert abs(found.relative) < 0.01
    assert -0.01 < found.lower <= found.upper < 0.01


def test_few_groups_have_an_effect_without_bounds() -> None:
    blocks = simulate(np.random.default_rng(6), groups=5, count=200)
    for effect in (estimate_median_effect(blocks), estimate_tail_effect(blocks)):
        assert math.isfinite(effect.relative)
        assert (effect.lower, effect.upper) == (-math.inf, math.inf)

    few = simulate(np.random.default_rng(6), groups=6, count=30)
    assert math.isfinite(estimate_median_effect(few).lower)
    assert estimate_tail_effect(few).upper == math.inf, "360 a side"


def test_what_is_no_whole_group_is_refused() -> None:
    blocks = [np.ones(3)] * 4
    for wrong in ([], blocks[:3], [*blocks[:3], np.ones(0)]):
        with pytest.raises(ValueError, match="no whole groups of 4"):
            estimate_median_effect(wrong)
        with pytest.raises(ValueError, match="no whole groups of 4"):
            estimate_tail_effect(wrong)
    with pytest.raises(ValueError, match="at least one difference"):
        hodges_lehmann(np.array([]))


@pytest.mark.parametrize("count", [6, 9, 20, 40])
def test_the_signed_rank_interval_is_what_the_test_does_not_reject(count: int) -> None:
    differences = np.random.default_rng(count).standard_normal(count) + 0.3
    estimate, lower, upper = hodges_lehmann(differences)

    assert lower < estimate < upper
    for inside, outside in ((lower + 1e-9, lower - 1e-9), (upper - 1e-9, upper + 1e-9)):
        assert wilcoxon(differences - inside, method="exact").pvalue > 0.05
        assert wilcoxon(differences - outside, method="exact").pvalue <= 0.05
