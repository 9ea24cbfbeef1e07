"""How a latency budget is spent: by component, in gaps and copies, and what is left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from harness.pipeline.pipeline import DEVICE_TO_HOST, HOST_ENQUEUE, HOST_TO_DEVICE
from harness.report.budgets import judge_budgets
from harness.report.figures import figures_of
from harness.types import HOT, PACED, Budget, Case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.budgets import BudgetFigure
    from harness.report.figures import Figures
    from harness.report.rows import Group
    from harness.stats.trend import Outlook, Slope
    from harness.types import Record

# What a slice is of.
COMPONENT, GAPS, TAIL, HEADROOM = "component", "gaps", "tail", "headroom"
COPY, HOST, BUFFERING = "copy", "host", "buffering"
_BESIDE: Final = {
    HOST_TO_DEVICE: (COPY, "copies to the device"),
    DEVICE_TO_HOST: (COPY, "copies from the device"),
    HOST_ENQUEUE: (HOST, "the host hands it over"),
}


@dataclass(frozen=True)
class Slice:
    """A part of the budget, in seconds; of a gap that is none it is below 0.

    ``kind`` is one of those above.
    """

    name: str
    kind: str
    time_s: float


@dataclass(frozen=True)
class Headroom:
    """What the p99 leaves of the limit, in seconds, with the interval of the p99; < 0 is over."""

    value_s: float
    lower_s: float
    upper_s: float


@dataclass(frozen=True)
class Prospect:
    """The p99 over the history's commits in the record's environment, and what it comes to.

    The slopes are in seconds a commit, of those that were measured, and a day; None where there
    are too few commits. ``commits`` is how many there are.
    """

    commits: int
    by_commit: Slope | None
    by_day: Slope | None
    in_commits: Outlook
    in_days: Outlook


@dataclass(frozen=True)
class Spent:
    """How one variant spends the budget.

    ``slices`` add up to the limit: the components' medians, the gaps between them (the pipeline's
    median less their sum), what the p99 is above the median, and the headroom. ``beside`` are times
    that the pipeline's own does not hold: copies and enqueueing on a device, and the period for
    which a chunk's first sample waits in a paced run. No slices where ``figure`` has no verdict.
    """

    figure: BudgetFigure
    slices: tuple[Slice, ...] = ()
    beside: tuple[Slice, ...] = ()
    median_s: float | None = None
    headroom: Headroom | None = None
    prospect: Prospect | None = None

    @property
    def limit_s(self) -> float:
        """The budget."""
        return self.figure.limit_s


def spent_of(record: Record, budget: Budget) -> tuple[Spent, ...]:
    """How each variant of ``record`` that ships spends ``budget``.

    Where nothing was measured at the budget's size, of each size that was.
    """
    figures = figures_of(record)
    cases = [Case(budget.duration_s, budget.batch)]
    measured = {group.case for group in figures.groups if group.pipeline.is_pipeline}
    if not measured & {*cases}:
        cases = [group.case for group in figures.groups if group.case in measured] or cases
    found = []
    for case in dict.fromkeys(cases):
        its = replace(budget, duration_s=case.duration_s, batch=case.batch)
        judged = judge_budgets(replace(record, budget=its), figures.groups)
        found += [_spent(figure, figures) for figure in judged]
    return tuple(found)


def spent_by(figures: Figures) -> tuple[Spent, ...]:
    """How each variant that ships spends the budget that its record was made with."""
    return tuple(_spent(figure, figures) for figure in figures.budgets)


def _spent(figure: BudgetFigure, figures: Figures) -> Spent:
    group = group_of(figure, figures)
    if figure.verdict is None or group is None:
        return Spent(figure)
    p99 = figure.verdict.estimate
    median_s = group.pipeline.latency.median.value
    bounds = (p99.value, p99.upper, p99.lower)
    headroom = Headroom(*(figure.limit_s - bound_s for bound_s in bounds))
    slices = (
        *_parts(group, median_s),
        Slice("p99 above the median", TAIL, p99.value - median_s),
        Slice("headroom", HEADROOM, headroom.value_s),
    )
    return Spent(figure, slices, tuple(_beside(group)), median_s, headroom)


def group_of(figure: BudgetFigure, figures: Figures) -> Group | None:
    """The group whose samples the figure was judged by."""
    for group in figures.groups:
        parts = group.pipeline.parts
        is_its = (group.variant, group.case) == (figure.variant, figure.case)
        if is_its and group.pipeline.is_pipeline and parts and _arrives(figure, group):
            return group
    return None


def _arrives(figure: BudgetFigure, group: Group) -> bool:
    """Whether the work of ``group`` arrived as the figure's did."""
    if not figure.arrival:
        return group.mode == HOT
    streams = group.pipeline.measurement.streams
    return figure.arrival.startswith(group.mode) and (
        group.mode == PACED or f" {streams} stream" in figure.arrival
    )


def _parts(group: Group, median_s: float) -> Iterator[Slice]:
    """The components and the gaps between them; the whole where no component was measured."""
    rows = [row for row in group.rows if not row.is_pipeline]
    if not rows:
        yield Slice("the whole pipeline", COMPONENT, median_s)
        return
    for row in rows:
        yield Slice(row.measurement.component, COMPONENT, row.latency.median.value)
    yield Slice("gaps", GAPS, median_s - group.sum_of_medians_s)


def _beside(group: Group) -> Iterator[Slice]:
    for row in group.transfers:
        kind, name = _BESIDE[row.measurement.component]
        yield Slice(name, kind, row.latency.median.value)
    period_s = group.pipeline.measurement.period_s
    if group.mode == PACED and period_s is not None:
        yield Slice("buffering: a chunk's first sample waits", BUFFERING, period_s)
