"""Whether one of two sides is slower, by the medians of processes that took turns.

The samples of a process tell little of the next process, so the process is what is repeated, and
its median what is compared: d = ln(head / base) of each pair. The estimate is the median of all
means of two d (Hodges and Lehmann), the interval that of Wilcoxon's signed ranks. It is ``slower``
where all of the interval is above the margin, ``faster`` where all is below minus the margin,
``same`` where all is within, else ``inconclusive``. Both are robust: a process that is off for
good, as one in 13 of an H200 was by 1.7 %, moves the estimate little, and is told.

Pairs are added until a look decides; :mod:`harness.stats.looks` holds the error of all looks.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.looks import error_of_all, look_levels
from harness.stats.ranks import Shift, paired_shift, unpaired_shift
from harness.stats.variance import odd_among

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# With fewer processes a side, runs that did not take turns are not judged.
MIN_UNPAIRED: Final = 5


class PairStatus(enum.Enum):
    """What is known of the ratio of head to base."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class PairVerdict:
    """The ratio of head to base, its interval, and what follows.

    ``lower`` and ``upper`` are ratios, 0 and infinity where there are too few processes for an
    interval; ``confidence`` is that of this interval, in which the error of earlier and later looks
    is accounted for. ``pairs`` is the number of pairs, or of processes of the smaller side where
    they took no turns. ``reason`` tells in words why it is inconclusive.
    ``odd_base`` and ``odd_head`` number the processes that are far off their side's others.
    ``p_value`` is of the hypothesis that the ratio is within the margin, and of all looks: it is at
    most the rule's ``alpha`` just where the status is slower or faster.
    """

    status: PairStatus
    ratio: float
    lower: float
    upper: float
    confidence: float
    p_value: float
    pairs: int
    reason: str = ""
    odd_base: tuple[int, ...] = ()
    odd_head: tuple[int, ...] = ()


@dataclass(frozen=True)
class PairRule:
    """When to look, and how sure to be.

    ``margin`` is the change, as a fraction, that is none: from 1 / (1 + margin) to 1 + margin.
    ``alpha`` is the two-sided error of all ``looks`` together, which are numbers of pairs: equal
    sides are found slower in at most half of it, however large the noise.

    Raises:
        ValueError: there is no such rule.
    """

    margin: float = 0.002
    alpha: float = 0.02
    looks: tuple[int, ...] = (8, 12, 16, 20, 24, 28, 32)

    def __post_init__(self) -> None:
        if not 0.0 <= self.margin < 1.0:
            raise ValueError(f"a margin of {self.margin:g} is not between 0 and 1")
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"an error of {self.alpha:g} is not between 0 and 1")
        if not self.looks or any(
            b <= a for a, b in zip((0, *self.looks), self.looks, strict=False)
        ):
            raise ValueError(f"looks at {self.looks} pairs do not grow")

    def next_look(self, count: int) -> int | None:
        """At how many pairs to look after ``count`` of them, None where that was the last."""
        return next((look for look in self.looks if look > count), None)

    def looks_to(self, count: int) -> tuple[int, ...]:
        """All looks, ``count`` among them; a count beyond the last is the last."""
        return tuple(sorted({*self.looks, count}))


def judge_pairs(base_s: Sequence[float], head_s: Sequence[float], rule: PairRule) -> PairVerdict:
    """Judge process medians in pairs: the k-th of each side ran next to each other.

    A look at a number of pairs that is none of the rule's is taken for one more of its looks.

    Args:
        base_s: the medians of the base's processes, in seconds (any unit that both sides share).
        head_s: those of the head's, as many.
        rule: when to look, and how sure to be.

    Raises:
        ValueError: there is no pair, the sides are not as many, or one is not positive and finite.
    """
    base, head = _logarithms(base_s), _logarithms(head_s)
    if len(base) != len(head):
        message = f"{len(base)} processes of the base and {len(head)} of the head are no pairs"
        raise ValueError(message)
    looks = rule.looks_to(len(base))
    place = looks.index(len(base))
    levels = look_levels(looks, rule.alpha / 2.0)
    shift = paired_shift(head - base)
    p_now = _p_within(shift, rule)
    # The error of all looks at which this one would just decide. It is not above 1/2.
    scale = min(p_now / levels[place], 0.5 / max(levels))
    p_one_sided = error_of_all(looks, tuple(level * scale for level in levels))
    decides = p_now <= levels[place]
    # The integral is exact to some digits; the decision is.
    p_one_sided = (min if decides else _above)(p_one_sided, rule.alpha / 2.0)
    words = f"{len(base)} pairs are too few", "more pairs may tell"
    return _verdict(shift, rule, levels[place], min(1.0, 2.0 * p_one_sided), (base, head), words)


