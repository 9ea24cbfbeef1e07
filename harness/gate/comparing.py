"""The comparison that a gate judges by."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.comparison.compare import compare_records
from harness.comparison.sides import experiment_of
from harness.gate.records import label_of
from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.stats.pairs import PairRule

if TYPE_CHECKING:
    from harness.comparison.model import Comparison
    from harness.gate.records import Baseline
    from harness.types import Record


def compare_with(
    baseline: Baseline, head: Record, margin: float, *, across: bool = True
) -> Comparison:
    """The baseline's records against ``head``, ``across`` environments, which is told.

    A gate asks whether a pipeline is slower, so that whole pipelines are judged together with each
    other alone; their components, which only tell why, are judged together with all.

    Raises:
        ComparisonError: they have nothing in common, or are of different environments and not to be
            compared across these.
        RecordError: a record is damaged.
    """
    labels = (baseline.label, label_of(head))
    rule = _rule(head, margin)
    compare = functools.partial(
        compare_records, baseline.records, [head], rule, across=across, labels=labels
    )
    found = compare()
    if all(row.series.component != WHOLE_PIPELINE for row in found.rows):
        return found
    wholes = {row.series: row for row in compare(components=(WHOLE_PIPELINE,)).rows}
    return replace(found, rows=tuple(wholes.get(row.series, row) for row in found.rows))


def took_turns(baseline: Baseline, head: Record) -> bool:
    """Whether the processes of both took turns in one experiment."""
    return experiment_of(baseline.records) == experiment_of([head]) != ""


def count_units(head: Record) -> int:
    """How many processes it has, or builds where there are several: a pair has one of each side."""
    has_builds = head.replication is not None and head.replication.builds > 1
    return len({one.build if has_builds else one.process for one in head.measurements})


def _rule(head: Record, margin: float) -> PairRule:
    """As an A/B looks, up to the pairs that there are: there will be no more.

    What earlier looks may have spent of the error is not spent again.
    """
    usual = PairRule(margin=margin)
    count = max(1, count_units(head))
    before = tuple(look for look in usual.looks if look < count)
    return PairRule(margin=margin, looks=(*before, count))
