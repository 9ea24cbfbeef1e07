"""The verdicts on two records of one experiment, by the processes that ran next to each other."""

from __future__ import annotations

import math
from statistics import fmean, median
from typing import TYPE_CHECKING

from harness.comparison.model import Comparison, Series, SeriesComparison, Side
from harness.pipeline.pipeline import CANARY
from harness.stats.pairs import judge_pairs
from harness.types import Case

if TYPE_CHECKING:
    from harness.stats.pairs import PairRule
    from harness.types import Measurement, Record


def compare_records(base: Record, head: Record, rule: PairRule) -> Comparison:
    """Judge the series that both records of an experiment have."""
    found = [_units(record) for record in (base, head)]
    rows = []
    for series, units in found[0].items():
        pairs = sorted(units.keys() & found[1].get(series, {}).keys())
        if not pairs:
            continue
        base_s, head_s = ([its[series][pair] for pair in pairs] for its in found)
        verdict = judge_pairs(base_s, head_s, rule)
        rows.append(SeriesComparison(series, median(base_s), median(head_s), verdict))
    left, right = (
        Side(
            label,
            (record.environment.get("pipeline_commit") or {}).get("commit", ""),
            (record.record_id,),
            record.environment,
            any(m.simulated for m in record.measurements),
        )
        for label, record in (("base", base), ("head", head))
    )
    return Comparison(base.pipeline, left, right, tuple(rows), rule.margin, is_paired=True)


def _units(record: Record) -> dict[Series, dict[int, float]]:
    """Of each series the latency (s) of each pair: of its process, or of those of its build."""
    builds = record.replication is not None and record.replication.builds > 1
    found: dict[Series, dict[int, list[float]]] = {}
    for one in record.measurements:
        if one.component != CANARY and one.latency_s:
            units = found.setdefault(_series(one), {})
            units.setdefault(one.build if builds else one.process, []).append(
                math.log(median(one.latency_s))
            )
    return {
        series: {unit: math.exp(fmean(logs)) for unit, logs in units.items()}
        for series, units in found.items()
    }


def _series(one: Measurement) -> Series:
    return Series(one.component, one.variant, Case(one.duration_s, one.batch), one.mode)
