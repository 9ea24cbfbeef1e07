"""Where the time of one variant goes: its components, and what is left of the budget.

Each has a bar that begins where the last has ended.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from harness.report.budget_bars import scale_of, span_of
from harness.report.budget_spent import (
    BUFFERING,
    COMPONENT,
    COPY,
    GAPS,
    HEADROOM,
    HOST,
    TAIL,
    Slice,
)
from harness.report.summary import (
    COMPONENTS,
    Column,
    Row,
    Subject,
    Table,
)
from harness.report.summary_figures import fraction, quantile, seconds
from harness.report.words import bare_milliseconds, sum_sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.budget_spent import Spent
    from harness.report.rows import Group
    from harness.report.rows import Row as Series
    from harness.report.summary import Cell, Figure, Span

# Of what is no component: that is a p50.
_QUANTITIES: Final = {
    GAPS: "gaps",
    TAIL: "tail",
    HEADROOM: "headroom",
    COPY: "p50",
    HOST: "p50",
    BUFFERING: "period",
}


def component_table(group: Group, spent: Spent | None, label: str = "") -> Table:
    """A row for each component, of what else the budget is spent on, and for the whole.

    ``label`` ends the title.
    """
    slices = spent.slices if spent is not None else tuple(_slices(group))
    limit_s = spent.limit_s if spent is not None else None
    scale_s, is_of_all = scale_of(slices, limit_s)
    columns = (
        Column("ms"),
        *((Column("%"),) if limit_s is not None else ()),
        Column(""),
        Column("p90\nms", is_spare=True),
        Column("p95\nms", is_spare=True),
        Column("p99\nms", is_spare=True),
    )
    series = {row.measurement.component: row for row in group.rows}
    rows, begun_s = [], 0.0
    for part in slices:
        span = span_of(part, begun_s, scale_s, is_of_all=is_of_all)
        found = series.get(part.name) if part.kind == COMPONENT else None
        if found is None and part.kind == COMPONENT:
            found = group.pipeline
        rows.append(Row(part.name, tuple(_cells(group, part, found, span, limit_s))))
        begun_s += part.time_s
    whole = group.pipeline
    if whole.is_pipeline and not group.is_whole_only:
        part = Slice(whole.measurement.component, COMPONENT, whole.latency.median.value)
        cells = tuple(_cells(group, part, whole, None, limit_s))
        rows.append(Row(part.name, cells, is_whole=True, begins=True))
    for index, part in enumerate(spent.beside if spent is not None else ()):
        cells = tuple(_cells(group, part, None, None, None if limit_s is None else math.inf))
        rows.append(Row(part.name, cells, begins=index == 0))
    title = f"{group.title.removesuffix(', SIMULATED')}: {_what(limit_s)}{label}"
    notes = tuple(_notes(group, spent, is_of_all=is_of_all))
    return Table(COMPONENTS, title, "component", columns, tuple(rows), notes)


def _what(limit_s: float | None) -> str:
    if limit_s is None:
        return "where the time goes"
    return f"where the {bare_milliseconds(limit_s)} ms go"


def _slices(group: Group) -> Iterator[Slice]:
    """The components, where no budget is held against them."""
    for row in group.rows:
        if not row.is_pipeline or group.is_whole_only:
            yield Slice(row.measurement.component, COMPONENT, row.latency.median.value)
    if group.pipeline.is_pipeline and not group.is_whole_only:
        gaps_s = group.pipeline.latency.median.value - group.sum_of_medians_s
        yield Slice("gaps", GAPS, gaps_s)


def _cells(
    group: Group, part: Slice, series: Series | None, span: Span | None, limit_s: float | None
) -> Iterator[Cell]:
    measured = group.pipeline.measurement
    name = part.name if series is None else series.measurement.component
    arrival = f"{group.mode}, {measured.streams} streams" if measured.streams > 1 else group.mode
    subject = Subject(group.name, str(group.case), arrival, name)
    if series is not None:
        yield quantile(subject, "p50", series.latency.median)
    else:
        yield seconds(subject, _QUANTITIES.get(part.kind, "p50"), part.time_s)
    if limit_s is not None:
        yield _share(subject, part.time_s, limit_s)
    yield span
    for quantity in ("p90", "p95", "p99"):
        if series is None:
            yield None
        else:
            yield quantile(subject, quantity, getattr(series.latency, quantity))


def _share(subject: Subject, time_s: float, limit_s: float) -> Figure | None:
    """The share of the budget; None of what is beside it."""
    return None if math.isinf(limit_s) else fraction(subject, "budget_share", time_s / limit_s)


def _notes(group: Group, spent: Spent | None, *, is_of_all: bool) -> Iterator[str]:
    counts = sorted({row.latency.count for row in group.rows})
    count = f"n = {counts[0]}" if len(counts) == 1 else f"n = {counts[0]} to {counts[-1]}"
    told = [count, group.repeats, "ms: the median of each, measured alone"]
    if spent is not None:
        told.append("%: of the budget")
        if not is_of_all:
            told.append("bars: of the p99, not of the budget")
    elif group.pipeline.is_pipeline and not group.is_whole_only:
        told.append(sum_sentence(group))
    if spent is not None and spent.beside:
        names = ", ".join(one.name for one in spent.beside)
        told.append(f"beside the whole, and not in it: {names}")
    yield "; ".join(filter(None, told))
