"""What was found, as changes of the history that was given: places, ratios, recoveries, spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtri

from harness.stats.changes.model import LEAST_AFTER, Change, ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from harness.stats.changes.model import ChangeRule
    from harness.stats.changes.segmentation import Found

    Values = NDArray[np.float64]
    Indices = NDArray[np.intp]

# A level is as before if it has come back by this share of the change.
_BACK: Final = 0.75
# Up and down again within so many values is a spike, beyond it two steps.
LONGEST_SPIKE: Final = 10
NOT_KNOWN: Final = "among the last: whether it stays is not known yet"


@dataclass(frozen=True, eq=False)
class Told:
    """A history: ``logs`` of the values at ``places``, of which ``kept`` are no outliers.

    ``levels`` are the fitted ones, in logs, of all values; ``noise`` is that between commits.
    """

    logs: Values
    places: Indices
    kept: Indices
    levels: Values
    noise: float

    def place(self, index: int) -> int:
        """Where the kept value ``index`` is in the history that was given."""
        return int(self.places[self.kept[index]])

    def rank(self, place: int) -> int:
        """How many values are before ``place``."""
        return int(np.searchsorted(self.places, place))


def spread_levels(levels: Values, logs: Values, kept: Indices) -> Values:
    """The levels of all values: an outlier has the nearer of the two about it."""
    following = np.searchsorted(kept, np.arange(logs.size))
    after = levels[np.minimum(following, kept.size - 1)]
    before = levels[np.maximum(following - 1, 0)]
    spread: Values = np.where(np.abs(logs - after) < np.abs(logs - before), after, before)
    spread[kept] = levels
    return spread


def tell_found(found: Sequence[Found], told: Told, rule: ChangeRule) -> tuple[Change, ...]:
    """Steps and drifts; steps away and soon back again are one spike."""
    return tuple(_joined([_change(one, told, rule) for one in found], told))


def _change(one: Found, told: Told, rule: ChangeRule) -> Change:
    half = float(ndtri((1.0 + rule.confidence) / 2.0)) * one.error
    levels = told.levels[told.kept]
    is_step = one.kind is ChangeKind.STEP
    # How far each later level is from the one before it, as a share of the change.
    left = (levels[one.end :] - levels[one.begin - 1]) * math.copysign(1.0, one.size)
    is_late = one.begin >= levels.size - LEAST_AFTER
    return Change(
        kind=one.kind,
        index=told.place(one.begin),
        # It may as well begin at what was left out before it.
        first=told.place(one.first - 1) + 1 if is_step else told.place(one.first),
        last=told.place(one.last),
        ratio=math.exp(one.size),
        lower=math.exp(one.size - half),
        upper=math.exp(one.size + half),
        confidence=rule.confidence,
        evidence=one.evidence,
        recovered=bool(left.min() <= (1.0 - _BACK) * abs(one.size)),
        note=NOT_KNOWN if is_late else "",
    )


def _joined(changes: Sequence[Change], told: Told) -> Iterator[Change]:
    waiting = list(changes)
    while waiting:
        one = waiting.pop(0)
        if waiting and _is_spike(one, waiting[0], told):
            after = told.rank(waiting.pop(0).index)
            count = after - told.rank(one.index)
            yield replace(
                one,
                kind=ChangeKind.SPIKE,
                first=one.index,
                last=int(told.places[after - 1]),
                recovered=True,
                note=f"{count} commits, and then as before",
            )
        else:
            yield one


def _is_spike(one: Change, other: Change, told: Told) -> bool:
    """Whether two steps are away and back again, soon."""
    if not one.kind is other.kind is ChangeKind.STEP:
        return False
    away, back = math.log(one.ratio), math.log(other.ratio)
    is_back = abs(away + back) <= (1.0 - _BACK) * max(abs(away), abs(back))
    length = told.rank(other.index) - told.rank(one.index)
    return away * back < 0.0 and is_back and length <= LONGEST_SPIKE


def tell_spikes(told: Told, rule: ChangeRule) -> Iterator[Change]:
    """Values set apart that stand out of the levels; neighbours that do so alike are one spike."""
    off = told.logs - told.levels
    limit = max(rule.spike_noises * told.noise, math.log1p(rule.least_ratio))
    out = np.setdiff1d(np.arange(told.logs.size), told.kept)
    groups: list[list[int]] = []
    for index in (int(one) for one in out if abs(off[one]) >= limit):
        if groups and groups[-1][-1] == index - 1 and off[index] * off[index - 1] > 0.0:
            groups[-1].append(index)
        else:
            groups.append([index])
    for group in groups:
        size = float(np.median(off[group]))
        half = float(ndtri((1.0 + rule.confidence) / 2.0)) * told.noise / math.sqrt(len(group))
        is_last = group[-1] == told.logs.size - 1
        yield Change(
            kind=ChangeKind.SPIKE,
            index=int(told.places[group[0]]),
            first=int(told.places[group[0]]),
            last=int(told.places[group[-1]]),
            ratio=math.exp(size),
            lower=math.exp(size - half),
            upper=math.exp(size + half),
            confidence=rule.confidence,
            evidence=abs(size) / told.noise,
            recovered=not is_last,
            note=NOT_KNOWN if is_last else "",
        )
