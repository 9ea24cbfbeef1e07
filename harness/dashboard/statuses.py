"""Budgets, what precisions cost, and rooflines: by the newest record that counts of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from harness.dashboard.budgets import SeriesOf, Source, budgets_of
from harness.dashboard.candidates import chosen, fullest, newer_sentence, read_candidates
from harness.dashboard.model import BudgetStatus, RooflinePoint, Trade
from harness.dashboard.trends import Trends
from harness.errors import HarnessError
from harness.history.prospects import options_of
from harness.history.series import size_label, variant_label
from harness.report.figures import cost_of, figures_of
from harness.stats.roofline import roofline
from harness.store.parquet import read_record
from harness.types import HOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from harness.dashboard.candidates import Candidate
    from harness.dashboard.environments import Environments
    from harness.dashboard.model import Series
    from harness.dashboard.timeline import Timeline
    from harness.history.prospects import Way
    from harness.history.query import Records
    from harness.report.rows import Row

_One = TypeVar("_One")
_BOUND: Final = {"compute": "products", "memory": "copies"}


@dataclass(frozen=True)
class Statuses:
    """What the newest records that count tell, the newest first."""

    budgets: tuple[BudgetStatus, ...]
    trades: tuple[Trade, ...]
    roofline: tuple[RooflinePoint, ...]


def read_statuses(
    records: Records,
    environments: Environments,
    timeline: Timeline,
    series: Sequence[Series],
    skipped: list[str],
) -> Statuses:
    """What the newest records of each environment and pipeline tell.

    A record is read where it has a series that none newer has that counts as much, or more variants
    of a size than any other. One that does
    not count tells of a budget that nothing else does, and of nothing more. What is damaged is
    named in ``skipped``.

    Raises:
        RecordError: no record can be read.
    """
    budgets: list[BudgetStatus] = []
    trades: list[tuple[bool, Any, Trade]] = []
    points: list[RooflinePoint] = []
    series_of, trends, seen = SeriesOf(series), Trends(records), set[Any]()
    candidates = read_candidates(records, timeline)
    full = fullest(candidates)
    for one in _to_read(candidates, full.values()):
        try:
            source = _source(one, candidates, environments)
            told = list(budgets_of(source, series_of)), *_of_what_counts(source)
        except (HarnessError, ValueError) as error:
            where = "" if isinstance(error, HarnessError) else f"{one.file}: "
            skipped.append(f"{where}{error}")
            continue
        budgets += [_with_trend(*found, one, trends) for found in _new(told[0], seen)]
        trades += [
            (full.get((one.key, one.pipeline, trade.size)) is not one, key, trade)
            for key, trade in told[1]
        ]
        points += _new(told[2], seen)
    known = [one for one in budgets if not _is_told_elsewhere(one, budgets)]
    # Those of the fullest record come first.
    ordered = [(key, trade) for _, key, trade in sorted(trades, key=itemgetter(0))]
    return Statuses(tuple(known), tuple(_new_each(ordered, seen)), tuple(points))


def _to_read(candidates: Iterable[Candidate], full: Iterable[Candidate]) -> list[Candidate]:
    """Those that tell anything that none before them does, and then the fullest."""
    found = list(chosen(candidates))
    files = {one.file for one in found}
    others = {one.file: one for one in full if one.file not in files}
    return [*found, *others.values()]


def _source(
    one: Candidate,
    candidates: Sequence[Candidate],
    environments: Environments,
) -> Source:
    record = read_record(Path(one.file))
    return Source(
        record=record,
        figures=figures_of(record),
        candidate=one,
        environment=environments.ids[one.key],
        commit=one.place,
        options=options_of(record),
        newer=partial(newer_sentence, one, candidates),
    )


def _of_what_counts(
    source: Source,
) -> tuple[list[tuple[Any, Trade]], list[tuple[Any, RooflinePoint]]]:
    """Figures that nothing marks on the page: none of a record that does not count."""
    if not source.candidate.counts:
        return [], []
    return list(_trades(source)), list(_points(source))


def _with_trend(
    status: BudgetStatus, way: Way | None, one: Candidate, trends: Trends
) -> BudgetStatus:
    if way is None:
        return status
    told = trends.told(one.key, one.pipeline, way, status.limit_s)
    return replace(status, trend=told)


def _new(told: Iterable[tuple[Any, _One]], seen: set[Any]) -> list[_One]:
    """Those of which nothing better was told."""
    told = list(told)
    found = [one for key, one in told if key not in seen]
    seen.update(key for key, _ in told)
    return found


def _new_each(told: Iterable[tuple[Any, _One]], seen: set[Any]) -> list[_One]:
    """Those of which nothing before was told."""
    return [one for pair in told for one in _new([pair], seen)]


def _is_told_elsewhere(one: BudgetStatus, others: Sequence[BudgetStatus]) -> bool:
    """Whether ``one`` was not measured, and is so in another record."""
    kinds = ("environment", "pipeline", "variant", "size", "arrival")
    return one.p99_s is None and any(
        other.p99_s is not None
        and all(getattr(one, kind) == getattr(other, kind) for kind in kinds)
        for other in others
    )


def _trades(source: Source) -> Iterator[tuple[tuple[Any, ...], Trade]]:
    for group in source.figures.groups:
        row = group.pipeline
        measured = row.measurement
        if not row.is_pipeline or group.mode != HOT:
            continue
        trade = Trade(
            environment=source.environment,
            pipeline=source.record.pipeline,
            variant=variant_label(measured),
            precision=measured.precision,
            size=size_label(measured),
            commit=source.commit,
            median_s=row.latency.median.value,
            snr_db=measured.snr_db,
            min_snr_db=measured.min_snr_db,
            energy_j=measured.energy_j,
            size_bytes=row.size_bytes,
            simulated=measured.simulated,
            record_id=source.record.record_id,
            created_utc=source.record.created_utc,
        )
        key = (trade.environment, trade.pipeline, trade.variant, trade.size)
        yield ("trade", *key), trade


def _points(source: Source) -> Iterator[tuple[tuple[Any, ...], RooflinePoint]]:
    for group in source.figures.groups:
        for row in group.rows:
            point = _point(source, row)
            if point is not None and group.mode == HOT:
                key = (point.environment, point.component, point.variant, point.size)
                yield ("roofline", source.record.pipeline, *key), point


def _point(source: Source, row: Row) -> RooflinePoint | None:
    measured, ceilings = row.measurement, source.record.ceilings
    cost = cost_of(source.record, measured)
    if row.is_pipeline or ceilings is None or row.least_s is None or cost is None:
        return None
    least = roofline(cost, ceilings.matrix_macs_per_s, ceilings.copy_bytes_per_s)
    return RooflinePoint(
        environment=source.environment,
        component=measured.component,
        variant=variant_label(measured),
        precision=measured.precision,
        size=size_label(measured),
        commit=source.commit,
        median_s=row.latency.median.value,
        macs=cost.macs,
        moved_bytes=cost.bytes,
        least_s=least.time_s,
        bound=_BOUND[least.bound],
        macs_per_s=_macs_per_s(cost.macs, least.compute_s, ceilings.matrix_macs_per_s),
        bytes_per_s=ceilings.copy_bytes_per_s,
        simulated=measured.simulated,
    )


def _macs_per_s(macs: int, compute_s: float, rates: Mapping[str, float]) -> float:
    """The ceiling of its products, which may be of several precisions."""
    return macs / compute_s if compute_s else max(rates.values())
