"""What switching something on costs: the same work in blocks with it and without, alternating.

Blocks come in groups of four, off-on-on-off and on-off-off-on in turn: in a group a drift that is
linear in time cancels, which is far from true of off-off-...-on-on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.stats.quantiles import samples_for_interval
from harness.stats.ranks import DEFAULT_CONFIDENCE, hodges_lehmann

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BLOCKS_OF_GROUP: Final = 4
_RESAMPLES: Final = 2000
MIN_GROUPS: Final = 6
_TAIL: Final = 0.99
# Of the pooled samples, the part from which a resample's p99 is looked for.
_TAIL_PART: Final = 0.1


@dataclass(frozen=True)
class Effect:
    """By how much a figure is larger with it on, as a fraction, and the interval of that.

    ``off`` and ``on`` are the figures themselves, in the unit of the samples. The bounds are
    infinite where the data cannot give them.
    """

    figure: str
    off: float
    on: float
    relative: float
    lower: float
    upper: float
    confidence: float
    method: str


def is_on(block: int) -> bool:
    """Whether it is on in the block of this number: off-on-on-off, on-off-off-on, and again."""
    group, place = divmod(block, BLOCKS_OF_GROUP)
    return (place in {1, 2}) == (group % 2 == 0)


def estimate_median_effect(
    blocks: Sequence[NDArray[np.float64]], confidence: float = DEFAULT_CONFIDENCE
) -> Effect:
    """The effect on the median.

    A group gives one difference of the logarithms of its blocks' medians, on minus off. Their
    Hodges-Lehmann estimate is the median of all pairs' means, and its interval that of Wilcoxon's
    signed-rank test (Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, 3rd ed.,
    section 3.3): the differences need only be independent and symmetric.

    Args:
        blocks: samples in the order measured, on in those of :func:`is_on`; whole groups of four.
        confidence: two-sided.

    Raises:
        ValueError: there is no whole group, or a block without samples.
    """
    medians = np.array([np.median(block) for block in _checked(blocks)])
    grouped = np.log(medians).reshape(-1, BLOCKS_OF_GROUP)
    signs = _signs(len(blocks)).reshape(-1, BLOCKS_OF_GROUP)
    differences = (grouped * signs).sum(axis=1) / (BLOCKS_OF_GROUP / 2)
    estimate, lower, upper = hodges_lehmann(differences, confidence)
    on = _signs(len(blocks)) > 0
    return Effect(
        figure="median",
        off=float(np.median(medians[~on])),
        on=float(np.median(medians[on])),
        relative=math.expm1(estimate),
        # No bound is no bound, not -100 %.
        lower=math.expm1(lower) if math.isfinite(lower) else lower,
        upper=math.expm1(upper),
        confidence=confidence,
        method="Hodges-Lehmann of the groups' differences of log medians, signed-rank interval",
    )


def estimate_tail_effect(
    blocks: Sequence[NDArray[np.float64]],
    confidence: float = DEFAULT_CONFIDENCE,
    *,
    quantile: float = _TAIL,
    seed: int = 0,
) -> Effect:
    """The effect on the p99 of all samples with it on against that of all without.

    The interval is the percentile bootstrap's (Efron and Tibshirani, *An Introduction to the
    Bootstrap*, 1993, chapter 13) over whole groups, since the samples of a group are not
    independent. It needs six groups, and as many samples a side as a p99 has an interval with.

    Args:
        blocks: as for :func:`estimate_median_effect`.
        confidence: two-sided.
        quantile: what to take in place of 0.99.
        seed: of the resampling.

    Raises:
        ValueError: there is no whole group, or a block without samples.
    """
    checked = _checked(blocks)
    groups = len(checked) // BLOCKS_OF_GROUP
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(groups, np.full(groups, 1.0 / groups), size=_RESAMPLES)
    found = []
    for wanted in (False, True):
        side = [(i // BLOCKS_OF_GROUP, b) for i, b in enumerate(checked) if is_on(i) == wanted]
        found.append((_pooled(side, quantile), _resampled(side, drawn, quantile), _count(side)))
    (off, off_drawn, off_count), (on, on_drawn, on_count) = found
    lower, upper = -math.inf, math.inf
    if groups >= MIN_GROUPS and min(off_count, on_count) >= samples_for_interval(quantile):
        tail = (1.0 - confidence) / 2.0
        lower, upper = (
            float(bound) for bound in np.quantile(on_drawn / off_drawn - 1.0, [tail, 1.0 - tail])
        )
    return Effect(
        figure=f"p{quantile * 100:g}",
        off=off,
        on=on,
        relative=on / off - 1.0,
        lower=lower,
        upper=upper,
        confidence=confidence,
        method=f"ratio over all samples, bootstrap of whole groups ({_RESAMPLES} resamples)",
    )


def _checked(blocks: Sequence[NDArray[np.float64]]) -> Sequence[NDArray[np.float64]]:
    if not blocks or len(blocks) % BLOCKS_OF_GROUP or any(len(block) == 0 for block in blocks):
        message = f"{len(blocks)} blocks are no whole groups of {BLOCKS_OF_GROUP} with samples"
        raise ValueError(message)
    return blocks


def _signs(count: int) -> NDArray[np.float64]:
    return np.array([1.0 if is_on(block) else -1.0 for block in range(count)])


Side = list[tuple[int, "NDArray[np.float64]"]]


def _pooled(side: Side, quantile: float) -> float:
    return float(np.quantile(np.concatenate([block for _, block in side]), quantile))


def _count(side: Side) -> int:
    return sum(len(block) for _, block in side)


def _resampled(side: Side, drawn: NDArray[Any], quantile: float) -> NDArray[np.float64]:
    """The quantile of each resample: of the samples of each group as often as it was drawn."""
    samples = np.concatenate([block for _, block in side])
    owners = np.concatenate([np.full(len(block), group) for group, block in side])
    sizes = np.zeros(drawn.shape[1])
    np.add.at(sizes, [group for group, _ in side], [len(block) for _, block in side])
    # The largest first. Nearly always the quantile lies in the first part.
    order = np.argsort(samples)[::-1]
    part = max(1, math.ceil(_TAIL_PART * len(order)))
    samples, owners = samples[order], owners[order]
    found = np.empty(len(drawn))
    for index, times in enumerate(drawn):
        above = (1.0 - quantile) * float(sizes @ times)
        passed = np.cumsum(times[owners[:part]])
        if passed[-1] <= above:
            passed = np.cumsum(times[owners])
        # The first that has too many above it, itself counted.
        found[index] = samples[int(np.searchsorted(passed, above, side="right"))]
    return found
