"""The verdict of each variant on the latency budget that the record was made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.stats.budget import BudgetVerdict, judge_processes
from harness.types import COLD, CONCURRENT, HOT, PACED, Case, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.rows import Group
    from harness.types import Record

_PEERS: Final = "torch"


@dataclass(frozen=True)
class BudgetFigure:
    """A budget's verdict for one variant; no verdict, but a ``reason``, where there is none.

    ``label`` is the precision with what it really is, as :attr:`Row.label`. ``arrival`` tells how
    the work arrived where it was not again and again, and ``simulated`` is true where no real clock
    timed it.
    """

    variant: Variant
    label: str
    case: Case
    limit_s: float
    verdict: BudgetVerdict | None
    arrival: str = ""
    reason: str = ""
    simulated: bool = False


def judge_budgets(record: Record, groups: Sequence[Group]) -> tuple[BudgetFigure, ...]:
    """The verdict of every variant that ships, on the record's budget."""
    budget = record.budget
    if budget is None:
        return ()
    case = Case(budget.duration_s, budget.batch)
    mode, streams, arrival = _arrival(groups)
    measured = {
        g.variant: g
        for g in groups
        if (g.case, g.mode, g.pipeline.measurement.streams) == (case, mode, streams)
    }
    figures = []
    # PyTorch is the peer that others are held against, not what ships: it has no budget to keep,
    # unless it is all that was measured.
    variants = list(dict.fromkeys(group.variant for group in groups))
    shipped = [v for v in variants if not v.backend.startswith(_PEERS)] or variants
    for variant in shipped:
        group = measured.get(variant)
        # A component alone keeps no budget of the whole.
        is_whole = group is not None and group.pipeline.is_pipeline
        parts = group.pipeline.parts if group and is_whole else ()
        samples = {part.process: part.latency_s for part in parts if part.latency_s}
        passes = {part.process: part.passes for part in parts}
        figures.append(
            BudgetFigure(
                variant=variant,
                label=next(g.pipeline.label for g in groups if g.variant == variant),
                case=case,
                limit_s=budget.p99_s,
                verdict=judge_processes(samples, budget.p99_s, passes) if samples else None,
                arrival=arrival,
                reason="" if samples else _why_open(case, variant, groups),
                simulated=group is not None and group.is_simulated,
            )
        )
    return tuple(figures)


def _why_open(case: Case, variant: Variant, groups: Sequence[Group]) -> str:
    """Why nothing was measured that the budget could be held against."""
    there = [group for group in groups if (group.case, group.variant) == (case, variant)]
    if any(group.mode == COLD for group in there):
        return f"not judged: it is one of the mode {HOT}, and this run is {COLD}"
    if there:
        return "not judged: it is one of the whole pipeline, which was not measured"
    return "not measured in this run"


def _arrival(groups: Sequence[Group]) -> tuple[str, int, str]:
    """The mode and streams that the run was for, and how they are told.

    What a paced run measures back to back, and a concurrent one in one stream, is to compare with.
    """
    if any(group.mode == PACED for group in groups):
        return PACED, 1, f"{PACED}, by chunk"
    streams = [group.pipeline.measurement.streams for group in groups if group.mode == CONCURRENT]
    if streams:
        many = max(streams)
        return CONCURRENT, many, f"{CONCURRENT}, {many} stream{'s' if many > 1 else ''}"
    return HOT, 1, ""
