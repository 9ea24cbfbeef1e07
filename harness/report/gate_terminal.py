"""What a gate found, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group as Lines
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.percent import signed_percent
from harness.report.escaping import visible
from harness.report.gate_model import Status
from harness.report.gate_words import (
    environment_label,
    headline,
    interval_percent,
    setting_of,
    share_percent,
    sides_sentence,
    signed_ms,
    verdict_word,
    whole_percent,
)
from harness.report.tables import table_of
from harness.report.words import milliseconds

if TYPE_CHECKING:
    from rich.console import RenderableType

    from harness.report.gate_model import Change, Check, GateReport, Movement

COLOURS: Final = {
    Status.PASS: "green",
    Status.MISSED: "bold red",
    Status.INCONCLUSIVE: "yellow",
    Status.NOT_ASKED: "dim",
}


def render_gate(report: GateReport) -> RenderableType:
    """The checks with their sentences, a table for each pipeline that moved, and the verdict."""
    parts: list[RenderableType] = [
        Text(visible(f"Gate of {report.pipeline}: {sides_sentence(report)}"), style="bold")
    ]
    if report.is_simulated:
        parts.append(Text("SIMULATED: these times come from no real clock", style="bold magenta"))
    label = environment_label(report)
    if label:
        parts.append(Text(visible(label), style="bold yellow"))
    parts.append(_checks(report))
    parts.extend(_movement(movement) for movement in report.movements)
    notes = [*report.remarks, f"on: {report.machine}"] if report.machine else report.remarks
    parts.extend(Padding(Text(visible(note), style="dim"), (0, 0, 0, 2)) for note in notes)
    parts.append(Text(visible(headline(report)), style=COLOURS[report.status]))
    return Lines(*parts)


def _checks(report: GateReport) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    width = max(len(status.value) for status in Status)
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(overflow="fold")
    for check in report.checks:
        style = COLOURS[check.status]
        told = check.status.value
        mark = told.upper() if check.status in {Status.MISSED, Status.INCONCLUSIVE} else told
        table.add_row(Text(mark, style=style), _sentence(check))
    return table


def _sentence(check: Check) -> Text:
    return Text(visible(str(check)), style="dim" if check.status is Status.NOT_ASKED else "")


def _movement(movement: Movement) -> Table:
    series = movement.series
    what = f"{setting_of(series)}: base and head in ms"
    table = table_of(escape(visible(what)), ("base", "head", "share %"))
    for heading in ("base", "head", "change", "change %", "interval %", "share %", "verdict"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in movement.parts:
        table.add_row(_name(part.component), *_cells(part.change, share_percent(part)))
    if movement.rest_s is not None:
        table.add_row("the rest", "", "", signed_ms(movement.rest_s), "", "", _rest(movement), "")
        table.add_section()
    cells = _cells(movement.change, "100" if movement.change.is_known else "-")
    table.add_row(_name(series.component), *cells, style="bold")
    return table


def _name(component: str) -> Text:
    # As text: brackets in a string would be taken for a style.
    return Text(visible(component))


def _rest(movement: Movement) -> str:
    """The share that no component explains."""
    if not movement.change.is_known or movement.rest_s is None:
        return "-"
    return whole_percent(movement.rest_s / movement.change.change_s)


def _cells(change: Change, share: str) -> list[str]:
    return [
        milliseconds(change.base_s),
        milliseconds(change.head_s),
        signed_ms(change.change_s),
        signed_percent(change.time.ratio),
        interval_percent(change),
        share,
        verdict_word(change),
    ]
