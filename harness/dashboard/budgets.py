"""How each variant keeps its budget by one record: the verdict that its report would give."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from harness.dashboard.candidates import DIRTY, SIDE, SUPERSEDED, kind_of
from harness.dashboard.model import BudgetStatus, Part
from harness.history.points import SeriesName, name_of
from harness.history.prospects import way_of
from harness.history.series import variant_name
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.budget_spent import group_of, spent_of
from harness.report.summary import INCONCLUSIVE, MISSED, WITHIN
from harness.report.summary_statements import verdict_of
from harness.report.summary_tables import counts
from harness.report.trust import state_sentences, unsettled_sentences
from harness.report.words import floor_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.dashboard.candidates import Candidate
    from harness.dashboard.model import Series
    from harness.history.prospects import Options, Way
    from harness.report.budget_spent import Slice, Spent
    from harness.report.figures import Figures
    from harness.report.rows import Group
    from harness.types import Record

NOT_MEASURED: Final = "not measured"
# What a report of the record alone cannot know.
_DOUBTS: Final = {
    SUPERSEDED: "it was measured anew later",
    SIDE: "it is a side of an A/B, and nothing else was measured",
}
_CHANGED: Final = "Its tree had changes that no commit has, and no clean one was measured"
# Of one variant no more floors are told than that.
_MOST_FLOORS: Final = 3


@dataclass(frozen=True)
class Source:
    """A record that was read in full, and where it belongs.

    ``options`` are what its engines were built by, and ``newer`` tells of a kind what is wrong with
    the newest record of it.
    """

    record: Record
    figures: Figures
    candidate: Candidate
    environment: int
    commit: int
    options: Options
    newer: Callable[[str], str]


class SeriesOf:
    """The series of a page, by what sets them apart."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._held: dict[tuple[int, SeriesName], list[Series]] = {}
        for one in series:
            name = SeriesName(
                *(one.pipeline, one.component, one.variant, one.size, one.mode),
                *(one.streams, one.threads, one.clock, one.options),
            )
            self._held.setdefault((one.environment, name), []).append(one)

    def find(self, source: Source, group: Group) -> int | None:
        """That which holds the whole pipeline of ``group``; None where its figures are in none."""
        parts = group.pipeline.parts
        ways = {(part.threads, part.clock) for part in parts}
        is_in_none = not counts(source.figures) or source.candidate.doubt == SUPERSEDED
        if is_in_none or len(ways) != 1:
            return None
        name = name_of(_labels(source, group))
        is_of_history = source.record.history is not None
        found = [
            one
            for one in self._held.get((source.environment, name), ())
            if bool((one.counts[one.commits == source.commit] > 0).any())
        ]
        # Single runs may have a series of their own beside the history's.
        found.sort(key=lambda one: getattr(one, "of_history", True) != is_of_history)
        return found[0].id if found else None


def _labels(source: Source, group: Group) -> dict[str, Any]:
    measured = group.pipeline.measurement
    variant = group.variant
    return {
        "pipeline": source.record.pipeline,
        "component": WHOLE_PIPELINE,
        "variant": variant_name(variant, simulated=measured.simulated),
        "size": str(group.case),
        "mode": measured.mode,
        "streams": measured.streams,
        "threads": measured.threads,
        "clock": measured.clock,
        "options": source.options.get((variant.backend, variant.precision, variant.route), ""),
    }


def budgets_of(
    source: Source, series: SeriesOf
) -> Iterator[tuple[tuple[Any, ...], tuple[BudgetStatus, Way | None]]]:
    """Each budget that the record was made with, and before it what it is the newest of.

    Its trend is not told yet, and is one of the way beside it, None where nothing was judged.
    """
    record = source.record
    for spent in spent_of(record, record.budget) if record.budget else ():
        group = group_of(spent.figure, source.figures)
        status, way = _status(source, spent, group), None
        if group is not None and spent.figure.verdict is not None:
            status = _judged(status, source, group, series)
            way = way_of(group.pipeline.measurement, source.options)
        key = (status.environment, status.pipeline, status.variant, status.size, status.arrival)
        # What was not measured hides no older record that has it.
        yield ("budget", *key, status.p99_s is None), (status, way)


def _judged(status: BudgetStatus, source: Source, group: Group, series: SeriesOf) -> BudgetStatus:
    """With what is known of the rows that were judged."""
    measured = group.pipeline.measurement
    own = (status.variant, status.size, measured.mode, measured.streams)
    newer = source.newer(kind_of(WHOLE_PIPELINE, *own))
    return replace(
        status,
        series=series.find(source, group),
        sentences=(*filter(None, (newer,)), *status.sentences),
        snr_db=measured.snr_db,
        min_snr_db=measured.min_snr_db,
    )


def _status(source: Source, spent: Spent, group: Group | None) -> BudgetStatus:
    record, figure = source.record, spent.figure
    own = _figures_of(source.figures, spent)
    verdict, reason = _verdict(source, own, spent)
    found = figure.verdict
    p99 = found.estimate if found else None
    sentences = (*state_sentences(record), *unsettled_sentences(source.figures))
    changed = (_CHANGED,) if source.candidate.doubt == DIRTY else ()
    return BudgetStatus(
        environment=source.environment,
        pipeline=record.pipeline,
        variant=variant_name(figure.variant, simulated=figure.simulated),
        size=str(figure.case),
        arrival=figure.arrival,
        limit_s=spent.limit_s,
        verdict=verdict,
        reason=reason,
        p99_s=p99.value if p99 else None,
        lower_s=_finite(p99.lower) if p99 else None,
        upper_s=_finite(p99.upper) if p99 else None,
        median_s=spent.median_s,
        parts=_parts(spent.slices),
        beside=_parts(spent.beside),
        trend="",
        commit=source.commit,
        series=None,
        record_id=record.record_id,
        created_utc=record.created_utc,
        validity=record.validity.status if record.validity else "unknown",
        sentences=(*changed, *sentences),
        simulated=figure.simulated,
        misses_floor=bool(own.missed_floors),
        floor_sentence=_floors(own, group),
    )


def _figures_of(figures: Figures, spent: Spent) -> Figures:
    """Those of one variant and budget alone."""
    figure = spent.figure
    groups = tuple(group for group in figures.groups if group.variant == figure.variant)
    return replace(figures, groups=groups, budgets=(figure,))


def _verdict(source: Source, own: Figures, spent: Spent) -> tuple[str, str]:
    """What the report of the record would say of it, and why."""
    status, headline = verdict_of(own)
    reason = "" if status == WITHIN else headline.partition(": ")[2]
    doubt = _DOUBTS.get(source.candidate.doubt)
    if doubt is not None:
        status, reason = INCONCLUSIVE, "; ".join(filter(None, (doubt, reason)))
    if spent.figure.verdict is None and status != MISSED:
        return NOT_MEASURED, spent.figure.reason
    return status, reason


def _floors(own: Figures, judged: Group | None) -> str:
    """Which accuracies are under their floors, that of the judged pipeline first."""
    told = [
        (group is not judged, not row.is_pipeline, f"At {group.case}: {floor_sentence(row)}")
        for group in own.groups
        for row in group.rows
        if row.misses_floor
    ]
    sentences = list(dict.fromkeys(text for *_, text in sorted(told)))
    left = len(sentences) - _MOST_FLOORS
    more = [f"and {left} more"] if left > 0 else []
    return "; ".join((*sentences[:_MOST_FLOORS], *more))


def _parts(slices: Sequence[Slice]) -> tuple[Part, ...]:
    return tuple(Part(one.name, one.kind, one.time_s) for one in slices)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
