"""The cells and the frame that the terminal's tables share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich import box
from rich.text import Text

from harness.report.fitting import FittedTable
from harness.report.words import milliseconds, under

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.report.rows import Row
    from harness.stats.quantiles import QuantileEstimate


def table_of(title: str | Text, spare: Sequence[str] = ()) -> FittedTable:
    """An empty table with a column for the component.

    ``spare`` are the headings of columns that may be left out where there is no room, the first
    first.
    """
    table = FittedTable(
        title=title,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0),
        pad_edge=False,
    )
    table.spare = tuple(spare)
    table.add_column("component", overflow="fold")
    return table


def milliseconds_of(estimate: QuantileEstimate) -> str:
    """In ms; marked where there are too few samples for a finite interval."""
    text = milliseconds(estimate.value)
    return text if estimate.is_finite else f"~{text}"


def decibels(value: float | None) -> str:
    """In dB; a dash where it is not known, and a word where it has no number."""
    if value is None:
        return "-"
    if math.isinf(value):
        return "exact" if value > 0.0 else "none"
    return f"{value:.1f}"


def snr_of(row: Row) -> str | Text:
    """The signal-to-noise ratio in dB, marked where it is under the floor."""
    measured = row.measurement
    if not row.misses_floor:
        return decibels(measured.snr_db)
    is_finite = measured.snr_db is not None and math.isfinite(measured.snr_db)
    text = under(measured.snr_db, measured.min_snr_db) if is_finite else decibels(measured.snr_db)
    return Text(f"{text} wrong", style="red")
