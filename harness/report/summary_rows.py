"""A summary's figures as data: one row a figure as CSV, and all of it as JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Final

from harness.report.escaping import spreadsheet
from harness.report.json import finite
from harness.report.summary import Trace, Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.report.summary import Figure, Row, Statement, Summary, Table

# Of the fields below; another number where one is taken away, or means something else.
FORMAT: Final = 1
COLUMNS: Final = (
    *("record_id", "created_utc", "commit", "pipeline", "machine", "environment"),
    *("simulated", "complete", "validity", "status"),
    *("table", "variant", "size", "mode", "component", "quantity", "unit"),
    *("value", "lower", "upper", "count", "verdict"),
)


def to_csv(summary: Summary) -> str:
    """A row for each figure, in seconds, bytes and fractions; empty for what is not known.

    What a spreadsheet would take for a formula has an apostrophe before it, and what does not show
    is written as its code.
    """
    told = io.StringIO()
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow(COLUMNS)
    run = _run(summary)
    for one in _figures(summary):
        writer.writerow([_cell({**run, **one}[name]) for name in COLUMNS])
    return told.getvalue()


def to_summary_json(summary: Summary) -> str:
    """All of it; null for what is infinite or unknown, beside the text that people see."""
    content = {
        "format": FORMAT,
        **_run(summary),
        "command": summary.command,
        "environment_sentence": summary.environment,
        "headline": summary.headline,
        "marks": _statements(summary.marks),
        "verdicts": _statements(summary.verdicts),
        "notes": _statements(summary.notes),
        "tables": [
            {"table": table.key, "title": table.title, "notes": list(table.notes)}
            for table in summary.tables
        ],
        "figures": list(_figures(summary)),
        "traces": list(_traces(summary)),
    }
    return json.dumps(finite(content), indent=1, allow_nan=False) + "\n"


def _run(summary: Summary) -> dict[str, Any]:
    """What all figures have in common."""
    return {
        "record_id": summary.record_id,
        "created_utc": summary.created_utc,
        "commit": summary.commit,
        "pipeline": summary.pipeline,
        "machine": summary.machine,
        "environment": summary.fingerprint,
        "simulated": summary.is_simulated,
        "complete": summary.is_complete,
        "validity": summary.validity or None,
        "status": summary.status,
    }


def _figures(summary: Summary) -> Iterator[dict[str, Any]]:
    for table in summary.tables:
        for row in table.rows:
            verdict = _verdict(table, row)
            for figure in table.figures_of(row):
                yield _figure(table, figure, verdict)


def _figure(table: Table, figure: Figure, verdict: str | None) -> dict[str, Any]:
    subject = figure.subject
    return {
        "table": table.key,
        "variant": subject.variant,
        "size": subject.size,
        "mode": subject.mode,
        "component": subject.component,
        "quantity": figure.quantity,
        "unit": figure.unit,
        "value": figure.value,
        "lower": figure.lower,
        "upper": figure.upper,
        "count": figure.count,
        "verdict": verdict,
        "text": figure.text,
    }


def _verdict(table: Table, row: Row) -> str | None:
    """What the row comes to, where it has a verdict."""
    for column, cell in zip(table.columns, row.cells, strict=True):
        if column.heading == "verdict" and isinstance(cell, Word):
            return cell.text
    return None


def _traces(summary: Summary) -> Iterator[dict[str, Any]]:
    for table in summary.tables:
        for row in table.rows:
            for cell in row.cells:
                if isinstance(cell, Trace):
                    first = next(table.figures_of(row), None)
                    unit = first.unit if first is not None else None
                    yield {"quantity": row.name, "unit": unit, "values": list(cell.values)}


def _statements(statements: Sequence[Statement]) -> list[dict[str, str]]:
    return [{"level": one.level, "text": one.text} for one in statements]


def _cell(value: object) -> str:
    """A number to its last digit; a text that no program takes for anything else."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return spreadsheet(value)
    return repr(value)
