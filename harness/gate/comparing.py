"""The comparison that a gate judges by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.ab.judging import compare_records
from harness.stats.fingerprint import differences
from harness.stats.pairs import PairRule

if TYPE_CHECKING:
    from harness.comparison.model import Comparison
    from harness.gate.records import Baseline
    from harness.types import Record


def compare_with(baseline: Baseline, head: Record, margin: float) -> Comparison:
    """The baseline's records against ``head``, whatever their environments.

    Raises:
        RecordError: a record is damaged.
    """
    base = baseline.records[0]
    found = compare_records(base, head, PairRule(margin=margin))
    told = differences(base.environment, head.environment)
    return replace(
        found,
        base=replace(found.base, label=baseline.label),
        differences=tuple(str(one) for one in told if one.affects_latency),
    )
