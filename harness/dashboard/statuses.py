"""Budgets, what precisions cost, and rooflines: by the newest record that tells of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from harness.dashboard.histories import COMMIT, ENVIRONMENT, LOCAL
from harness.dashboard.model import (
    QUANTILES,
    BudgetStatus,
    Part,
    RooflinePoint,
    Trade,
)
from harness.errors import HarnessError
from harness.history.series import size_label, variant_label, variant_name
from harness.pipeline.pipeline import CANARY
from harness.report.budget_spent import Prospect, spent_of
from harness.report.budget_terminal import prospect_lines
from harness.report.figures import cost_of, figures_of
from harness.report.trust import state_sentences, unsettled_sentences
from harness.stats.roofline import roofline
from harness.stats.trend import MIN_POINTS, fit_slope, outlook
from harness.store.parquet import read_record
from harness.types import HOT, Case

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.dashboard.environments import Environments, Key
    from harness.dashboard.model import Commit, Series
    from harness.dashboard.timeline import Timeline
    from harness.history.query import Records
    from harness.report.budget_spent import Slice, Spent
    from harness.report.figures import Figures
    from harness.report.rows import Row
    from harness.types import Record

_One = TypeVar("_One")
# Of one environment and pipeline so many of the newest records are looked at, and of these no more
# than so many are read in full.
LOOKED_AT: Final = 64
MOST_RECORDS: Final = 16
# A trend is that of so many of the newest commits.
TREND_OF: Final = 200
_P99: Final = QUANTILES.index(0.99)
_DAY_S: Final = 86_400.0
_BOUND: Final = {"compute": "products", "memory": "copies"}
_KEY: Final = ", ".join(f"coalesce({name}, '') AS {name}" for name in ENVIRONMENT)
# Of the newest commit first: asv measures the newest one first of all.
_AGE: Final = "coalesce(commit_utc, created_utc) DESC, created_utc DESC, file"
_NEWEST: Final = f"""
SELECT file, {_KEY}, pipeline, {COMMIT} AS commit, created_utc
FROM records WHERE is_complete AND slowed_by IS NULL AND {LOCAL}
QUALIFY row_number() OVER (
    PARTITION BY {", ".join(f"records.{name}" for name in ENVIRONMENT)}, records.pipeline
    ORDER BY {_AGE}
) <= $most
ORDER BY {_AGE}
"""  # noqa: S608  # constants
_KINDS: Final = f"""
SELECT file, list(DISTINCT concat_ws('|', component, variant, size, mode, streams)) AS kinds
FROM series WHERE component != '{CANARY}' GROUP BY file
"""  # noqa: S608  # constants


@dataclass(frozen=True)
class Statuses:
    """What the newest records tell, the newest first."""

    budgets: tuple[BudgetStatus, ...]
    trades: tuple[Trade, ...]
    roofline: tuple[RooflinePoint, ...]


@dataclass(frozen=True)
class _Source:
    """A record that was read in full, and where it belongs."""

    record: Record
    figures: Figures
    environment: int
    commit: int


def read_statuses(
    records: Records,
    environments: Environments,
    timeline: Timeline,
    series: Sequence[Series],
    skipped: list[str],
) -> Statuses:
    """What the newest records of each environment and pipeline tell.

    A record is read where it has a series that no newer one has; what is damaged is named in
    ``skipped``.

    Raises:
        RecordError: no record can be read.
    """
    budgets: list[BudgetStatus] = []
    trades: list[Trade] = []
    points: list[RooflinePoint] = []
    ids = {_series_key(one): one for one in series}
    seen: set[tuple[Any, ...]] = set()
    for row in _chosen(_newest(records)):
        try:
            record = read_record(Path(row["file"]))
            figures = figures_of(record)
            source = _Source(
                record, figures, environments.ids[_key(row)], timeline.places[row["commit"]]
            )
            told = _told(source, ids, timeline.commits)
        except (HarnessError, ValueError) as error:
            where = "" if isinstance(error, HarnessError) else f"{row['file']}: "
            skipped.append(f"{where}{error}")
            continue
        budgets += _new(told[0], seen)
        trades += _new(told[1], seen)
        points += _new(told[2], seen)
    known = [one for one in budgets if not _is_told_elsewhere(one, budgets)]
    return Statuses(tuple(known), tuple(trades), tuple(points))


def _new(told: Sequence[tuple[Any, _One]], seen: set[Any]) -> list[_One]:
    """Those of which nothing newer was told."""
    found = [one for key, one in told if key not in seen]
    seen.update(key for key, _ in told)
    return found


def _is_told_elsewhere(one: BudgetStatus, others: Sequence[BudgetStatus]) -> bool:
    """Whether ``one`` was not measured, and is so in another record."""
    kinds = ("environment", "pipeline", "variant", "size", "arrival")
    return one.p99_s is None and any(
        other.p99_s is not None
        and all(getattr(one, kind) == getattr(other, kind) for kind in kinds)
        for other in others
    )


def _key(row: Mapping[str, Any]) -> Key:
    machine, environment, requirements, fingerprint = (row[name] for name in ENVIRONMENT)
    return machine, environment, requirements, fingerprint


def _newest(records: Records) -> list[dict[str, Any]]:
    """The newest records of each environment and pipeline, with what they measured."""
    rows: list[dict[str, Any]] = records.table(_NEWEST, {"most": LOOKED_AT}).to_pylist()
    if not rows:
        return []
    with records.among({row["file"] for row in rows}):
        kinds = records.table(_KINDS, {}).to_pylist()
    held = {row["file"]: row["kinds"] for row in kinds}
    return [{**row, "kinds": held[row["file"]]} for row in rows if row["file"] in held]


def _chosen(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Those that have something new, the newest first."""
    covered: dict[tuple[Any, ...], set[str]] = {}
    counts: dict[tuple[Any, ...], int] = {}
    for row in rows:
        group = (*_key(row), row["pipeline"])
        its = covered.setdefault(group, set())
        if counts.get(group, 0) < MOST_RECORDS and not its >= {*row["kinds"]}:
            its.update(row["kinds"])
            counts[group] = counts.get(group, 0) + 1
            yield row


