"""What is told of a record: everything that every format of ``harness report`` shows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from harness.report.figures import figures_of
from harness.report.gate import missed_reasons, open_reasons
from harness.report.summary import (
    BAD,
    GOOD,
    INCONCLUSIVE,
    MADE_UP,
    MISSED,
    NONE,
    OPEN,
    WITHIN,
    Statement,
    Summary,
)
from harness.report.summary_comparison import (
    comparison_marks,
    comparison_notes,
    comparison_statements,
    comparison_tables,
)
from harness.report.summary_machine import canary_table, machine_table
from harness.report.summary_tables import VERDICT_LEVELS, counts, tables_of
from harness.report.trust import unsettled_sentences
from harness.report.words import (
    bare_milliseconds,
    budget_sentence,
    deadline_sentences,
    environment_sentence,
    floor_sentence,
    fp16_sum_sentences,
    given_sentences,
    milliseconds,
)
from harness.stats.budget import Verdict
from harness.stats.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.budgets import BudgetFigure
    from harness.report.figures import Figures
    from harness.report.summary import Table
    from harness.report.summary_comparison import Against
    from harness.types import Record

_SHORT = 12
_MARKED = "~: too few samples, or processes, for a finite 95 % interval"
STATUS_LEVELS = {WITHIN: GOOD, MISSED: BAD, INCONCLUSIVE: OPEN, NONE: ""}


def summarize_record(record: Record, against: Against | None = None) -> Summary:
    """The summary of ``record``, beside what it was held ``against``."""
    figures = figures_of(record)
    comparison = against.comparison if against is not None else None
    tables = tuple(_tables(figures, against))
    marks = tuple(_marks(figures))
    if comparison is not None:
        marks = (*marks, *comparison_marks(comparison))
    status, told = _verdict(figures)
    labels = [mark.text.partition(":")[0].partition(",")[0] for mark in marks]
    headline = ", ".join((*dict.fromkeys(labels), told))
    return Summary(
        pipeline=record.pipeline,
        record_id=record.record_id,
        created_utc=record.created_utc,
        commit=_commit(record),
        command=shlex.join(record.command),
        machine=_machine(record),
        environment=environment_sentence(figures) if figures.groups else _machine(record),
        fingerprint=fingerprint(record.environment),
        validity=record.validity.status if record.validity is not None else "",
        is_simulated=figures.is_simulated,
        is_complete=record.is_complete,
        status=status,
        headline=headline,
        marks=marks,
        verdicts=tuple(_verdicts(figures, against, status)),
        tables=tables,
        notes=(*_notes(figures, tables), *(comparison_notes(against) if against else ())),
    )


def _tables(figures: Figures, against: Against | None) -> Iterator[Table]:
    yield from tables_of(figures)
    if against is not None and against.comparison is not None:
        yield from comparison_tables(against.comparison)
    for table in (machine_table(figures.record), canary_table(figures)):
        if table is not None:
            yield table


def _marks(figures: Figures) -> Iterator[Statement]:
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


def _verdict(figures: Figures) -> tuple[str, str]:
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


def _verdicts(figures: Figures, against: Against | None, status: str) -> Iterator[Statement]:
    for figure in figures.budgets:
        found = figure.verdict
        # What neither the table of the budget says nor the headline.
        if found is None:
            if status != INCONCLUSIVE:
                yield Statement(f"Budget, {budget_sentence(figure)}", OPEN)
        elif found.verdict is Verdict.INCONCLUSIVE or found.processes > 1:
            yield Statement(f"Budget, {budget_sentence(figure)}", VERDICT_LEVELS[found.verdict])
    yield from (Statement(told, BAD) for told in deadline_sentences(figures))
    # Accuracy is that of the session: once, however many ways its launches were timed.
    missed = dict.fromkeys(
        f"At {group.case}: {floor_sentence(row)}"
        for group in figures.groups
        for row in group.rows
        if row.misses_floor
    )
    yield from (Statement(told, BAD) for told in missed)
    if figures.unchecked_floors:
        yield Statement("Accuracy floors are not checked: no reference", OPEN)
    yield from (Statement(told, OPEN) for told in unsettled_sentences(figures))
    if _is_doubtful(figures.record):
        yield _state(figures.record)
    for missing in figures.record.replication.missing if figures.record.replication else ():
        yield Statement(f"Process {missing.process} measured nothing: {missing.reason}", OPEN)
    if against is not None:
        yield from comparison_statements(against)


def _notes(figures: Figures, tables: tuple[Table, ...]) -> Iterator[Statement]:
    record = figures.record
    if record.budget is not None:
        includes, excludes = record.budget.includes, record.budget.excludes
        told = f"The budget includes {includes or 'every component'}; leaves out "
        yield Statement(f"{told}{excludes or 'nothing'}.")
    if any(figure.text.startswith("~") for table in tables for figure in table.figures):
        yield Statement(_MARKED)
    yield from (Statement(told) for told in given_sentences(record))
    yield from (Statement(told) for told in fp16_sum_sentences(record))
    if not _is_doubtful(record):
        yield _state(record)
    for one in record.validity.findings if record.validity is not None else ():
        grave = BAD if one.level == "fail" else OPEN if one.level in {"flag", "unknown"} else ""
        yield Statement(f"{one.level}: {one.what}; {one.fix}", grave)


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


def _commit(record: Record) -> str:
    """The commit that was measured, and whether it was changed; empty if that is not known."""
    told = record.environment.get("pipeline_commit") or {}
    own = (record.history or {}).get("commit")
    commit = str(own or told.get("commit") or "")
    is_dirty = bool(commit) and not own and told.get("is_dirty")
    return f"{commit[:_SHORT]}{', changed' if is_dirty else ''}"


def _machine(record: Record) -> str:
    """The device that was measured, else the processor."""
    gpu, cpu = record.environment.get("gpu") or {}, record.environment.get("cpu")
    return str(gpu.get("name") or cpu or "an unknown machine")


def level_of(summary: Summary) -> str:
    """How the headline is to be taken."""
    return STATUS_LEVELS[summary.status]
