"""How far the figures can be trusted: what is not known well enough, and the machine's state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.report.words import milliseconds
from harness.stats.stopping import MedianPrecision, Status

if TYPE_CHECKING:
    from harness.report.figures import Figures, Group, Row
    from harness.types import Measurement, Record

_CAUSES = {
    "time": "the time was spent",
    "samples": "the samples were spent",
    "bimodal": "bimodal: two modes of about equal weight",
    "not steady": "the warm-up ended unsteady",
    "not watched": "it was not waited for",
    "interrupted": "interrupted",
    "blocks rejected": "blocks were rejected",
}


def half_width(measured: Measurement) -> float:
    """Half the median's 99 % interval over the median, corrected for autocorrelation.

    Infinite where there are too few samples for an interval.
    """
    known = sum(measured.block_passes) == len(measured.latency_s)
    passes = measured.block_passes if known else ()
    estimate = MedianPrecision().decide(measured.latency_s, passes).estimate
    if not estimate.is_finite or not estimate.value:
        return math.inf
    return (estimate.upper - estimate.lower) / 2.0 / estimate.value


def unsettled_sentences(figures: Figures) -> list[str]:
    """What is not known to the precision that was asked for, of each variant at each case."""
    found = []
    for group in figures.groups:
        open_rows = [r for r in group.rows if r.measurement.verdict == Status.INCONCLUSIVE.value]
        if open_rows:
            found.append(_unsettled(group, open_rows))
    return found


def _unsettled(group: Group, rows: list[Row]) -> str:
    worst = max(rows, key=lambda row: half_width(row.measurement))
    measured = worst.measurement
    width = half_width(measured)
    asked = measured.rel_precision
    causes = dict.fromkeys(row.measurement.verdict_reason for row in rows)
    why = "; ".join(_CAUSES.get(cause, cause) for cause in causes)
    subject = (
        f"INCONCLUSIVE, {group.variant}, {group.case}: {len(rows)} of {len(group.rows)} series"
    )
    if asked is not None and width <= asked:
        # Every median is known: it was the tail that was waited for.
        return (
            f"{subject} have no upper bound of their p99 yet ({why}); their medians are known to "
            f"±{width:.2%} or better"
        )
    known = "not known at all" if math.isinf(width) else f"known to ±{width:.2%}"
    told = "" if asked is None else f" to ±{asked:.1%}"
    return (
        f"{subject} are not known{told} ({why}); the worst is {measured.component}, whose median "
        f"{milliseconds(worst.latency.median.value)} ms is {known}"
    )


def state_sentences(record: Record) -> list[str]:
    """Whether the machine's state lets the figures count, and what does not."""
    validity = record.validity
    if validity is None:
        return []
    rejected = sum(bool(block.rejected) for block in record.blocks)
    lost = f"; {rejected} of {len(record.blocks)} blocks do not count" if rejected else ""
    readings = f"{len(record.telemetry)} readings of the machine"
    found = [f"Machine: {validity.status} ({readings}{lost})"]
    found.extend(f"{f.level}: {f.what}; {f.fix}" for f in validity.findings)
    return found


def energy_sentences(figures: Figures) -> list[str]:
    """The energy of one inference of each variant, idle power included."""
    parts = [
        f"{group.variant}, {group.case}: {group.pipeline.measurement.energy_j:.3g} J"
        for group in figures.groups
        if group.pipeline.measurement.energy_j is not None
    ]
    if not parts:
        return []
    idle = figures.record.idle_power_w
    told = "" if idle is None else f" (the GPU takes {idle:.0f} W when idle)"
    return [f"Energy of one inference, idle power included{told}: {'; '.join(parts)}"]
