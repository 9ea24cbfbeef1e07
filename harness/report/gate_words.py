"""What a gate found, in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from harness.percent import signed_percent
from harness.report.words import milliseconds
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from harness.comparison.model import Series
    from harness.report.gate_model import Change, GateReport, Movement, Part
    from harness.stats.pairs import PairVerdict


def signed_ms(seconds: float) -> str:
    """``seconds`` in ms with a sign, unless they are shown as none: ``+.026``."""
    if not math.isfinite(seconds):
        return "-"
    text = milliseconds(abs(seconds))
    return f"{'-' if seconds < 0 else '+'}{text}" if float(text) else text


def interval_percent(change: Change) -> str:
    """The interval of a change, in %: ``+0.41 to +0.83``; ``none`` where there are no bounds."""
    if not (change.time.lower > 0.0 and math.isfinite(change.time.upper)):
        return "none"
    bounds = (signed_percent(bound) for bound in (change.time.lower, change.time.upper))
    return " to ".join(bounds)


def share_percent(part: Part) -> str:
    """Its share of the pipeline's change, in %; a dash where that is no change."""
    return whole_percent(part.share)


def whole_percent(share: float | None) -> str:
    """``share`` in whole per cent; a dash where it is not known."""
    # Not "-0".
    return "-" if share is None else f"{round(100.0 * share)}"


def change_sentence(change: Change) -> str:
    """How something moved: ``slower: +0.62 % (+0.41 to +0.83), +.026 ms on 4.27 ms (...)``."""
    found = change.time
    verdict = found.status.value
    interval = interval_percent(change)
    told = "no interval" if interval == "none" else f"{100.0 * found.confidence:.4g} % confidence"
    bounds = "" if interval == "none" else f" ({interval})"
    text = (
        f"{verdict}: {signed_percent(found.ratio)} %{bounds}, {signed_ms(change.change_s)} ms on "
        f"{milliseconds(change.base_s)} ms ({told}, n = {found.pairs}{_odd(found)})"
    )
    if found.status is PairStatus.INCONCLUSIVE and found.reason:
        return f"{text}: {found.reason}"
    if change.is_of_the_clock and change.cycles is not None:
        in_cycles = signed_percent(change.cycles.ratio)
        return f"{text}; in cycles {change.cycles.status.value}, {in_cycles} %: it is the clock's"
    if not change.is_discovery and found.status in {PairStatus.SLOWER, PairStatus.FASTER}:
        return f"{text}, which does not stand when all series are judged together"
    return text


def _odd(found: PairVerdict) -> str:
    """The processes that are far off their side's others, by their numbers; empty if none."""
    sides = (("base", found.odd_base), ("head", found.odd_head))
    told = [f"{', '.join(map(str, odd))} of the {side}" for side, odd in sides if odd]
    return f"; odd: {' and '.join(told)}" if told else ""


def movement_sentence(movement: Movement) -> str:
    """Which component moved and its share, and those that moved the other way; empty if none."""
    culprit = movement.culprit
    if not movement.parts:
        return ""
    if not movement.change.is_known:
        alone = [f"{p.component} by {_moved(p)}" for p in movement.parts if p.change.is_known]
        return f"yet of its components moved {', '.join(alone)}" if alone else ""
    if culprit is None:
        first = movement.parts[0]
        told = f"no component alone is known to have moved; most did {first.component}"
        parts = [f"{told}, {_moved(first)} ({first.change.time.status.value})"]
    else:
        parts = [f"{culprit.component} moved by {_moved(culprit)}"]
    more = [p for p in movement.parts if p is not culprit and p.change.is_known]
    against = [p for p in more if p in movement.against]
    along = [p for p in more if p not in movement.against]
    if along:
        parts.append("also " + ", ".join(f"{p.component} by {_moved(p)}" for p in along))
    if against:
        told = ", ".join(f"{p.component} by {_moved(p)}" for p in against)
        parts.append(f"the other way moved {told}")
    return "; ".join(parts)


def _moved(part: Part) -> str:
    share = share_percent(part)
    told = "" if share == "-" else f", {share} % of the pipeline's change"
    return (
        f"{signed_ms(part.change.change_s)} ms, {signed_percent(part.change.time.ratio)} % of its "
        f"own{told}"
    )


def headline(report: GateReport) -> str:
    """The verdict in one line: ``MISSED: tiny, 2 of 5 checks missed``."""
    asked = [check for check in report.checks if check.status.value != "not asked"]
    counts = {check.status.value: 0 for check in asked}
    for check in asked:
        counts[check.status.value] += 1
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    simulated = " (SIMULATED)" if report.is_simulated else ""
    return f"{report.status.value.upper()}{simulated}: {told}"


def verdict_word(change: Change) -> str:
    """``slower``; in brackets where that does not stand when all series are judged together."""
    word = change.time.status.value
    is_change = change.time.status in {PairStatus.SLOWER, PairStatus.FASTER}
    return f"({word})" if is_change and not change.is_discovery else word


def setting_of(series: Series) -> str:
    """A series without its component: ``tensorrt fp16 by flag, graph, 1 s, hot``."""
    return str(series).removeprefix(f"{series.component}, ")


def sides_sentence(report: GateReport) -> str:
    """What was held against what."""
    if report.base is None:
        return f"{report.head.label}, against no baseline"
    return f"{report.head.label} against {report.base.label}"


def environment_label(report: GateReport) -> str:
    """That the two sides are of different environments, and how; empty where they are not."""
    if not report.differences:
        return ""
    return f"DIFFERENT ENVIRONMENT: {', '.join(report.differences)}"
