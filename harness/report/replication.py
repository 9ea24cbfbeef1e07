"""What fresh processes, and builds, differ by."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from harness.report.pools import pool
from harness.report.tables import table_of
from harness.report.words import milliseconds
from harness.stats.variance import Components, Sampled, Spread, components_of
from harness.types import CONCURRENT, HOT, Case, Variant

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from harness.types import Measurement, Record


@dataclass(frozen=True)
class ReplicationFigure:
    """One series of several processes: its components of variance, and its parts."""

    component: str
    variant: Variant
    case: Case
    mode: str
    streams: int
    components: Components
    parts: tuple[Measurement, ...]

    @property
    def label(self) -> str:
        """The component, and how work arrived unless it was back to back: ``pipeline, paced``."""
        if self.mode == CONCURRENT:
            return f"{self.component}, {self.streams} stream{'s' if self.streams > 1 else ''}"
        return self.component if self.mode == HOT else f"{self.component}, {self.mode}"


def replication_of(record: Record) -> tuple[ReplicationFigure, ...]:
    """A figure of each series that more than one process has measured."""
    return tuple(
        ReplicationFigure(
            component=held.parts[0].component,
            variant=held.parts[0].variant,
            case=Case(held.parts[0].duration_s, held.parts[0].batch),
            mode=held.parts[0].mode,
            streams=held.parts[0].streams,
            components=components_of(
                [Sampled(part.process, part.build, part.latency_s) for part in held.parts]
            ),
            parts=held.parts,
        )
        for held in pool(record)
        if len(held.parts) > 1
    )


def render_replication(record: Record) -> list[RenderableType]:
    """A table for each variant and case, and the processes that are missing."""
    tables: dict[tuple[Variant, Case], list[ReplicationFigure]] = {}
    for figure in replication_of(record):
        tables.setdefault((figure.variant, figure.case), []).append(figure)
    last = next(reversed(tables), None)
    parts: list[RenderableType] = [
        _table(*kind, figures, is_last=kind == last) for kind, figures in tables.items()
    ]
    if record.replication is not None:
        for missing in record.replication.missing:
            what = f"process {missing.process} of build {missing.build} is missing"
            parts.append(Padding(Text(f"{what}: {missing.reason}", "yellow"), (0, 0, 0, 2)))
    return parts


def _table(
    variant: Variant, case: Case, figures: list[ReplicationFigure], *, is_last: bool
) -> Table:
    head = figures[0].components
    of = f"{head.processes} processes"
    of += f" of {head.builds} builds" if head.builds > 1 else ""
    table = table_of(f"Replication: {variant}, {case}: {of}", ("near", "within %"))
    headings = ["p50 ms", "within %", "processes %"]
    if head.builds > 1:
        headings.append("builds %")
    for heading in (*headings, "odd", "near"):
        table.add_column(heading, justify="right", no_wrap=True)
    for figure in figures:
        found = figure.components
        cells = [milliseconds(found.median_s), _percent(found.within), _spread(found.process)]
        if head.builds > 1:
            cells.append(_spread(found.build))
        near = f"{found.near.count}/{found.near.total}"
        table.add_row(figure.label, *cells, _odd(found), near)
    if is_last:
        table.caption = _CAPTION
    return table


_CAPTION = (
    "standard deviations in % of the latency, with 95 % intervals: within a process; of processes' "
    "medians, odd ones left out, beyond what samples explain; of builds' medians, beyond that; "
    "odd: processes off by more than 0.3 % and 5 robust standard deviations, with the rate's 95 % "
    "bound; near: medians within ±0.3 % of their build's"
)


def _percent(share: float) -> str:
    return f"{100.0 * share:.2f}"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{_percent(spread.sd)}\n{_percent(spread.lower)} to {_percent(spread.upper)}"


def _odd(found: Components) -> str:
    share = found.odd_share
    return "-" if share is None else f"{share.count}/{share.total}\nup to {share.upper:.0%}"


def replication_json(record: Record) -> list[dict[str, Any]]:
    """The same for JSON: shares of the latency, and the median (s) of each process."""
    return [
        {
            "component": figure.component,
            "mode": figure.mode,
            "streams": figure.streams,
            **asdict(figure.variant),
            **asdict(figure.case),
            **asdict(figure.components),
            "process_medians": [
                {
                    "process": part.process,
                    "build": part.build,
                    "samples": len(part.latency_s),
                    "median_s": median(part.latency_s),
                }
                for part in figure.parts
            ],
        }
        for figure in replication_of(record)
    ]
