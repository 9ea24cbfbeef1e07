"""What a gate would say of equal and of slowed commits, by resampling the pairs of an A/A.

A trial draws measured pairs with replacement, each with its sides exchanged at random, and grows as
``harness ab`` does. What binds the two processes of a pair, such as a drift of the machine, stays.
Trials of one pool tell no more of the machine than the pool does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.noise.calibration import Caught
from harness.stats.pairs import PairRule, PairStatus, PairVerdict, judge_pairs
from harness.stats.variance import Share, share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# What is tried, as shares: the smallest that is caught often enough is looked for among these.
SIZES: Final = (
    *(0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5),
)
CAUGHT_RATE: Final = 0.95
# Of equal commits that shall come out as the same.
_SAME_RATE: Final = 0.95
_MARGIN_STEP: Final = 0.0005


@dataclass(frozen=True)
class Pairs:
    """The process medians (s) of an A/A: the k-th of each side ran next to each other."""

    base_s: tuple[float, ...]
    head_s: tuple[float, ...]

    def draw(
        self, rng: np.random.Generator, count: int, size: float = 0.0
    ) -> tuple[list[float], list[float]]:
        """``count`` pairs, of which the head is slower by the share ``size``."""
        chosen = rng.integers(len(self.base_s), size=count)
        both = np.asarray([self.base_s, self.head_s])[:, chosen]
        is_swapped = rng.random(count) < 0.5  # noqa: PLR2004
        base, head = np.where(is_swapped, both[::-1], both)
        return base.tolist(), (head * (1.0 + size)).tolist()


def grow(base_s: Sequence[float], head_s: Sequence[float], rule: PairRule) -> PairVerdict:
    """The verdict of the first look that decides, or else of the last."""
    looks = [look for look in rule.looks if look <= len(base_s)] or [len(base_s)]
    for look in looks:
        found = judge_pairs(base_s[:look], head_s[:look], rule)
        if found.status is not PairStatus.INCONCLUSIVE:
            break
    return found


def slower_share(
    pairs: Pairs, rule: PairRule, trials: int, rng: np.random.Generator, size: float = 0.0
) -> Share:
    """How many of ``trials`` end as ``slower`` where the head is slower by the share ``size``."""
    count = sum(
        grow(*pairs.draw(rng, rule.looks[-1], size), rule).status is PairStatus.SLOWER
        for _ in range(trials)
    )
    return share_of(count, trials)


def margin_of(pairs: Pairs, rule: PairRule, trials: int, rng: np.random.Generator) -> float:
    """The margin at which 95 % of equal commits come out as the same; not below the rule's."""
    last = rule.looks[-1]
    reach = []
    for _ in range(trials):
        found = judge_pairs(*pairs.draw(rng, last), rule)
        reach.append(max(found.upper, 1.0 / found.lower if found.lower else math.inf) - 1.0)
    needed = float(np.quantile(reach, _SAME_RATE, method="higher"))
    if not math.isfinite(needed):
        return max(rule.margin, _SPREAD_ALONE)
    return max(rule.margin, math.ceil(needed / _MARGIN_STEP) * _MARGIN_STEP)


# Where the pairs are too few for an interval: nothing smaller can be told from noise.
_SPREAD_ALONE: Final = 0.5


def smallest_caught(
    pairs: Pairs, rule: PairRule, trials: int, rng: np.random.Generator
) -> tuple[float | None, tuple[Caught, ...]]:
    """The smallest of :data:`SIZES` that 95 % of the trials catch, and all that was tried.

    None where not even the largest is. Larger ones are caught more often, so half of what is left
    is left out at a time.
    """
    sizes = [size for size in SIZES if size > rule.margin]
    tried: dict[float, Share] = {}

    def is_caught(size: float) -> bool:
        tried[size] = slower_share(pairs, rule, trials, rng, size)
        return tried[size].rate >= CAUGHT_RATE

    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        if is_caught(sizes[middle]):
            high = middle
        else:
            low = middle + 1
    found = sizes[low] if low < len(sizes) else None
    return found, tuple(Caught(size, tried[size]) for size in sorted(tried))
