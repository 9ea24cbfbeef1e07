"""What changed in a series, also before the commits that one search looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.history.detect import detect_in
from harness.stats.changes import DEFAULT_RULE, Direction

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from harness.history.commits import KnownCommit
    from harness.history.detect import ChangeCandidate, SeriesFindings
    from harness.history.points import Points

    Values = NDArray[np.float64]

# A search looks at the last 400 figures. Older ones are looked at as if it had been made then, each
# time 300 earlier; what it finds counts where it has 50 behind it, as the next has 50 before it.
WINDOW: Final = DEFAULT_RULE.most
_STRIDE: Final = 3 * WINDOW // 4
_BEHIND: Final = WINDOW // 8
# As harness.stats.changes has it: a level is back if it has come back by so much.
_BACK: Final = 0.75


@dataclass(frozen=True, eq=False)
class FoundChanges:
    """The changes of a series, oldest first, the levels that they leave, and the canary's words.

    ``levels_s`` has one for each commit of the points, in the series' own times; NaN where there
    is no figure, or too few for a search.
    """

    candidates: tuple[ChangeCandidate, ...]
    levels_s: Values
    canary_note: str


def changes_of(points: Points, known: Mapping[str, KnownCommit]) -> FoundChanges:
    """All changes of ``points``: those of a search at its end, and of searches at earlier ones."""
    newest = detect_in(points, known=known)
    found = list(newest.candidates)
    levels_s = _levels(newest)
    for stop, earlier in _earlier(points, known):
        held = np.isnan(levels_s[:stop])
        levels_s[:stop][held] = _levels(earlier)[held]
        limit = _places(points)[: _count_before(points, stop) - _BEHIND][-1]
        found += [
            one
            for one in earlier.candidates
            if one.change.last <= limit and not any(_overlaps(one, other) for other in found)
        ]
    ordered = sorted(found, key=lambda one: (one.change.index, one.change.last))
    whole = (replace(one, points=points) for one in ordered)
    return FoundChanges(
        tuple(_with_later(one, levels_s) for one in whole), levels_s, newest.canary_note
    )


def _places(points: Points) -> NDArray[np.intp]:
    return np.flatnonzero([time is not None for time in points.times_s])


def _count_before(points: Points, stop: int) -> int:
    return int((_places(points) < stop).sum())


def _earlier(
    points: Points, known: Mapping[str, KnownCommit]
) -> Iterator[tuple[int, SeriesFindings]]:
    """Searches as they were at earlier commits, the latest first, until the first is reached."""
    places = _places(points)
    end = places.size
    while end > WINDOW:
        end = max(end - _STRIDE, min(WINDOW, places.size))
        stop = int(places[end - 1]) + 1
        canary_s = points.canary_s[:stop]
        cut = replace(
            points,
            commits=points.commits[:stop],
            times_s=points.times_s[:stop],
            canary_s=canary_s,
            canary=points.canary if any(time is not None for time in canary_s) else "",
        )
        yield stop, detect_in(cut, known=known)


def _levels(found: SeriesFindings) -> Values:
    """The levels as the series has them, with the machine's own drift."""
    count = len(found.points.times_s)
    if not found.findings.levels:
        return np.full(count, np.nan)
    levels = np.array(found.findings.levels)
    return levels * np.array(found.drift.factors) if found.drift else levels


def _overlaps(one: ChangeCandidate, other: ChangeCandidate) -> bool:
    """Whether two changes are one, found twice."""
    return one.change.first <= other.change.last + 1 and other.change.first <= one.change.last + 1


def _with_later(one: ChangeCandidate, levels_s: Values) -> ChangeCandidate:
    """``one`` with what later commits tell: that it recovered."""
    change = one.change
    before = levels_s[: change.first]
    after = levels_s[change.last + 1 :]
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if change.recovered or not before.size or not after.size:
        return one
    sign = 1.0 if change.direction is Direction.SLOWER else -1.0
    left = sign * (np.log(after) - math.log(before[-1]))
    is_back = bool(left.min() <= (1.0 - _BACK) * abs(math.log(change.ratio)))
    return replace(one, change=replace(change, recovered=is_back))
