"""A dashboard of several runs, of a commit that failed, and of results that asv kept little of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.dashboard.model import QUANTILES, BudgetStatus, Commit, Dashboard, Part, Series
from harness.dashboard.model_rows import CommitFailure
from tests.dashboard.made import full
from tests.dashboard.made_sections import within

if TYPE_CHECKING:
    from numpy.typing import NDArray

REASON: Final = "torch is not installed <b>"
# The commit of the run that was interrupted, and what no series was measured at.
INTERRUPTED: Final = 30
FAILED: Final = "f" * 40
OWN_STATISTICS: Final = 50
FIGURE_ALONE: Final = 51
FEW: Final = 52
# More than there are colours: the first take so much that their numbers fit in the bar.
MANY_PARTS: Final = (*(1e-2 for _ in range(9)), *(2e-4 for _ in range(11)))


def runs() -> Dashboard:
    """That of :func:`full`, its last trade of another run, one run cut off, and a commit more."""
    made = full()
    *trades, other = (
        replace(one, record_id="one", created_utc="2026-11-28T10:00:00+00:00")
        for one in made.trades
    )
    other = replace(other, record_id="two", created_utc="2026-11-28T12:00:00+00:00")
    failed = len(made.commits)
    return replace(
        made,
        commits=(*made.commits, Commit(FAILED, "2026-11-29T00:00:00+00:00", "what fails")),
        budgets=(*made.budgets, _of_many_parts()),
        runs=tuple(replace(one, is_complete=one.commit != INTERRUPTED) for one in made.runs),
        trades=(*trades, other),
        series=(
            *made.series,
            _of_asv(made.series[0], OWN_STATISTICS, {0.25: 0.9, 0.5: 1.0, 0.75: 1.2}, 10),
            _of_asv(made.series[0], FIGURE_ALONE, {0.5: 1.0}, 1),
            replace(made.series[0], id=FEW, component="new_component", changes=(), too_few=True),
        ),
        failures=(
            CommitFailure(
                FAILED, failed, "bench", "env-py3", "measure", REASON, "2026-11-29T01:00:00+00:00"
            ),
        ),
    )


def _of_many_parts() -> BudgetStatus:
    parts = [Part(f"stage {at}", "component", took) for at, took in enumerate(MANY_PARTS, 1)]
    rest = (Part("p99 above the median", "tail", 1e-3), Part("headroom", "headroom", 6.8e-3))
    return replace(within(), variant="many parts", parts=(*parts, *rest))


def _of_asv(like: Series, number: int, known: dict[float, float], count: int) -> Series:
    commits = like.commits[-1:]

    def column(value: float) -> NDArray[np.float32]:
        return np.full(1, value, dtype=np.float32)

    quantiles = np.array([[known.get(one, np.nan) for one in QUANTILES]], dtype=np.float32)
    return replace(
        like,
        id=number,
        source="asv",
        component=f"suite.time_{number}",
        commits=commits,
        counts=column(count),
        quantiles=quantiles,
        median_s=column(1.0),
        lower_s=column(np.nan),
        upper_s=column(np.nan),
        levels_s=column(np.nan),
        energy_j=column(np.nan),
        snr_db=column(np.nan),
        changes=(),
        samples=(),
        too_few=True,
    )
