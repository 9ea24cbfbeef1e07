"""Shifts by ranks: Hodges and Lehmann's estimates, their intervals, and the tests behind them.

Nothing is assumed of the values but what each function says. Exact at any count, by the very
distribution of the statistic. The tests take a value that lies exactly on the hypothesis for one
that speaks for it, and so do the intervals: an interval leaves a shift out just where the test
rejects it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Shift:
    """All means of pairs, or differences of pairs, in order; their median is the estimate.

    ``cumulative`` holds, for 0, 1, 2 … of them at or below the true shift, the probability of so
    few.
    """

    values: NDArray[np.float64]
    cumulative: NDArray[np.float64]

    @property
    def estimate(self) -> float:
        """The median."""
        return float(np.median(self.values))

    def interval(self, tail: float) -> tuple[float, float]:
        """That which leaves out ``tail`` at each end; ±inf where there are too few for it."""
        rank = int(np.searchsorted(self.cumulative, tail, side="right"))
        if rank < 1:
            return -math.inf, math.inf
        return float(self.values[rank - 1]), float(self.values[-rank])

    def p_not_above(self, shift: float) -> float:
        """The probability of values so high where the true shift is at most ``shift``."""
        return float(self.cumulative[np.searchsorted(self.values, shift, side="right")])

    def p_not_below(self, shift: float) -> float:
        """The probability of values so low where the true shift is at least ``shift``."""
        at_or_above = len(self.values) - int(np.searchsorted(self.values, shift, side="left"))
        return float(self.cumulative[at_or_above])


def paired_shift(differences: NDArray[np.float64]) -> Shift:
    """That of paired ``differences``, by Wilcoxon's signed ranks.

    Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, 3rd ed., section 3.3: the
    differences need only be independent and symmetric about the shift.

    Raises:
        ValueError: there is no difference.
    """
    count = len(differences)
    if count == 0:
        message = "an effect needs at least one difference"
        raise ValueError(message)
    rows, columns = _upper(count)
    means = np.sort((differences[rows] + differences[columns]) / 2.0)
    return Shift(means, _signed_rank(count))


def unpaired_shift(base: NDArray[np.float64], head: NDArray[np.float64]) -> Shift:
    """That of ``head`` against ``base``, which were drawn apart, by Mann and Whitney's ranks.

    Hollander, Wolfe and Chicken, section 4.2 and 4.3: both need only be independent draws of one
    distribution, the one shifted.

    Raises:
        ValueError: there is no value on a side.
    """
    if len(base) == 0 or len(head) == 0:
        message = "an effect needs at least one value a side"
        raise ValueError(message)
    shifts = np.sort((head[:, None] - base[None, :]).ravel())
    return Shift(shifts, _mann_whitney(len(base), len(head)))


def hodges_lehmann(
    differences: NDArray[np.float64], confidence: float = DEFAULT_CONFIDENCE
) -> tuple[float, float, float]:
    """The median of all pairs' means, and its signed-rank interval; ±inf where there are too few.

    Raises:
        ValueError: there is no difference.
    """
    shift = paired_shift(differences)
    return (shift.estimate, *shift.interval((1.0 - confidence) / 2.0))


def attained_level(pairs: int, level: float) -> float:
    """The largest one-sided error up to ``level`` that signed ranks of ``pairs`` can have, or 0."""
    cumulative = _signed_rank(pairs)
    rank = int(np.searchsorted(cumulative, level, side="right"))
    return float(cumulative[rank - 1]) if rank else 0.0


@functools.lru_cache
def _upper(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.triu_indices(count)
    return rows, columns


@functools.lru_cache
def _signed_rank(count: int) -> NDArray[np.float64]:
    """How probable so small a sum of ranks is, from 0 to the sum of all.

    Under the hypothesis the statistic is a sum of 1 … ``count``, each there or not by the toss of a
    coin; the probability of each sum is built up rank by rank.
    """
    probability = np.zeros(count * (count + 1) // 2 + 1)
    probability[0] = 1.0
    for rank in range(1, count + 1):
        shifted = np.zeros_like(probability)
        shifted[rank:] = probability[:-rank]
        probability = (probability + shifted) / 2.0
    return _cumulative(probability)


@functools.lru_cache
def _mann_whitney(base: int, head: int) -> NDArray[np.float64]:
    """How probable so few differences at or below the shift are, from none to all.

    Under the hypothesis every order of all values is as probable. The largest value is of the head
    with probability head / (base + head), and then above every one of the base; what is left is the
    same with one value fewer.
    """
    most = base * head
    # Of row i: i values of the base so far, and as many of the head as the loop has come to.
    rows = [np.eye(1, most + 1)[0] for _ in range(base + 1)]
    for heads in range(1, head + 1):
        for bases in range(1, base + 1):
            shifted = np.zeros(most + 1)
            shifted[bases:] = rows[bases][: most + 1 - bases]
            of_head = heads / (bases + heads)
            rows[bases] = of_head * shifted + (1.0 - of_head) * rows[bases - 1]
    return _cumulative(rows[base])


def _cumulative(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    cumulative = np.minimum(np.cumsum(probability), 1.0)
    cumulative.flags.writeable = False
    return cumulative