def judge_unpaired(base_s: Sequence[float], head_s: Sequence[float], rule: PairRule) -> PairVerdict:
    """Judge process medians of two runs that did not take turns, at a single look.

    By the ranks of Mann and Whitney. A drift of the machine between the runs is taken for one of
    the code: only pairs that took turns tell them apart.

    Args:
        base_s: the medians of the base's processes, in seconds (any unit that both sides share).
        head_s: those of the head's.
        rule: its margin and its alpha.

    Raises:
        ValueError: there is no process on a side, or one is not positive and finite.
    """
    base, head = _logarithms(base_s), _logarithms(head_s)
    shift = unpaired_shift(base, head)
    fewest = min(len(base), len(head))
    level = rule.alpha / 2.0
    # An interval that leaves nothing out at this error has none.
    tail = level if fewest >= MIN_UNPAIRED else 0.0
    p_value = min(1.0, 2.0 * _p_within(shift, rule)) if fewest >= MIN_UNPAIRED else 1.0
    few = "one process" if fewest == 1 else f"{fewest} processes"
    words = (
        f"{few} a side, and {MIN_UNPAIRED} are the least" if tail == 0.0 else f"{few} are too few",
        "pairs of processes that take turns may tell",
    )
    return _verdict(shift, rule, tail, p_value, (base, head), words)


def _logarithms(medians_s: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(medians_s, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all() or not (values > 0.0).all():
        message = "a side needs processes, and their medians are positive and finite"
        raise ValueError(message)
    return np.log(values)


def _p_within(shift: Shift, rule: PairRule) -> float:
    """The one-sided p value of the nearer end of the margin."""
    margin = math.log1p(rule.margin)
    return min(shift.p_not_above(margin), shift.p_not_below(-margin))


def _above(value: float, bound: float) -> float:
    return max(value, math.nextafter(bound, 1.0))


def _verdict(
    shift: Shift,
    rule: PairRule,
    tail: float,
    p_value: float,
    sides: tuple[NDArray[np.float64], NDArray[np.float64]],
    words: tuple[str, str],
) -> PairVerdict:
    margin = math.log1p(rule.margin)
    lower, upper = shift.interval(tail)
    status, reason = PairStatus.INCONCLUSIVE, ""
    if lower > margin:
        status = PairStatus.SLOWER
    elif upper < -margin:
        status = PairStatus.FASTER
    elif -margin <= lower and upper <= margin:
        status = PairStatus.SAME
    elif math.isinf(lower):
        reason = f"{words[0]} for an interval at {1.0 - rule.alpha:.4g} confidence"
    else:
        reason = f"{_spanned(lower, upper, rule.margin)}: {words[1]}"
    base, head = sides
    return PairVerdict(
        status=status,
        ratio=math.exp(shift.estimate),
        lower=math.exp(lower),
        upper=math.exp(upper),
        confidence=1.0 - 2.0 * tail,
        p_value=p_value,
        pairs=min(len(base), len(head)),
        reason=reason,
        odd_base=odd_among(base),
        odd_head=odd_among(head),
    )


def _spanned(lower: float, upper: float, margin: float) -> str:
    """What an interval leaves open."""
    low, high = 100.0 * math.expm1(lower), 100.0 * math.expm1(upper)
    return f"between {low:+.3g} % and {high:+.3g} %, and up to {100.0 * margin:.3g} % is none"
