"""Where the bar of each part of a budget begins and ends, for whatever draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.report.budget_spent import HEADROOM
from harness.report.summary import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.budget_spent import Slice

# Where less than this of the budget is spent, a bar of all of it shows nothing.
_LEAST_SHARE: Final = 0.25


def scale_of(slices: Sequence[Slice], limit_s: float | None) -> tuple[float, bool]:
    """The seconds that a whole bar stands for, and whether they are all of the budget.

    Without a budget, or where the p99 is far from it, they are what is spent.
    """
    spent_s = sum(max(0.0, one.time_s) for one in slices if one.kind != HEADROOM)
    if limit_s is None or spent_s < _LEAST_SHARE * limit_s:
        return spent_s, False
    return max(limit_s, spent_s), True


def span_of(part: Slice, begun_s: float, scale_s: float, *, is_of_all: bool) -> Span | None:
    """The bar of ``part``, before which ``begun_s`` was spent; None where it has none.

    What takes nothing away fills nothing: a gap below 0, where components are quicker together. And
    what is left of a budget is beyond a bar that is not of all of it.
    """
    is_beyond = part.kind == HEADROOM and not is_of_all
    if is_beyond or scale_s <= 0.0 or part.time_s < 0.0:
        return None
    ends = (begun_s, begun_s + part.time_s)
    first, last = (min(max(0.0, at_s), scale_s) / scale_s for at_s in ends)
    return Span(first, last, part.kind)
