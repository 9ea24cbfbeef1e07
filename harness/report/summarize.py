"""What is told of a record: everything that every format of ``harness report`` shows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from harness.report.figures import figures_of
from harness.report.summary import (
    BAD,
    GOOD,
    INCONCLUSIVE,
    MISSED,
    NONE,
    OPEN,
    WITHIN,
    Summary,
)
from harness.report.summary_comparison import (
    comparison_marks,
    comparison_notes,
    comparison_tables,
)
from harness.report.summary_machine import canary_table, machine_table
from harness.report.summary_statements import marks_of, notes_of, verdict_of, verdicts_of
from harness.report.summary_tables import tables_of
from harness.report.words import environment_sentence
from harness.stats.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.report.figures import Figures
    from harness.report.summary import Table
    from harness.report.summary_comparison import Against
    from harness.types import Record

_SHORT = 12
STATUS_LEVELS = {WITHIN: GOOD, MISSED: BAD, INCONCLUSIVE: OPEN, NONE: ""}


def summarize_record(record: Record, against: Against | None = None) -> Summary:
    """The summary of ``record``, beside what it was held ``against``."""
    figures = figures_of(record)
    comparison = against.comparison if against is not None else None
    tables = tuple(_tables(figures, against))
    marks = tuple(marks_of(figures))
    if comparison is not None:
        marks = (*marks, *comparison_marks(comparison))
    status, told = verdict_of(figures)
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
        verdicts=tuple(verdicts_of(figures, against, status)),
        tables=tables,
        notes=(*notes_of(figures, tables), *(comparison_notes(against) if against else ())),
    )


def _tables(figures: Figures, against: Against | None) -> Iterator[Table]:
    yield from tables_of(figures)
    if against is not None and against.comparison is not None:
        yield from comparison_tables(against.comparison)
    for table in (machine_table(figures.record), canary_table(figures)):
        if table is not None:
            yield table


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
