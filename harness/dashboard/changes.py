"""What changed in a series, also before the commits that one search looks at."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.history.detect import detect_in
from harness.stats.changes import DEFAULT_RULE, Direction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from harness.history.commits import KnownCommit
    from harness.history.detect import ChangeCandidate, SeriesFindings
    from harness.history.points import Points

    Values = NDArray[np.float64]
    Places = NDArray[np.intp]

# A search looks at 400 figures. Older ones than the last are looked at as if it had been made then,
# each time 300 earlier.
WINDOW: Final = DEFAULT_RULE.most
STRIDE: Final = 3 * WINDOW // 4
# What is nearer to an end of its search than that may be the rest, or the beginning, of something
# else: of two searches the one that holds it whole tells of it.
BORDER: Final = 40
# As harness.stats.changes has it: a level is back if it has come back by so much.
_BACK: Final = 0.75


@dataclass(frozen=True, eq=False)
class FoundChanges:
    """The changes of a series, oldest first, the levels that they leave, and the canary's words.

    ``levels_s`` has one for each commit of the points, in the series' own times; NaN where there
    is no figure, or too few for a search; ``too_few`` says that there are.
    """

    candidates: tuple[ChangeCandidate, ...]
    levels_s: Values
    canary_note: str
    too_few: bool = False


Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Search:
    """What was found among the figures from number ``begin`` to before ``end``, of ``count``.

    ``found`` has the first and the last figure that each change may be of. ``levels_s`` are of the
    commits up to its last figure.
    """

    begin: int
    end: int
    count: int
    found: tuple[tuple[Span, ChangeCandidate], ...]
    levels_s: Values
    canary_note: str
    too_few: bool

    @property
    def spans(self) -> set[Span]:
        """Where the changes are."""
        return {span for span, _ in self.found}

    def has_begun(self, span: Span) -> bool:
        """Whether there is enough before a change to tell how it began."""
        return self.begin == 0 or span[0] >= self.begin + BORDER

    def has_ended(self, span: Span) -> bool:
        """Whether there is enough after it."""
        return self.end == self.count or span[1] < self.end - BORDER

    def holds(self, span: Span) -> bool:
        """Whether it sees a change whole."""
        return self.has_begun(span) and self.has_ended(span)

    def without(self, spans: Collection[Span]) -> _Search:
        """What is left of it without those at ``spans``."""
        return replace(self, found=tuple(one for one in self.found if one[0] not in spans))


def changes_of(points: Points, known: Mapping[str, KnownCommit]) -> FoundChanges:
    """All changes of ``points``: those of a search at its end, and of searches at earlier ones."""
    looked = _Looked(points, np.flatnonzero([one is not None for one in points.times_s]), known)
    count = looked.places.size
    ends = [*range(count, WINDOW, -STRIDE), min(WINDOW, count)]
    searches = [looked.search(end) for end in ends]
    levels_s = _joined(searches, looked.places)
    again: list[_Search] = []
    for at, (later, earlier) in enumerate(pairwise(searches)):
        searches[at], searches[at + 1], about = _settled(later, earlier, looked)
        if about is not None:
            again.append(about)
            _put_levels(levels_s, about, looked.places)
    found = _distinct([*again, *searches])
    ordered = sorted(found, key=lambda one: (one.change.index, one.change.last))
    whole = (replace(one, points=points) for one in ordered)
    told = tuple(_with_later(one, levels_s) for one in whole)
    return FoundChanges(told, levels_s, searches[0].canary_note, searches[0].too_few)


@dataclass(frozen=True, eq=False)
class _Looked:
    """What is looked at; ``places`` are those of the commits that have a figure."""

    points: Points
    places: Places
    known: Mapping[str, KnownCommit]

    def search(self, end: int) -> _Search:
        """What was found when there were the figures before number ``end``."""
        is_newest = end == self.places.size
        points = self.points if is_newest else _until(self.points, int(self.places[end - 1]) + 1)
        told = detect_in(points, known=self.known)
        ends = [(one.change.first, one.change.last) for one in told.candidates]
        spans = [(int(first), int(last)) for first, last in np.searchsorted(self.places, ends)]
        return _Search(
            begin=max(end - WINDOW, 0),
            end=end,
            count=self.places.size,
            found=tuple(zip(spans, told.candidates, strict=True)),
            levels_s=_levels(told),
            canary_note=told.canary_note,
            too_few=told.findings.too_few,
        )


def _until(points: Points, stop: int) -> Points:
    canary_s = points.canary_s[:stop]
    return replace(
        points,
        commits=points.commits[:stop],
        times_s=points.times_s[:stop],
        canary_s=canary_s,
        canary=points.canary if any(one is not None for one in canary_s) else "",
    )


def _settled(
    later: _Search, earlier: _Search, looked: _Looked
) -> tuple[_Search, _Search, _Search | None]:
    """What each of two searches tells of where they overlap, and one about what neither can."""
    of_earlier = {one for one in later.spans if not later.has_begun(one)}
    of_later = {one for one in earlier.spans if not earlier.has_ended(one)}
    is_open = {one for one in of_earlier if not earlier.has_ended(one)}
    is_open |= {one for one in of_later if not later.has_begun(one)}
    for one, other in product(of_earlier, of_later):
        # Each would leave it to the other.
        is_open |= {one, other} if _overlaps(one, other) else set()
    about = None
    if is_open:
        about = _search_about(is_open, looked)
        cut = [span for span in about.spans if not about.holds(span)]
        # Longer than a search: the newest part of it is told.
        is_kept = {one for one in is_open if any(_overlaps(one, other) for other in cut)}
        of_earlier, of_later = (of_earlier | is_open) - is_kept, (of_later | is_open) - is_kept
        about = about.without(set(cut))
    return later.without(of_earlier), earlier.without(of_later), about


def _search_about(spans: Collection[Span], looked: _Looked) -> _Search:
    """A search in the middle of which ``spans`` are, with what it found there alone."""
    hull = min(one[0] for one in spans), max(one[1] for one in spans)
    middle = (hull[0] + hull[1]) // 2
    end = min(max(middle + WINDOW // 2, WINDOW), looked.places.size)
    about = looked.search(end)
    return about.without({one for one in about.spans if not _overlaps(one, hull)})


def _distinct(searches: Iterable[_Search]) -> list[ChangeCandidate]:
    """The changes of all: one that two of them found as the first has it."""
    found: list[tuple[Span, ChangeCandidate]] = []
    for search in searches:
        seen = [span for span, _ in found]
        found += [
            (span, one)
            for span, one in search.found
            if not any(_overlaps(span, other) for other in seen)
        ]
    return [one for _, one in found]


def _overlaps(one: Span, other: Span) -> bool:
    """Whether two changes are one, found twice."""
    return one[0] <= other[1] + 1 and other[0] <= one[1] + 1


def _joined(searches: Sequence[_Search], places: Places) -> Values:
    """The levels of searches, the latest first: two that overlap meet in the middle of that."""
    joined: Values = searches[0].levels_s.copy()
    for later, earlier in pairwise(searches):
        stop = places[(later.begin + earlier.end) // 2]
        joined[:stop] = earlier.levels_s[:stop]
    return joined


def _put_levels(levels_s: Values, search: _Search, places: Places) -> None:
    """Put in the levels of what it found, and of a little on both sides."""
    for first, last in search.spans:
        begin, end = max(first - BORDER, search.begin), min(last + BORDER, search.end - 1)
        put = slice(places[begin], places[end] + 1)
        levels_s[put] = search.levels_s[put]


def _levels(found: SeriesFindings) -> Values:
    """The levels as the series has them, with the machine's own drift."""
    count = len(found.points.times_s)
    if not found.findings.levels:
        return np.full(count, np.nan)
    levels = np.array(found.findings.levels)
    return levels * np.array(found.drift.factors) if found.drift else levels


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
