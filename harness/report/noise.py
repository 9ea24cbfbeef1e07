"""What a machine's noise is, and what can be told in it, for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from harness.percent import signed_percent
from harness.report.tables import table_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rich.console import RenderableType

    from harness.report.fitting import FittedTable

_CAPTION = (
    "within: standard deviation of a process's samples; between: of processes' medians, beyond "
    "that; margin: the change that is none, at which 95 % of equal commits come out as the same; "
    "false alarms: equal commits that came out slower, of so many resampled A/As, with the rate's "
    "95 % bound; caught: the smallest slowdown that 95 % of A/Bs resampled from the A/A call "
    "slower: computed, not measured; slowdowns that were measured stand below"
)


def render_noise(
    title: str, rows: Sequence[Mapping[str, Any]], injected: Sequence[Mapping[str, Any]]
) -> RenderableType:
    """A table of the series, and one of what was really slowed.

    Args:
        title: of the first table.
        rows: a calibration's, as dictionaries.
        injected: what became of each series at each slowdown; size 0 is the A/A.
    """
    table = table_of(title)
    for heading in ("within %", "between %", "margin %", "false alarms", "caught %,\nresampled"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        alarms = row["false_alarms"]
        smallest = row["smallest_caught"]
        table.add_row(
            str(row["series"]),
            *(f"{100.0 * row[name]:.2f}" for name in ("within_sd", "process_sd", "margin")),
            f"{alarms['count']}/{alarms['total']}\nup to {100.0 * alarms['upper']:.2g} %",
            "none" if smallest is None else f"{100.0 * smallest:.3g}",
        )
    return Group(table, Text(_CAPTION), _slowed(injected))


def _slowed(injected: Sequence[Mapping[str, Any]]) -> FittedTable:
    is_simulated = any(one.get("is_simulated") for one in injected)
    table = table_of(
        "SIMULATED: made-up times, made longer"
        if is_simulated
        else "Really slowed, inside the timed work"
    )
    for heading in ("by %", "verdict", "measured %", "pairs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in injected:
        table.add_row(
            str(one["series"]),
            f"{100.0 * one['size']:g}",
            str(one["status"]),
            signed_percent(one["ratio"]),
            str(one["pairs"]),
        )
    return table
