"""A summary as Markdown, for a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.report.drawing import bar, sparkline
from harness.report.escaping import markdown, marker
from harness.report.summary import (
    BAD,
    CANARIES,
    COMPONENTS,
    DASH,
    GOOD,
    MACHINE,
    OPEN,
    VALUE,
    Figure,
    Span,
    Trace,
    Word,
)
from harness.report.summary_folding import folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.report.summary import Cell, Column, Row, Statement, Summary, Table

_SIGNS: Final = {BAD: "❌ ", OPEN: "⚠️ ", GOOD: "✅ "}
_STATUS_SIGNS: Final = {"within": "✅ ", "missed": "❌ ", "inconclusive": "⚠️ "}
# What is opened by who wants to know more.
_FOLDED: Final = frozenset({COMPONENTS, MACHINE, CANARIES})
_DRAWN: Final = 24
_MOST_ROWS: Final = 40
# GitHub takes 65,536 characters; some are left for what a bot adds.
MOST_CHARACTERS: Final = 65_000


def to_summary_markdown(summary: Summary) -> str:
    """A comment for a pull request, whose hidden first line is the same for each of a pipeline.

    Where it would be longer than a comment may be, it has fewer rows of long tables, and says so.
    """
    most = _MOST_ROWS
    text = _text(summary, most)
    while len(text) > MOST_CHARACTERS and most > 1:
        most //= 2
        text = _text(summary, most)
    return text


def _text(summary: Summary, most: int) -> str:
    return "\n".join(_lines(summary, most)) + "\n"


def _lines(summary: Summary, most: int) -> Iterator[str]:
    yield f"<!-- trt-harness report: {marker(summary.pipeline)} -->"
    sign = _STATUS_SIGNS.get(summary.status, "")
    yield f"### {sign}{markdown(summary.pipeline)}: {markdown(summary.headline)}"
    yield ""
    for mark in summary.marks:
        yield f"> **{markdown(mark.text)}**"
        yield ""
    commit = f", commit {summary.commit}" if summary.commit else ""
    record = f"{summary.record_id}, {summary.created_utc[:16].replace('T', ' ')} UTC{commit}"
    yield f"{markdown(record)}. {markdown(summary.environment)}."
    yield from _listed(summary.verdicts)
    for table in summary.tables:
        yield ""
        yield from _table(folded(table, most))
    yield from _listed(summary.notes)


def _listed(statements: Sequence[Statement]) -> Iterator[str]:
    if statements:
        yield ""
    for statement in statements:
        yield f"- {_SIGNS.get(statement.level, '')}{markdown(statement.text)}"


def _table(table: Table) -> Iterator[str]:
    title = markdown(table.title)
    is_folded = table.key in _FOLDED
    yield f"<details><summary>{title}</summary>" if is_folded else f"**{title}**"
    yield ""
    yield f"| {' | '.join((markdown(table.names), *map(_heading, table.columns)))} |"
    yield f"|---|{'|'.join(_alignment(table, i) for i, _ in enumerate(table.columns))}|"
    for row in table.rows:
        yield _row(row, table.columns)
    if table.notes:
        yield ""
        yield f"<sub>{markdown('; '.join(table.notes))}</sub>"
    if is_folded:
        yield ""
        yield "</details>"


def _heading(column: Column) -> str:
    return markdown(column.name)


def _alignment(table: Table, index: int) -> str:
    cells = [row.cells[index] for row in table.rows]
    return "---" if any(isinstance(cell, (Word, Span, Trace)) for cell in cells) else "--:"


def _row(row: Row, columns: Sequence[Column]) -> str:
    mark = "**" if row.is_whole else ""
    drawn = [_cell(cell, column) for cell, column in zip(row.cells, columns, strict=True)]
    return f"| {' | '.join((f'{mark}{markdown(row.name)}{mark}', *drawn))} |"


def _cell(cell: Cell, column: Column) -> str:
    if isinstance(cell, Word):
        return f"{_SIGNS.get(cell.level, '')}{markdown(cell.text)}"
    if isinstance(cell, Figure):
        return markdown(cell.text if column.shows == VALUE else cell.interval)
    if isinstance(cell, Span):
        return f"`{bar(cell, _DRAWN)}`"
    if isinstance(cell, Trace):
        return f"`{sparkline(cell, _DRAWN)}`"
    return "" if column.heading == "" else DASH
