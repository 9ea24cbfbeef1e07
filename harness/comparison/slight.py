"""Series whose change is not known, and cannot matter: what is too small, or hidden.

A conditioner of 11 us is never known to 0.2 %, and no pipeline of 1.6 ms is slower for it. Where
all of an interval, in seconds, is within the margin of the whole pipeline's time, the series is
slight: it stays inconclusive, and decides no exit code. What all components come to together is the
whole pipeline's own verdict; copies are beside it, and must be within the margin together. The
host's time to hand a pipeline over is beside the device's, and hidden where it is a small part.

What is known to have changed by itself, and waits for more pairs to stand among so many series, is
not slight, nor is what was asked for by name. What is known to have changed although both sides run
the very same graph did so for what runs around it, as after a larger component that empties the
caches: that is slight within the same margin. Measuring goes on for a slight series as long as it
may yet become known.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from harness.comparison.model import CHANGES
from harness.pipeline.pipeline import (
    DEVICE_TO_HOST,
    HOST_ENQUEUE,
    HOST_TO_DEVICE,
    WHOLE_PIPELINE,
)
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from harness.comparison.model import SeriesComparison
    from harness.stats.pairs import PairRule

# With a margin of 10 %, as a noisy machine needs, a large component would be slight.
MOST_SHARE: Final = 0.005
# Of medians: a single hand-over may take longer.
_HIDDEN_SHARE: Final = 0.05
# With 1, a content encoder that is 0.5 % slower was passed in 8 of 100 simulated A/Bs.
_UNSURE: Final = 2.0
_COPIES: Final = frozenset({HOST_TO_DEVICE, DEVICE_TO_HOST})


def weigh(
    rows: Sequence[SeriesComparison],
    margin: float,
    *,
    asked: Collection[str] = (),
    same: Collection[str] = (),
) -> tuple[SeriesComparison, ...]:
    """``rows``, of which those that cannot matter say why (``slight``).

    Args:
        rows: all series of two sides, judged together.
        margin: the change of the whole, as a fraction, that is none.
        asked: components that were asked for by name.
        same: those whose graphs are the very same on both sides.
    """
    wholes = {row.series.setting: row for row in rows if row.series.component == WHOLE_PIPELINE}
    copies = dict.fromkeys(wholes, 0.0)
    for row in rows:
        if row.series.component in _COPIES and row.series.setting in wholes:
            copies[row.series.setting] += _share(row, wholes[row.series.setting])
    limit, found = min(margin, MOST_SHARE), []
    for row in rows:
        component, whole = row.series.component, wholes.get(row.series.setting)
        if whole is None or component in {WHOLE_PIPELINE, *asked}:
            found.append(row)
        elif row.time.status is PairStatus.INCONCLUSIVE:
            why = _why(row, whole, copies[row.series.setting], limit)
            found.append(replace(row, slight=why))
        elif row.time.status in CHANGES and component in same:
            found.append(replace(row, slight=_why_not_its_own(row, whole, limit)))
        else:
            found.append(row)
    return tuple(found)


def is_waited_for(row: SeriesComparison, rule: PairRule) -> bool:
    """Whether ``row``, which was weighed, is open, and matters or may yet be known."""
    if not row.slight:
        return row.status is PairStatus.INCONCLUSIVE
    return row.time.status is PairStatus.INCONCLUSIVE and may_be_known(row, rule)


def may_be_known(row: SeriesComparison, rule: PairRule) -> bool:
    """Whether more pairs may yet tell of ``row``: its interval could get as narrow as the margin.

    It gets narrower with the root of the number of pairs, which are at most those of the last look;
    how wide it is now is known to a factor only.
    """
    if not 0.0 < row.time.lower <= row.time.upper < math.inf:
        return True
    half_width = 0.5 * math.log(row.time.upper / row.time.lower)
    return half_width * math.sqrt(row.time.pairs / rule.looks[-1]) <= _UNSURE * math.log1p(
        rule.margin
    )


def _why(row: SeriesComparison, whole: SeriesComparison, copies: float, limit: float) -> str:
    """Why ``row`` cannot matter; empty where it can."""
    share = _share(row, whole)
    # Copies are no part of the whole, whose verdict has all components together.
    together = copies if row.series.component in _COPIES else share
    if together <= limit:
        return f"slight: a change of at most {100.0 * share:.2g} % of the pipeline's time"
    # Of the head's as well, which may have got faster.
    most = row.base_s * max(row.time.upper, 1.0) / min(whole.base_s, whole.head_s)
    if row.series.component == HOST_ENQUEUE and most <= _HIDDEN_SHARE:
        return f"hidden: at most {100.0 * most:.2g} % of the time that the device takes for it"
    return ""


def _why_not_its_own(row: SeriesComparison, whole: SeriesComparison, limit: float) -> str:
    """Why the change of a ``row`` whose graph is the same cannot matter; empty where it can."""
    share = _share(row, whole)
    if share > limit:
        return ""
    told = f"{row.time.status.value}, though its graph is the same: what runs around it changed"
    return f"slight: {told}; at most {100.0 * share:.2g} % of the pipeline's time"


def _share(row: SeriesComparison, whole: SeriesComparison) -> float:
    """The largest change that its interval holds, as a share of the whole's time."""
    largest = max(abs(row.time.lower - 1.0), abs(row.time.upper - 1.0))
    return row.base_s * largest / whole.base_s
