"""The comparison that a gate judges by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.ab.judging import compare_records
from harness.comparison.model import Figure
from harness.report.figures import figures_of
from harness.stats.fingerprint import differences
from harness.stats.pairs import PairRule
from harness.types import Case

if TYPE_CHECKING:
    from harness.comparison.model import Comparison
    from harness.gate.records import Baseline
    from harness.report.rows import Row
    from harness.types import Measurement, Record


def compare_with(baseline: Baseline, head: Record, margin: float) -> Comparison:
    """The baseline's records against ``head``, whatever their environments.

    Raises:
        RecordError: a record is damaged.
    """
    base = baseline.records[0]
    found = compare_records(base, head, PairRule(margin=margin))
    told = differences(base.environment, head.environment)
    sides = [_rows(record) for record in (base, head)]
    return replace(
        found,
        rows=tuple(
            replace(row, figures=_figures(*(side.get(str(row.series)) for side in sides)))
            for row in found.rows
        ),
        base=replace(found.base, label=baseline.label),
        differences=tuple(str(one) for one in told if one.affects_latency),
    )


def _rows(record: Record) -> dict[str, Row]:
    groups = figures_of(record).groups
    return {_series(row.measurement): row for group in groups for row in group.rows}


def _series(measured: Measurement) -> str:
    case = Case(measured.duration_s, measured.batch)
    return f"{measured.component}, {measured.variant}, {case}, {measured.mode}"


def _figures(base: Row | None, head: Row | None) -> tuple[Figure, ...]:
    if base is None or head is None:
        return ()
    return (
        Figure("snr_db", base.measurement.snr_db, head.measurement.snr_db),
        Figure("energy_j", base.measurement.energy_j, head.measurement.energy_j),
        Figure("memory_bytes", base.memory_bytes, head.memory_bytes),
    )
