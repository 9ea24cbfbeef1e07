"""A dashboard of what is easily told wrongly: each part is there for a test in browser/."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from harness.dashboard.model import (
    BudgetStatus,
    Commit,
    Dashboard,
    PairedComparison,
    PairedSeries,
    Part,
    Series,
)
from tests.dashboard.made import full
from tests.dashboard.made_sections import missed, paired, within
from tests.dashboard.made_series import commits, environment, samples, series

if TYPE_CHECKING:
    from harness.dashboard.model import ChangePoint

# The ids of its series.
WHOLE: Final = 0
PACED: Final = 21
OTHER_CLOCK: Final = 40
FAR_BUDGET: Final = 41
LONELY: Final = 42
HOLED: Final = 43
SINGLE: Final = 44
HOLE: Final = 5
# What a spreadsheet would run, and what would begin another cell.
FORMULAS: Final = (" =1+1", "\uff1d1+1", "a\tb")
# What a record of no commit is named by.
UNCOMMITTED: Final = "20260320T101112Z 20260320T101112Z-abcdef"
FLOOR: Final = "fp16 keeps 39.1 dB of the 40 dB that are wanted"


@dataclass(frozen=True)
class SingleRuns(Series):
    """What was measured outside any history."""

    of_history: bool = False


@dataclass(frozen=True)
class Inaccurate(BudgetStatus):
    """Within the time, and not as accurate as is wanted."""

    snr_db: float | None = 39.1
    min_snr_db: float | None = 40.0
    misses_floor: bool = True
    floor_sentence: str = FLOOR


def cases() -> Dashboard:
    """Its newest commit was measured at by nothing: it is the head of an A/B."""
    made = full()
    return replace(
        made,
        commits=(*commits(61, subjects=FORMULAS), Commit(UNCOMMITTED, "2026-03-20T10:11:12")),
        environments=(*made.environments, environment(2, label="a third", simulated=False)),
        series=(_lonely(), *_without_a_cause(made.series), *_more(made.series[0])),
        budgets=(missed(), _paced(), _inaccurate(), _overlapping()),
        comparisons=(_of_few_pairs(),),
    )


def _lonely() -> Series:
    """Of an environment with one commit, and before all others."""
    return series(LONELY, np.array([3]), environment=2, simulated=False)


def _without_a_cause(known: tuple[Series, ...]) -> tuple[Series, ...]:
    """The vocoder's change is of other commits than the pipeline's."""
    return tuple(_moved(one) if one.component == "vocoder" else one for one in known)


def _moved(one: Series) -> Series:
    listed = commits(61)
    later: ChangePoint = replace(
        one.changes[0], at=40, first=40, last=40, good=listed[39].hash, bad=listed[40].hash
    )
    return replace(one, changes=(later,))


def _more(whole: Series) -> tuple[Series, ...]:
    places = np.arange(60)
    measured: dict[str, Any] = {"environment": 1, "simulated": False}
    clock = replace(whole, id=OTHER_CLOCK, clock="host", threads=4, changes=(), samples=())
    far = series(FAR_BUDGET, places, level_s=1.7e-3, size="2 s", budget_s=0.1, **measured)
    holed = series(HOLED, places, component="encoder", step=1.0, size="2 s", **measured)
    kept = np.ones(60, np.float32)
    kept[HOLE] = np.nan
    holed = replace(
        holed,
        counts=np.nan_to_num(holed.counts * kept),
        **{name: getattr(holed, name) * kept for name in ("median_s", "lower_s", "upper_s")},
        quantiles=holed.quantiles * kept[:, None],
    )
    kept_of_many = samples(holed, 59, count=400)
    holed = replace(holed, samples=(replace(kept_of_many, count=3596, process=None),))
    single = series(SINGLE, np.array([7, 61]), component="pipeline", size="2 s", **measured)
    fields = {name: getattr(single, name) for name in Series.__dataclass_fields__}
    return (clock, replace(far, changes=()), holed, SingleRuns(**{**fields, "of_history": False}))


def _paced() -> BudgetStatus:
    return replace(missed(), arrival="paced, by chunk", verdict="within", series=PACED)


def _inaccurate() -> BudgetStatus:
    kept = {name: getattr(within(), name) for name in BudgetStatus.__dataclass_fields__}
    # As the report of such a record: missed, be it in time.
    told = {"snr_db": 39.1, "min_snr_db": 40.0, "misses_floor": True, "floor_sentence": FLOOR}
    kept |= {"verdict": "missed", "reason": "an accuracy floor is missed"}
    return Inaccurate(**{**kept, **told})


def _overlapping() -> BudgetStatus:
    """Two components that overlap by 1 ms: 6 + 4 - 1 + 0.5 ms of 10, and half a one is left."""
    parts = (
        Part("first", "component", 6e-3),
        Part("second", "component", 4e-3),
        Part("gaps", "gaps", -1e-3),
        Part("p99 above the median", "tail", 5e-4),
        Part("headroom", "headroom", 5e-4),
    )
    return replace(within(), limit_s=0.01, p99_s=9.5e-3, median_s=9e-3, parts=parts, series=None)


def _of_few_pairs() -> PairedComparison:
    made = paired()
    rows = [
        PairedSeries("host_to_device", "same", "", 1.0, 0.99, 1.01, made.rows[0].pairs),
        replace(
            made.rows[0], status="inconclusive", lower=0.0, upper=float("inf"), reason="few pairs"
        ),
    ]
    return replace(made, status="inconclusive", rows=tuple(rows))
