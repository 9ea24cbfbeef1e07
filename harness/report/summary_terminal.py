"""A summary on a terminal, of any width, with colours or without."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.console import Group as Lines
from rich.padding import Padding
from rich.text import Text

from harness.report.budget_spent import GAPS, HEADROOM, TAIL
from harness.report.drawing import bar, sparkline
from harness.report.escaping import visible
from harness.report.fitting import PlainName
from harness.report.summarize import level_of
from harness.report.summary import (
    BAD,
    DASH,
    GOOD,
    INTERVAL,
    MADE_UP,
    OPEN,
    VALUE,
    Figure,
    Span,
    Trace,
    Word,
)
from harness.report.summary_folding import folded
from harness.report.tables import table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from harness.report.fitting import FittedTable
    from harness.report.summary import Cell, Column, Row, Statement, Summary, Table

_STYLES: Final = {
    BAD: "bold red",
    OPEN: "yellow",
    GOOD: "bold green",
    MADE_UP: "bold magenta",
    "": "",
}
_BARS: Final = {GAPS: "yellow", TAIL: "magenta", HEADROOM: "green"}
# Columns of a bar or a trace: the least that shows anything, and the most that is of use.
_LEAST_DRAWN, _MOST_DRAWN = 10, 48
# A name that is longer goes to several lines before a bar is left out.
_NAME: Final = 24
# More rows than that say less: --format csv has them.
_MOST_ROWS: Final = 40
_IN_ALL: Final = "--format json has all"


def render_summary(summary: Summary) -> RenderableType:
    """What is told first, the verdict, the tables, and what else there is to know."""
    parts: list[RenderableType] = [_line(mark) for mark in summary.marks]
    text = Text(visible(f"{summary.pipeline}: {summary.headline}"), _headline_style(summary))
    parts += [text, *(_small(line) for line in _provenance(summary))]
    parts += [_line(statement) for statement in summary.verdicts]
    for table in (folded(one, _MOST_ROWS) for one in summary.tables):
        parts += ["", Text(visible(table.title), "bold"), _Drawn(table)]
        parts += [_small(note) for note in table.notes]
    parts += [""] if summary.notes else []
    parts += [_line(note) for note in summary.notes]
    return Lines(*parts)


def _headline_style(summary: Summary) -> str:
    return _STYLES[level_of(summary)] or "bold"


def _provenance(summary: Summary) -> list[str]:
    commit = f", commit {summary.commit}" if summary.commit else ""
    record = f"{summary.record_id}, {summary.created_utc[:16].replace('T', ' ')} UTC{commit}"
    return [record, summary.environment]


def _line(statement: Statement) -> RenderableType:
    return Text(visible(statement.text), _STYLES[statement.level])


def _small(text: str) -> RenderableType:
    return Padding(Text(visible(text), "dim"), (0, 0, 0, 2))


class _Drawn:
    """A table whose bars and traces are as wide as there is room, and are left out without any."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = self._drawn_width(options.max_width)
        yield self._fitted(width, is_ascii=options.ascii_only)

    def _drawn_width(self, room: int) -> int:
        """How wide its bars may be; 0 where there are none, or there is no room."""
        table = self._table
        if not any(isinstance(cell, (Span, Trace)) for row in table.rows for cell in row.cells):
            return 0
        names = [visible(row.name) for row in table.rows]
        taken = min(_NAME, max(map(cell_len, (*names, table.names)))) + 2
        for index, column in enumerate(table.columns):
            told = [_told(row.cells[index], column) for row in table.rows]
            taken += 1 + max(map(cell_len, (*told, *column.heading.split("\n"))))
        width = min(_MOST_DRAWN, room - taken)
        return width if width >= _LEAST_DRAWN else 0

    def _fitted(self, width: int, *, is_ascii: bool) -> FittedTable:
        table = self._table
        drawn = {i for i, _ in enumerate(table.columns) if _is_drawn(table.rows, i)}
        kept = [i for i, _ in enumerate(table.columns) if i not in drawn or width]
        columns = [table.columns[i] for i in kept]
        made = table_of("", [column.name for column in reversed(columns) if column.is_spare])
        made.title, made.show_edge, made.all_in = None, False, _IN_ALL
        made.columns[0].header = table.names
        for i, column in zip(kept, columns, strict=True):
            # Words and bars begin on the left.
            is_left = i in drawn or _is_worded(table.rows, i)
            made.add_column(
                Text(column.heading), justify="left" if is_left else "right", no_wrap=True
            )
        for row in table.rows:
            if row.begins:
                made.add_section()
            cells = [
                Text("")
                if i in drawn and row.cells[i] is None
                else _cell(row.cells[i], table.columns[i], width, is_ascii=is_ascii)
                for i in kept
            ]
            name = PlainName(visible(row.name))
            made.add_row(name, *cells, style="bold" if row.is_whole else "")
        return made


def _is_drawn(rows: Sequence[Row], index: int) -> bool:
    return any(isinstance(row.cells[index], (Span, Trace)) for row in rows)


def _is_worded(rows: Sequence[Row], index: int) -> bool:
    return any(isinstance(row.cells[index], Word) for row in rows)


def _told(cell: Cell, column: Column) -> str:
    """A cell in words; nothing of what is drawn."""
    if isinstance(cell, Word):
        return visible(cell.text)
    if isinstance(cell, Figure):
        return cell.text if column.shows == VALUE else cell.interval
    return DASH if cell is None else ""


def _cell(cell: Cell, column: Column, width: int, *, is_ascii: bool) -> Text:
    if isinstance(cell, Span):
        return Text(bar(cell, width, is_ascii=is_ascii), _BARS.get(cell.kind, "cyan"))
    if isinstance(cell, Trace):
        return Text(sparkline(cell, width, is_ascii=is_ascii), "cyan")
    style = ""
    if isinstance(cell, Word) or (isinstance(cell, Figure) and column.shows != INTERVAL):
        style = _STYLES[cell.level]
    return Text(_told(cell, column), style)
