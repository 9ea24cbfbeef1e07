"""A summary as one page of HTML, which loads nothing and runs nothing."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from harness.report.drawing import heights_of
from harness.report.escaping import visible
from harness.report.summarize import level_of
from harness.report.summary import DASH, VALUE, Figure, Span, Trace, Word

if TYPE_CHECKING:
    from harness.report.summary import Cell, Column, Summary, Table

_TEMPLATE: Final = "summary.html.j2"
# Of a trace, in units of its picture.
_WIDTH, _HEIGHT = 192, 24
# As classes of the style sheet.
_CLASSES: Final = {"made up": "made-up"}


def to_summary_html(summary: Summary) -> str:
    """The whole page; every name in it is escaped."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = files("harness.report").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(
        summary=summary,
        level=_class_of(level_of(summary)),
        tables=[_table(table) for table in summary.tables],
        class_of=_class_of,
    )


def _visible(value: Any) -> Any:  # noqa: ANN401  # whatever a template says
    """What does not show is made to; the template escapes it afterwards."""
    return visible(value) if type(value) is str else value


def _class_of(level: str) -> str:
    return _CLASSES.get(level, level)


def _table(table: Table) -> dict[str, Any]:
    """What the template puts into cells: nothing is computed there."""
    return {
        "key": table.key,
        "title": table.title,
        "names": table.names,
        "notes": table.notes,
        "headings": [
            {"text": column.name, "left": _is_left(table, i)}
            for i, column in enumerate(table.columns)
        ],
        "rows": [
            {
                "name": row.name,
                "whole": row.is_whole,
                "begins": row.begins,
                "cells": [
                    _cell(cell, column)
                    for cell, column in zip(row.cells, table.columns, strict=True)
                ],
            }
            for row in table.rows
        ],
    }


def _is_left(table: Table, index: int) -> bool:
    return any(isinstance(row.cells[index], (Word, Span, Trace)) for row in table.rows)


def _cell(cell: Cell, column: Column) -> dict[str, Any]:
    if isinstance(cell, Span):
        return {"kind": "span", "x": _of_100(cell.begin), "width": _width(cell), "of": cell.kind}
    if isinstance(cell, Trace):
        return {"kind": "trace", "path": _path(cell)}
    if isinstance(cell, Word):
        return {"kind": "word", "text": cell.text, "level": _class_of(cell.level)}
    if isinstance(cell, Figure):
        is_value = column.shows == VALUE
        text = cell.text if is_value else cell.interval
        return {"kind": "figure", "text": text, "level": cell.level if is_value else ""}
    return {"kind": "figure", "text": DASH if column.heading else "", "level": ""}


def _of_100(share: float) -> str:
    return f"{100.0 * share:.2f}"


def _width(span: Span) -> str:
    # What is there is seen, however little it is.
    return _of_100(max(span.end - span.begin, 0.004))


def _path(trace: Trace) -> str:
    """A line through the steps, which is broken where nothing was read."""
    heights = heights_of(trace)
    step = _WIDTH / max(1, len(heights) - 1)
    parts, command = [], "M"
    for index, height in enumerate(heights):
        if height is None:
            command = "M"
            continue
        y = 1.0 + (_HEIGHT - 2.0) * (1.0 - height)
        parts.append(f"{command}{index * step:.1f} {y:.1f}")
        command = "L"
    return " ".join(parts)
