"""The verdict of each variant on the latency budget that the record was made with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.stats.budget import BudgetVerdict, judge_processes
from harness.types import HOT, Case, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.figures import Group
    from harness.types import Record

_PEERS: Final = "torch"


@dataclass(frozen=True)
class BudgetFigure:
    """A budget's verdict for one variant; no verdict where its case was not measured.

    ``label`` is the precision with what it really is, as :attr:`Row.label`.
    """

    variant: Variant
    label: str
    case: Case
    limit_s: float
    verdict: BudgetVerdict | None


def judge_budgets(record: Record, groups: Sequence[Group]) -> tuple[BudgetFigure, ...]:
    """The verdict of every variant that ships, on the record's budget."""
    budget = record.budget
    if budget is None:
        return ()
    case = Case(budget.duration_s, budget.batch)
    # How fast it is by itself; what it does with others beside it is another question.
    measured = {g.variant: g for g in groups if g.case == case and g.mode == HOT}
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
        figures.append(
            BudgetFigure(
                variant=variant,
                label=next(g.pipeline.label for g in groups if g.variant == variant),
                case=case,
                limit_s=budget.p99_s,
                verdict=judge_processes(samples, budget.p99_s) if samples else None,
            )
        )
    return tuple(figures)
