"""The checks of one record: its validity, its budget, its deadlines and its accuracy floors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.report.gate_model import ACCURACY, BUDGET, DEADLINES, RECORD, Check, Status
from harness.report.tables import decibels
from harness.report.words import (
    bare_milliseconds,
    budget_sentence,
    budget_subject,
    deadline_sentences,
    floor_sentence,
)
from harness.stats.budget import Verdict
from harness.types import PACED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.report.budgets import BudgetFigure
    from harness.report.figures import Figures
    from harness.report.rows import Row
    from harness.types import Record

_STATUSES: Final = {
    Verdict.WITHIN: Status.PASS,
    Verdict.MISSED: Status.MISSED,
    Verdict.INCONCLUSIVE: Status.INCONCLUSIVE,
}
SIMULATED: Final = "its times are simulated, and count only with --simulated"


def record_doubts(record: Record) -> tuple[str, ...]:
    """Why what was measured lets no time count, whatever it is."""
    found = []
    if not record.is_complete:
        found.append("the run was interrupted")
    missing = len(record.replication.missing) if record.replication else 0
    if missing:
        found.append(f"{missing} of its processes measured nothing")
    if not record.measurements:
        found.append("nothing was measured")
    validity = record.validity
    if validity is not None and validity.status == "invalid":
        reasons = "; ".join(f.what for f in validity.findings if f.level == "fail")
        found.append(f"the machine's state makes it invalid ({reasons})")
    return tuple(found)


def record_check(record: Record) -> Check:
    """Whether the record is whole and valid."""
    doubts = record_doubts(record)
    if doubts:
        return Check(RECORD, Status.INCONCLUSIVE, "; ".join(doubts), record.record_id)
    validity = record.validity
    state = "nobody knows in what state the machine was" if validity is None else validity.status
    flags = [] if validity is None else [f.what for f in validity.findings if f.level == "flag"]
    told = f"complete; machine: {state}"
    return Check(RECORD, Status.PASS, "; ".join((told, *flags)), record.record_id)


def budget_checks(figures: Figures) -> Iterator[Check]:
    """One for each variant that ships."""
    if figures.record.budget is None:
        yield Check(BUDGET, Status.NOT_ASKED, "the pipeline declares none")
    for figure in figures.budgets:
        yield _budget_check(figure)


def _budget_check(figure: BudgetFigure) -> Check:
    subject = budget_subject(figure)
    verdict = figure.verdict
    status = Status.INCONCLUSIVE if verdict is None else _STATUSES[verdict.verdict]
    sentence = budget_sentence(figure).removeprefix(f"{subject}: ")
    return Check(BUDGET, status, sentence, subject)


def deadline_checks(figures: Figures) -> Iterator[Check]:
    """Whether every chunk of a paced run was done before the next had come; none of another."""
    if not any(group.mode == PACED for group in figures.groups):
        return
    sentences = deadline_sentences(figures)
    for sentence in sentences:
        yield Check(DEADLINES, Status.MISSED, sentence.removeprefix("Deadlines, "))
    if not sentences:
        periods = {m.period_s for m in figures.record.measurements if m.period_s is not None}
        told = " or ".join(bare_milliseconds(period_s) for period_s in sorted(periods))
        yield Check(DEADLINES, Status.PASS, f"none was missed (a chunk every {told} ms)")


def floor_checks(figures: Figures) -> Iterator[Check]:
    """One for each floor that is missed or open, or one for all that are kept."""
    missed = {floor_sentence(row): row for row in figures.missed_floors}
    for sentence, row in missed.items():
        yield Check(ACCURACY, Status.MISSED, sentence, row.measurement.component)
    unchecked = {_named(row): row for row in figures.unchecked_floors}
    for name, row in unchecked.items():
        floor = f"its floor of {row.measurement.min_snr_db:g} dB"
        told = f"{name} was not held against {floor}: there is no reference"
        yield Check(ACCURACY, Status.INCONCLUSIVE, told, row.measurement.component)
    if not missed and not unchecked:
        yield _floors_kept([row for group in figures.groups for row in group.rows])


def _floors_kept(rows: Sequence[Row]) -> Check:
    margins = [
        (one.snr_db - one.min_snr_db, row)
        for row in rows
        if (one := row.measurement).min_snr_db is not None and one.snr_db is not None
    ]
    if not margins:
        return Check(ACCURACY, Status.NOT_ASKED, "the pipeline declares no floor")
    _, nearest = min(margins, key=lambda pair: pair[0])
    one = nearest.measurement
    told = f"every floor is kept; nearest to its own is {_named(nearest)}"
    snr = decibels(one.snr_db)
    snr = snr if snr == "exact" else f"{snr} dB"
    return Check(ACCURACY, Status.PASS, f"{told}: {snr}, floor {one.min_snr_db:g} dB")


def _named(row: Row) -> str:
    return f"{row.measurement.component} ({row.measurement.backend}, {row.label})"
