"""Why a run is missed, or inconclusive, in one line: what ``--enforce`` goes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.words import budget_subject
from harness.stats.budget import Verdict

if TYPE_CHECKING:
    from harness.report.figures import Figures


def missed_reasons(figures: Figures) -> list[str]:
    """What is missed beyond doubt: budgets, deadlines, accuracy floors."""
    found = [
        f"the budget is missed by {budget_subject(figure)}"
        for figure in figures.budgets
        if figure.verdict and figure.verdict.verdict is Verdict.MISSED
    ]
    if any(group.pipeline.measurement.missed_deadlines for group in figures.groups):
        found.append("deadlines were missed")
    if figures.missed_floors:
        found.append("an accuracy floor is missed")
    return found


def open_reasons(figures: Figures) -> list[str]:
    """Why it cannot be told whether all is kept."""
    validity, replication = figures.record.validity, figures.record.replication
    found = []
    if replication is not None and replication.missing:
        count = len(replication.missing)
        found.append(f"{count} process{'es are' if count > 1 else ' is'} missing")
    if validity is not None and validity.status == "invalid":
        found.append("the machine's state makes the run invalid")
    for figure in figures.budgets:
        subject = budget_subject(figure)
        if figure.verdict is None:
            found.append(f"the budget of {subject} is {figure.reason}")
        elif figure.verdict.verdict is Verdict.INCONCLUSIVE:
            found.append(f"the budget of {subject} is inconclusive")
    if figures.unchecked_floors:
        found.append("accuracy floors are not checked")
    return found
