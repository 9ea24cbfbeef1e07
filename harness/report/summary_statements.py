"""What a summary says in sentences: the marks, the verdict, what limits it, and the notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.report.gate import missed_reasons, open_reasons
from harness.report.summary import (
    BAD,
    INCONCLUSIVE,
    MADE_UP,
    MISSED,
    NONE,
    OPEN,
    WITHIN,
    Statement,
)
from harness.report.summary_comparison import comparison_statements
from harness.report.summary_tables import VERDICT_LEVELS, counts
from harness.report.trust import unsettled_sentences
from harness.report.words import (
    bare_milliseconds,
    budget_sentence,
    deadline_sentences,
    floor_sentence,
    fp16_sum_sentences,
    given_sentences,
    milliseconds,
)
from harness.stats.budget import Verdict
from harness.stats.stopping import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.report.budgets import BudgetFigure
    from harness.report.figures import Figures
    from harness.report.summary import Table
    from harness.report.summary_comparison import Against
    from harness.types import Record

_MARKED: Final = "~: too few samples, or processes, for a finite 95 % interval"
# More sentences of one kind than that stand below the figures, which they would bury.
_MOST_ABOVE: Final = 3


def marks_of(figures: Figures) -> Iterator[Statement]:
    """What must be known before any figure is read."""
    record = figures.record
    if figures.is_simulated:
        yield Statement("SIMULATED: these times come from no real clock", MADE_UP)
    if not record.is_complete:
        yield Statement("INTERRUPTED: only what was complete is shown", OPEN)
    if record.validity is not None and record.validity.status == "invalid":
        reasons = [one for one in record.validity.findings if one.level == "fail"]
        told = "; ".join(one.what for one in reasons)
        yield Statement(f"INVALID, the figures do not count: {told}", BAD)
    slowed_by = record.replication.slowed_by if record.replication is not None else 0.0
    if slowed_by:
        share = f"{100.0 * slowed_by:.3g} %"
        yield Statement(f"SLOWED: its work was made {share} slower on purpose", BAD)


def verdict_of(figures: Figures) -> tuple[str, str]:
    """What the whole comes to, and why: times that do not count keep nothing, and miss nothing."""
    record = figures.record
    missed, unknown = missed_reasons(figures), open_reasons(figures)
    if not record.is_complete:
        unknown.insert(0, "the run was interrupted")
    if missed and (counts(figures) or figures.missed_floors):
        return MISSED, f"MISSED: {'; '.join(missed)}"
    if missed or unknown:
        return INCONCLUSIVE, f"INCONCLUSIVE: {'; '.join((*unknown, *missed))}"
    if not figures.budgets:
        return NONE, "no latency budget is declared"
    worst = max(figures.budgets, key=_p99_s)
    told = f"p99 {milliseconds(_p99_s(worst))} of {bare_milliseconds(worst.limit_s)} ms"
    room = 1.0 - _p99_s(worst) / worst.limit_s
    count = len(figures.budgets)
    every = f", the slowest of {count} variants" if count > 1 else ""
    return WITHIN, f"WITHIN the budget: {told} at {worst.case}{every}; headroom {room:.1%}"


def _p99_s(figure: BudgetFigure) -> float:
    return figure.verdict.estimate.value if figure.verdict is not None else 0.0


def verdicts_of(figures: Figures, against: Against | None, status: str) -> Iterator[Statement]:
    """What neither the headline says nor the tables, the most important first."""
    for figure in figures.budgets:
        found = figure.verdict
        # What neither the table of the budget says nor the headline.
        if found is None:
            if status != INCONCLUSIVE:
                yield Statement(f"Budget, {budget_sentence(figure)}", OPEN)
        elif found.verdict is Verdict.INCONCLUSIVE or found.processes > 1:
            yield Statement(f"Budget, {budget_sentence(figure)}", VERDICT_LEVELS[found.verdict])
    yield from (Statement(told, BAD) for told in deadline_sentences(figures))
    yield from _few(_missed_floors(figures), "accuracies are under their floors", BAD)
    if figures.unchecked_floors:
        yield Statement("Accuracy floors are not checked: no reference", OPEN)
    yield from _few(unsettled_sentences(figures), _unsettled(figures), OPEN)
    if _is_doubtful(figures.record):
        yield _state(figures.record)
    yield from _few(_missing(figures.record), "processes measured nothing", OPEN)
    if against is not None:
        yield from comparison_statements(against)


def notes_of(figures: Figures, tables: tuple[Table, ...]) -> Iterator[Statement]:
    """What explains the figures, and what was only counted above them."""
    record = figures.record
    if record.budget is not None:
        includes, excludes = record.budget.includes, record.budget.excludes
        within = f"The budget includes {includes or 'every component'}; leaves out "
        yield Statement(f"{within}{excludes or 'nothing'}.")
    if any(figure.text.startswith("~") for table in tables for figure in table.figures):
        yield Statement(_MARKED)
    # What was only counted above the figures.
    for told, level in (
        (_missed_floors(figures), BAD),
        (unsettled_sentences(figures), OPEN),
        (_missing(record), OPEN),
    ):
        if len(told) > _MOST_ABOVE:
            yield from (Statement(one, level) for one in told)
    yield from (Statement(one) for one in given_sentences(record))
    yield from (Statement(one) for one in fp16_sum_sentences(record))
    if not _is_doubtful(record):
        yield _state(record)
    for one in record.validity.findings if record.validity is not None else ():
        grave = BAD if one.level == "fail" else OPEN if one.level in {"flag", "unknown"} else ""
        yield Statement(f"{one.level}: {one.what}; {one.fix}", grave)


def _few(sentences: Sequence[str], counted: str, level: str) -> Iterator[Statement]:
    """All of a few sentences; of more how many there are, since they would bury the figures."""
    if len(sentences) <= _MOST_ABOVE:
        yield from (Statement(told, level) for told in sentences)
    else:
        how_many = "" if counted.startswith("INCONCLUSIVE") else f"{len(sentences)} "
        yield Statement(f"{how_many}{counted}: told below the figures", level)


def _missed_floors(figures: Figures) -> list[str]:
    """Each once: accuracy is that of the session, however many ways its launches were timed."""
    missed = dict.fromkeys(
        f"At {group.case}: {floor_sentence(row)}"
        for group in figures.groups
        for row in group.rows
        if row.misses_floor
    )
    return list(missed)


def _unsettled(figures: Figures) -> str:
    """How many series are not known as well as was asked, and whether wholes are among them."""
    rows = [row for group in figures.groups for row in group.rows]
    unknown = [
        row for row in rows if any(part.verdict == Status.INCONCLUSIVE.value for part in row.parts)
    ]
    wholes = sum(row.is_pipeline for row in unknown)
    among = f"{wholes} whole pipeline{'s' * (wholes != 1)}" if wholes else "no whole pipeline"
    if not unknown:
        return "INCONCLUSIVE: medians over processes are not known as well as was asked"
    return (
        f"INCONCLUSIVE: {len(unknown)} of {len(rows)} series are not known as well as was asked, "
        f"{among} among them"
    )


def _missing(record: Record) -> list[str]:
    replication = record.replication
    return [
        f"Process {one.process} measured nothing: {one.reason}"
        for one in (replication.missing if replication is not None else ())
    ]


def _is_doubtful(record: Record) -> bool:
    """Whether the machine's state must be known before the figures are read, and is no mark."""
    return record.validity is not None and record.validity.status in {"flagged", "unknown"}


def _state(record: Record) -> Statement:
    """The validity in words."""
    validity = record.validity
    if validity is None:
        return Statement("Machine: not watched, so that nothing tells whether the figures count")
    level = {"invalid": BAD, "flagged": OPEN, "unknown": OPEN}.get(validity.status, "")
    meaning = {
        "valid": "nothing that was read stands against the figures",
        "flagged": "the figures count, but know what is flagged at the end",
        "invalid": "the figures do not count",
    }.get(validity.status, "whether the figures count is not known")
    rejected = sum(bool(block.rejected) for block in record.blocks)
    lost = f"; {rejected} of {len(record.blocks)} blocks do not count" if rejected else ""
    readings = f"{len(record.telemetry)} readings"
    return Statement(f"Machine: {validity.status} ({readings}{lost}): {meaning}", level)
