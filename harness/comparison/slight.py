"""Series whose change is not known, and cannot matter: what is too small, or hidden.

A conditioner of 11 us is never known to 0.2 %, and no pipeline of 1.6 ms is slower for it. Where
all of an interval, in seconds, is within the margin of the whole pipeline's time, the series is
slight: it stays inconclusive, and nothing waits for it. One that is slower by itself, and waits for
more pairs to stand among so many series, is not. What all of them come to together is the whole
pipeline's own verdict. The host's time to hand a pipeline over is beside the device's: it is hidden
where the device takes at least twice as long.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from harness.pipeline.pipeline import HOST_ENQUEUE, WHOLE_PIPELINE
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.comparison.model import SeriesComparison

# Of medians: a single hand-over may take longer.
_HIDDEN_SHARE: Final = 0.5


def weigh(rows: Sequence[SeriesComparison], margin: float) -> tuple[SeriesComparison, ...]:
    """``rows``, of which those that are open and slight say why (``slight``)."""
    wholes = {row.series.setting: row for row in rows if row.series.component == WHOLE_PIPELINE}
    return tuple(
        replace(row, slight=_why(row, wholes[row.series.setting].base_s, margin))
        if row.series.setting in wholes and row.time.status is PairStatus.INCONCLUSIVE
        else row
        for row in rows
    )


def _why(row: SeriesComparison, whole_s: float, margin: float) -> str:
    """Why ``row`` cannot matter; empty where it can."""
    if row.series.component == WHOLE_PIPELINE:
        return ""
    time = row.time
    share = row.base_s * max(abs(time.lower - 1.0), abs(time.upper - 1.0)) / whole_s
    if share <= margin:
        return f"slight: a change of at most {100.0 * share:.2g} % of the pipeline's time"
    most = row.base_s * max(time.upper, 1.0) / whole_s
    if row.series.component == HOST_ENQUEUE and most <= _HIDDEN_SHARE:
        return f"hidden: at most {100.0 * most:.2g} % of the time that the device takes for it"
    return ""