def _told(
    source: _Source, ids: Mapping[tuple[Any, ...], Series], commits: Sequence[Commit]
) -> tuple[
    list[tuple[Any, BudgetStatus]], list[tuple[Any, Trade]], list[tuple[Any, RooflinePoint]]
]:
    """Budgets, trades and points on the roofline, each with what it is the newest of."""
    return (
        list(_budgets(source, ids, commits)),
        list(_trades(source)),
        list(_points(source)),
    )


def _budgets(
    source: _Source, ids: Mapping[tuple[Any, ...], Series], commits: Sequence[Commit]
) -> Iterator[tuple[tuple[Any, ...], BudgetStatus]]:
    record = source.record
    if record.budget is None:
        return
    sentences = (*state_sentences(record), *unsettled_sentences(source.figures))
    for spent in spent_of(record, record.budget):
        figure = spent.figure
        series = ids.get(_budget_key(source, spent))
        verdict = figure.verdict
        p99 = verdict.estimate if verdict else None
        status = BudgetStatus(
            environment=source.environment,
            pipeline=record.pipeline,
            variant=variant_name(figure.variant, simulated=figure.simulated),
            size=str(figure.case),
            arrival=figure.arrival,
            limit_s=spent.limit_s,
            verdict=verdict.verdict.value if verdict else "not measured",
            reason=figure.reason,
            p99_s=p99.value if p99 else None,
            lower_s=_finite(p99.lower) if p99 else None,
            upper_s=_finite(p99.upper) if p99 else None,
            median_s=spent.median_s,
            parts=_parts(spent.slices),
            beside=_parts(spent.beside),
            trend="" if series is None else _trend(series, spent.limit_s, commits),
            commit=source.commit,
            series=None if series is None else series.id,
            record_id=record.record_id,
            created_utc=record.created_utc,
            validity=record.validity.status if record.validity else "unknown",
            sentences=sentences,
            simulated=figure.simulated,
        )
        # What was not measured hides no older record that has it.
        yield ("budget", *_budget_key(source, spent), verdict is None), status


def _budget_key(source: _Source, spent: Spent) -> tuple[Any, ...]:
    """That of :func:`_series_key`."""
    figure = spent.figure
    mode, _, rest = figure.arrival.partition(", ")
    streams = rest.split()[0] if "stream" in rest else "1"
    variant = variant_name(figure.variant, simulated=figure.simulated)
    pipeline = source.record.pipeline
    return source.environment, pipeline, "pipeline", variant, str(figure.case), mode or HOT, streams


def _series_key(one: Series) -> tuple[Any, ...]:
    return (
        *(one.environment, one.pipeline, one.component, one.variant, one.size, one.mode),
        str(one.streams),
    )


def _parts(slices: Sequence[Slice]) -> tuple[Part, ...]:
    return tuple(Part(one.name, one.kind, one.time_s) for one in slices)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _trend(series: Series, limit_s: float, commits: Sequence[Commit]) -> str:
    """In words, where the p99 goes; empty where there are too few commits to tell."""
    p99_s = series.quantiles[:, _P99].astype(np.float64)
    known = np.flatnonzero(np.isfinite(p99_s))[-TREND_OF:]
    if known.size < MIN_POINTS:
        return ""
    dates = [datetime.fromisoformat(commits[series.commits[at]].date_utc) for at in known]
    # A commit may be older than the one before it.
    days = np.maximum.accumulate([date.timestamp() / _DAY_S for date in dates])
    values = p99_s[known].tolist()
    by_commit, by_day = fit_slope(range(known.size), values), fit_slope(days.tolist(), values)
    looks = outlook(by_commit, limit_s), outlook(by_day, limit_s)
    return "; ".join(prospect_lines(Prospect(known.size, by_commit, by_day, *looks)))


def _trades(source: _Source) -> Iterator[tuple[tuple[Any, ...], Trade]]:
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
        )
        key = (trade.environment, trade.pipeline, trade.variant, trade.size)
        yield ("trade", *key), trade


def _points(source: _Source) -> Iterator[tuple[tuple[Any, ...], RooflinePoint]]:
    for group in source.figures.groups:
        for row in group.rows:
            point = _point(source, row)
            if point is not None and group.mode == HOT:
                key = (point.environment, point.component, point.variant, point.size)
                yield ("roofline", source.record.pipeline, *key), point


def _point(source: _Source, row: Row) -> RooflinePoint | None:
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
        size=str(Case(measured.duration_s, measured.batch)),
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
