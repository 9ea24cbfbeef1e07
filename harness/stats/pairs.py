"""Whether one of two sides is slower, by the medians of processes that took turns.

The samples of a process tell little of the next process, so the process is what is repeated, and
its median what is compared: d = ln(head / base) of each pair. The estimate is the median of all
means of two d (Hodges and Lehmann), the interval that of Wilcoxon's signed ranks. It is ``slower``
where all of the interval is above the margin, ``faster`` where all is below minus the margin,
``same`` where all is within, else ``inconclusive``.

A process now and then is off for good, as one in 13 of an H200 was by 1.7 %: memory that landed
elsewhere. It is told, and its pair left out, by one rule for both sides: ranks are robust, but a
few such pairs cost as much as half of the others are worth. Where more than one in five of a side
are off, the side has two speeds, and all count; so they do where too few would be left.

Pairs are added until a look decides; :mod:`harness.stats.looks` holds the error of all looks.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.stats.looks import error_of_all, look_levels
from harness.stats.ranks import Shift, attained_level, paired_shift, unpaired_shift
from harness.stats.variance import MIN_FOR_ODD, ODD_SHARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# A process is odd where it is off its side's median by more than a share, and than so many standard
# deviations: the modified z of Iglewicz and Hoaglin, *How to Detect and Handle Outliers*, 1993.
_ODD_SDS: Final = 3.5
_MAD_TO_SD: Final = 1.4826
_MOST_ODD: Final = 0.2
# With fewer processes a side, runs that did not take turns are not judged.
MIN_UNPAIRED: Final = 5
# Of each process of the base, and of the head.
_Odd = tuple["NDArray[np.bool_]", "NDArray[np.bool_]"]


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
    ``odd_base`` and ``odd_head`` number the processes that are far off their side's others. They
    count only where more than one in five of a side are, or too few would be left.
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
    odd = _odd_of(base, head)
    counts = np.logical_and(*_counted(odd))
    looks = rule.looks_to(len(base))
    place = looks.index(len(base))
    levels = look_levels(looks, rule.alpha / 2.0)
    if not attained_level(int(counts.sum()), levels[place]):
        # Ranks bear with an odd process, but not with too few pairs.
        counts = np.ones(len(base), dtype=np.bool_)
    shift = paired_shift((head - base)[counts])
    return _verdict(
        shift,
        rule,
        tail=levels[place],
        p_value=_p_of_all(looks, levels, place, _p_within(shift, rule)),
        pairs=len(base),
        odd=odd,
        few=f"{len(base)} pair{'' if len(base) == 1 else 's'}",
        more="more pairs may tell",
    )


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
    odd = _odd_of(base, head)
    counts = _counted(odd)
    if min(side.sum() for side in counts) < MIN_UNPAIRED:
        counts = np.ones_like(odd[0]), np.ones_like(odd[1])
    shift = unpaired_shift(base[counts[0]], head[counts[1]])
    fewest = min(len(base), len(head))
    level = rule.alpha / 2.0 if fewest >= MIN_UNPAIRED else 0.0
    return _verdict(
        shift,
        rule,
        tail=level,
        p_value=min(1.0, 2.0 * _p_within(shift, rule)) if level else 1.0,
        pairs=fewest,
        odd=odd,
        few=f"{fewest} process{'' if fewest == 1 else 'es'} a side",
        more="pairs of processes that take turns may tell",
    )


def _logarithms(medians_s: Sequence[float]) -> NDArray[np.float64]:
    values = np.asarray(medians_s, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all() or not (values > 0.0).all():
        message = "a side needs processes, and their medians are positive and finite"
        raise ValueError(message)
    return np.log(values)


def _odd_of(base: NDArray[np.float64], head: NDArray[np.float64]) -> _Odd:
    """Which of each side are odd, by one limit: the spread of both about their medians."""
    offsets = [np.abs(side - np.median(side)) for side in (base, head)]
    limit = math.inf
    if min(len(base), len(head)) >= MIN_FOR_ODD:
        sd = _MAD_TO_SD * float(np.median(np.concatenate(offsets)))
        limit = max(math.log1p(ODD_SHARE), _ODD_SDS * sd)
    return offsets[0] > limit, offsets[1] > limit


def _counted(odd: _Odd) -> _Odd:
    """Which of each side count: all but the odd ones, where these are few."""
    if any(side.mean() > _MOST_ODD for side in odd):
        return np.ones_like(odd[0]), np.ones_like(odd[1])
    return ~odd[0], ~odd[1]


def _p_within(shift: Shift, rule: PairRule) -> float:
    """The one-sided p value of the nearer end of the margin."""
    margin = math.log1p(rule.margin)
    return min(shift.p_not_above(margin), shift.p_not_below(-margin))


def _p_of_all(looks: tuple[int, ...], levels: tuple[float, ...], place: int, p_now: float) -> float:
    """The two-sided p value of all looks where that of the one at ``place`` alone is ``p_now``.

    It is the error of all looks where each has so much more, or less, of it that this one just
    decides.
    """
    if not any(levels):
        return 1.0
    most = 0.5 / max(levels)
    scale = min(p_now / levels[place], most) if levels[place] else most
    return 2.0 * error_of_all(looks, tuple(level * scale for level in levels))


def _verdict(
    shift: Shift,
    rule: PairRule,
    *,
    tail: float,
    p_value: float,
    pairs: int,
    odd: _Odd,
    few: str,
    more: str,
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
        reason = f"too few for an interval at {100.0 * (1.0 - rule.alpha):.4g} %: {few}"
    else:
        reason = f"{_spanned(lower, upper, rule.margin)}: {more}"
    # Ranks attain less than the error that they may have: the p value lies on the verdict's side.
    is_change = status in {PairStatus.SLOWER, PairStatus.FASTER}
    nearest = rule.alpha if is_change else math.nextafter(rule.alpha, 1.0)
    return PairVerdict(
        status=status,
        ratio=math.exp(shift.estimate),
        lower=math.exp(lower),
        upper=math.exp(upper),
        confidence=1.0 - 2.0 * tail,
        p_value=min(p_value, nearest) if is_change else min(1.0, max(p_value, nearest)),
        pairs=pairs,
        reason=reason,
        odd_base=tuple(int(place) for place in np.flatnonzero(odd[0])),
        odd_head=tuple(int(place) for place in np.flatnonzero(odd[1])),
    )


def _spanned(lower: float, upper: float, margin: float) -> str:
    """What an interval leaves open."""
    low, high = 100.0 * math.expm1(lower), 100.0 * math.expm1(upper)
    return f"between {low:+.3g} % and {high:+.3g} %, where {100.0 * margin:.3g} % is no change"
