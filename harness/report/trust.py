"""How far the figures can be trusted: what is not known well enough, and the machine's state."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from harness.report.words import milliseconds
from harness.stats.quantiles import samples_for_interval
from harness.stats.stopping import TAIL, MedianPrecision, Status

if TYPE_CHECKING:
    from harness.report.figures import Figures
    from harness.report.rows import Group
    from harness.stats.quantiles import QuantileEstimate
    from harness.types import Measurement, Record

# A median over processes has no interval from fewer.
_LEAST_PROCESSES = samples_for_interval(0.5)
_TAIL = f"{TAIL}: "
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
    return _width(MedianPrecision().decide(measured.latency_s, measured.passes).estimate)


def unsettled_sentences(figures: Figures) -> list[str]:
    """What is not known to the precision that was asked for, of each variant at each case."""
    found = []
    for group in figures.groups:
        medians, tails = [], []
        for row in group.rows:
            # Of several processes each was waited for by itself.
            open_parts = [p for p in row.parts if p.verdict == Status.INCONCLUSIVE.value]
            unknown = [part for part in open_parts if not _is_tail(part)]
            if unknown:
                medians.append(unknown)
            elif open_parts:
                tails.append(open_parts)
        found += [_median_sentence(group, medians)] if medians else []
        found += [_tail_sentence(group, tails)] if tails else []
        found += _processes_sentences(group)
    return found


def _processes_sentences(group: Group) -> list[str]:
    """Whether the median over processes is known as well as was asked of each of them."""
    rows = [row for row in group.rows if row.is_replicated]
    if not rows:
        return []
    total = max(row.processes for row in rows)
    subject = f"INCONCLUSIVE, {_name(group)}"
    if total < _LEAST_PROCESSES:
        told = f"{total} process{'es' * (total != 1)}"
        least = f"it takes {_LEAST_PROCESSES} (--processes {_LEAST_PROCESSES})"
        return [f"{subject}: over {told} no median has an interval; {least}"]
    unknown = {}
    for row in rows:
        width, asked = _width(row.latency.median), row.measurement.rel_precision
        if asked is not None and width > asked:
            unknown[row.measurement.component] = (width, asked)
    if not unknown:
        return []
    worst = max(unknown, key=lambda component: unknown[component][0])
    width, asked = unknown[worst]
    known = "not at all" if math.isinf(width) else f"to ±{width:.2%}"
    text = f"{subject}: {len(unknown)} of {len(rows)} medians over processes are not known to"
    return [f"{text} ±{asked:.1%}; the worst is {worst}, known {known}; more --processes can tell"]


def _name(group: Group) -> str:
    """The variant and case, and how the work arrived where a run holds several."""
    text = f"{group.variant}, {group.case}"
    return f"{text}, {group.arrival}" if group.arrival else text


def _width(estimate: QuantileEstimate) -> float:
    """Half the interval over the value; infinite where it is not known."""
    if not estimate.is_finite or not estimate.value:
        return math.inf
    return (estimate.upper - estimate.lower) / 2.0 / estimate.value


def _is_tail(measured: Measurement) -> bool:
    return measured.verdict_reason.startswith(_TAIL)


def _subject(group: Group, series: list[list[Measurement]]) -> str:
    text = f"INCONCLUSIVE, {_name(group)}: {len(series)} of {len(group.rows)} series"
    total = max(row.processes for row in group.rows)
    if total == 1:
        return text
    held = {part.process for parts in series for part in parts}
    return f"{text}, in {len(held)} of {total} processes,"


def _why(series: list[list[Measurement]]) -> str:
    reasons = dict.fromkeys(
        part.verdict_reason.removeprefix(_TAIL) for parts in series for part in parts
    )
    return "; ".join(_CAUSES.get(reason, reason) for reason in reasons)


def _tail_sentence(group: Group, series: list[list[Measurement]]) -> str:
    width = max(half_width(part) for parts in series for part in parts)
    return (
        f"{_subject(group, series)} have no upper bound of their p99 yet ({_why(series)}); their "
        f"medians are known to ±{width:.2%} or better"
    )


def _median_sentence(group: Group, series: list[list[Measurement]]) -> str:
    worst = max((part for parts in series for part in parts), key=half_width)
    width, asked = half_width(worst), worst.rel_precision
    if math.isinf(width):
        known = "is not known at all"
    elif asked is not None and width <= asked:
        # The rule looks at more than the width.
        known = f"has an interval of ±{width:.2%}, which two modes or few samples leave in doubt"
    else:
        known = f"is known to ±{width:.2%}"
    told = "" if asked is None else f" to ±{asked:.1%}"
    where = f" in process {worst.process}" if any(r.processes > 1 for r in group.rows) else ""
    return (
        f"{_subject(group, series)} are not known{told} ({_why(series)}); the worst is "
        f"{worst.component}{where}, whose median {milliseconds(median(worst.latency_s))} ms {known}"
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
