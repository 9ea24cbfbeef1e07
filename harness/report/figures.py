"""The figures of a record, ready to show: one model for every renderer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import RecordError
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.budget import BudgetVerdict, Verdict, judge_budget
from harness.stats.summary import LatencySummary, real_time_factor, summarize
from harness.types import Case

if TYPE_CHECKING:
    from harness.types import Measurement, Record

REFERENCE_BACKEND = "torch"


@dataclass(frozen=True)
class Row:
    """One measured series: a component or the whole pipeline, by one backend.

    ``ratio_to_torch`` is its median over PyTorch eager's in the same run; below 1 is faster.
    """

    measurement: Measurement
    latency: LatencySummary
    real_time_factor: float | None
    ratio_to_torch: float | None

    @property
    def is_pipeline(self) -> bool:
        """Whether this is the whole pipeline rather than one component."""
        return self.measurement.component == WHOLE_PIPELINE

    @property
    def misses_floor(self) -> bool:
        """Whether the accuracy is known and under the pipeline's floor."""
        measured, floor = self.measurement.snr_db, self.measurement.min_snr_db
        return measured is not None and floor is not None and not measured >= floor


@dataclass(frozen=True)
class Group:
    """All series of one backend at one case; the last row is the whole pipeline."""

    case: Case
    backend: str
    precision: str
    rows: tuple[Row, ...]

    @property
    def pipeline(self) -> Row:
        """The row of the whole pipeline."""
        return self.rows[-1]

    @property
    def sum_of_medians_s(self) -> float:
        """What the components' medians add up to."""
        return sum(row.latency.median.value for row in self.rows if not row.is_pipeline)


@dataclass(frozen=True)
class BudgetFigure:
    """A budget's verdict for one backend; no verdict where its case was not measured."""

    backend: str
    precision: str
    case: Case
    limit_s: float
    verdict: BudgetVerdict | None


@dataclass(frozen=True)
class Figures:
    """Everything that a report shows of one record."""

    record: Record
    groups: tuple[Group, ...]
    budgets: tuple[BudgetFigure, ...]

    @property
    def missed_floors(self) -> tuple[Row, ...]:
        """The rows whose accuracy is under the floor."""
        return tuple(row for group in self.groups for row in group.rows if row.misses_floor)

    @property
    def unchecked_floors(self) -> tuple[Row, ...]:
        """The rows that have a floor and no accuracy to hold against it."""
        rows = (row for group in self.groups for row in group.rows)
        return tuple(
            row
            for row in rows
            if row.measurement.min_snr_db is not None and row.measurement.snr_db is None
        )

    @property
    def is_missed(self) -> bool:
        """Whether a budget or a floor is missed, beyond doubt."""
        missed = any(b.verdict and b.verdict.verdict is Verdict.MISSED for b in self.budgets)
        return missed or bool(self.missed_floors)

    @property
    def is_inconclusive(self) -> bool:
        """Whether a budget or a floor is neither kept nor missed.

        For want of samples, of the budget's case, or of a reference.
        """
        is_open = any(
            b.verdict is None or b.verdict.verdict is Verdict.INCONCLUSIVE for b in self.budgets
        )
        return is_open or bool(self.unchecked_floors)


def figures_of(record: Record) -> Figures:
    """Compute the figures of ``record``."""
    series: dict[tuple[Case, str, str], list[Measurement]] = {}
    for measurement in record.measurements:
        case = Case(measurement.duration_s, measurement.batch)
        rows = series.setdefault((case, measurement.backend, measurement.precision), [])
        if any(row.component == measurement.component for row in rows):
            what = f"{measurement.component} at {case} by {measurement.backend} is there twice"
            raise RecordError(what, where=record.record_id, fix="measure it again")
        rows.append(measurement)
    medians = {
        (Case(m.duration_s, m.batch), m.component): summarize(m.latency_s).median.value
        for m in record.measurements
        if m.backend == REFERENCE_BACKEND
    }
    groups = tuple(
        Group(
            case=case,
            backend=backend,
            precision=precision,
            rows=tuple(_row(m, medians.get((case, m.component))) for m in measurements),
        )
        for (case, backend, precision), measurements in series.items()
    )
    return Figures(record=record, groups=groups, budgets=_budgets(record, groups))


def _row(measurement: Measurement, torch_median_s: float | None) -> Row:
    latency = summarize(measurement.latency_s)
    duration_s = measurement.duration_s
    is_peer = torch_median_s is not None and measurement.backend != REFERENCE_BACKEND
    return Row(
        measurement=measurement,
        latency=latency,
        real_time_factor=duration_s
        and real_time_factor(latency.median.value, duration_s * measurement.batch),
        ratio_to_torch=latency.median.value / torch_median_s
        if is_peer and torch_median_s
        else None,
    )


def _budgets(record: Record, groups: tuple[Group, ...]) -> tuple[BudgetFigure, ...]:
    budget = record.budget
    if budget is None:
        return ()
    case = Case(budget.duration_s, budget.batch)
    measured = {(g.backend, g.precision): g for g in groups if g.case == case}
    figures = []
    # PyTorch is the peer that others are held against, not what ships: it has no budget to keep,
    # unless it is all that was measured.
    kinds = list(dict.fromkeys((g.backend, g.precision) for g in groups))
    shipped = [kind for kind in kinds if kind[0] != REFERENCE_BACKEND] or kinds
    for kind in shipped:
        group = measured.get(kind)
        samples = group.pipeline.measurement.latency_s if group else ()
        figures.append(
            BudgetFigure(
                backend=kind[0],
                precision=kind[1],
                case=case,
                limit_s=budget.p99_s,
                verdict=judge_budget(samples, budget.p99_s) if samples else None,
            )
        )
    return tuple(figures)
