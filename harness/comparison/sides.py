"""What a side has measured: its series by process, and the figures that are no time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Final

from harness.comparison.cycles import sm_clocks_hz
from harness.comparison.model import Figure, Series, Side, timing
from harness.errors import ComparisonError, RecordError
from harness.pipeline.pipeline import CANARY, WHOLE_PIPELINE
from harness.states import FAIL
from harness.types import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from harness.types import Engine, Measurement, Record

FIGURES: Final = ("snr_db", "energy_j", "memory_bytes", "size_bytes")
# Of which record, and which of its processes, or of its builds where there are several.
Unit = tuple[str, int]


@dataclass(frozen=True)
class Measured:
    """One series of a side.

    ``latency_s`` holds the median of each process; where engines were built several times, that of
    each build, since processes of one build are no draws of the code. ``cycles`` is the same in
    cycles of the SM clock, empty where that is not known of all. ``how`` tells what must be the
    same for times to be comparable, and ``figures`` what is no time.
    """

    latency_s: Mapping[Unit, float]
    cycles: Mapping[Unit, float]
    how: str
    figures: Mapping[str, float | None]


def side_of(records: Sequence[Record], label: str) -> Side:
    """The side that ``records`` are; of several commits, it is of none."""
    commits = {_commit_of(record) for record in records}
    return Side(
        label=label,
        commit=commits.pop() if len(commits) == 1 else "",
        record_ids=tuple(record.record_id for record in records),
        environment=records[0].environment,
        is_simulated=any(one.simulated for record in records for one in record.measurements),
        slowed_by=max(slowed_by(record) for record in records),
        invalid=next(filter(None, map(why_invalid, records)), ""),
    )


def slowed_by(record: Record) -> float:
    """The share by which it was made slower on purpose; 0 where it was not."""
    return record.replication.slowed_by if record.replication else 0.0


def why_invalid(record: Record) -> str:
    """Why the machine's state makes it invalid; empty where it does not."""
    if record.validity is None or record.validity.status != "invalid":
        return ""
    return "; ".join(one.what for one in record.validity.findings if one.level == FAIL)


def experiment_of(records: Sequence[Record]) -> str:
    """The experiment that a side's only record is of; empty where it is of none."""
    (first, *others) = records
    return "" if others or first.replication is None else first.replication.experiment


def measured_by(records: Sequence[Record]) -> dict[Series, Measured]:
    """All series of ``records`` but the canaries, in their order.

    Raises:
        RecordError: a process has measured something twice.
        ComparisonError: a latency is no number above 0.
    """
    parts: dict[Series, list[tuple[Record, list[Measurement]]]] = {}
    for record in records:
        for series, measured in _by_series(record).items():
            parts.setdefault(series, []).append((record, measured))
    return {series: _measured(series, its) for series, its in parts.items()}


def _by_series(record: Record) -> dict[Series, list[Measurement]]:
    found: dict[Series, list[Measurement]] = {}
    for one in record.measurements:
        # What multiplies nothing is simulated to take no time at all.
        is_nothing = one.simulated and not any(one.latency_s)
        if one.component == CANARY or not one.latency_s or is_nothing:
            continue
        case = Case(one.duration_s, one.batch)
        series = Series(one.component, one.variant, case, one.mode, one.streams)
        before = found.setdefault(series, [])
        if any(other.process == one.process for other in before):
            what = f"{series} is there twice"
            raise RecordError(what, where=record.record_id, fix="measure it again")
        before.append(one)
    return found


def _measured(series: Series, parts: Sequence[tuple[Record, list[Measurement]]]) -> Measured:
    latency_s: dict[Unit, float] = {}
    cycles: dict[Unit, float] = {}
    for record, measured in parts:
        medians_s = {one.process: _median_s(one, series, record) for one in measured}
        clocks_hz = sm_clocks_hz(record, measured)
        latency_s |= _by_unit(record, measured, medians_s)
        if clocks_hz:
            times = {process: medians_s[process] * hz for process, hz in clocks_hz.items()}
            cycles |= _by_unit(record, measured, times)
    first = parts[0][1][0]
    return Measured(
        latency_s=latency_s,
        cycles=cycles if len(cycles) == len(latency_s) else {},
        how=timing(first.clock, first.threads),
        figures=_figures(parts),
    )


def _median_s(one: Measurement, series: Series, record: Record) -> float:
    found = float(median(one.latency_s))
    if not (math.isfinite(found) and found > 0.0):
        what = f"{series} took {found:g} s, which is no latency"
        raise ComparisonError(what, where=record.record_id, fix="measure it again")
    return found


def _by_unit(
    record: Record, measured: Sequence[Measurement], values: Mapping[int, float]
) -> dict[Unit, float]:
    """By process, or the geometric mean of each build's processes."""
    has_builds = record.replication is not None and record.replication.builds > 1
    logs: dict[Unit, list[float]] = {}
    for one in sorted(measured, key=lambda one: one.process):
        unit = (record.record_id, one.build if has_builds else one.process)
        logs.setdefault(unit, []).append(math.log(values[one.process]))
    return {unit: math.exp(fmean(its)) for unit, its in logs.items()}


def figures_of_both(base: Measured, head: Measured) -> tuple[Figure, ...]:
    """Those that a side at least has."""
    found = (Figure(name, base.figures[name], head.figures[name]) for name in FIGURES)
    return tuple(f for f in found if not (f.base is None and f.head is None))


def _figures(
    parts: Sequence[tuple[Record, list[Measurement]]],
) -> dict[str, float | None]:
    """The worst accuracy, and the mean of the rest."""
    every = [one for _, measured in parts for one in measured]
    records = [(record, measured[0]) for record, measured in parts]
    snrs_db = [one.snr_db for one in every if one.snr_db is not None]
    return {
        "snr_db": min(snrs_db, default=None),
        "energy_j": _mean(one.energy_j for one in every),
        "memory_bytes": _mean(_of_engines(*pair, lambda e: e.memory_bytes) for pair in records),
        "size_bytes": _mean(_of_engines(*pair, lambda e: e.size_bytes) for pair in records),
    }


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _of_engines(
    record: Record, one: Measurement, figure: Callable[[Engine], int | None]
) -> float | None:
    """Of a component's engine, or the sum of all of the pipeline's; None where one is not known.

    Of several builds it is the first.
    """
    kind = (one.backend, one.precision, one.route)
    found: dict[str, Engine] = {}
    for engine in record.engines:
        if (engine.backend, engine.precision, engine.route) == kind:
            found.setdefault(engine.component, engine)
    chosen = list(found.values()) if one.component == WHOLE_PIPELINE else []
    if one.component in found:
        chosen = [found[one.component]]
    values = [figure(engine) for engine in chosen]
    known = [value for value in values if value is not None]
    return float(sum(known)) if known and len(known) == len(values) else None


def _commit_of(record: Record) -> str:
    told: dict[str, Any] = record.environment.get("pipeline_commit") or {}
    found = (record.history or {}).get("commit") or told.get("commit") or ""
    return str(found)
