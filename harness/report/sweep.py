"""A sweep over the ways of finding INT8's ranges, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group as Lines
from rich.text import Text

from harness.report.tables import decibels, table_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from harness.types import SweepRow


def render_sweep(rows: Sequence[SweepRow]) -> RenderableType:
    """A table for each precision: SNR in dB by component and rule, beside a constant's."""
    parts: list[RenderableType] = []
    for precision in dict.fromkeys(row.precision for row in rows):
        chosen = [row for row in rows if row.precision == precision]
        best = max(chosen, key=lambda row: row.least_margin_db)
        parts.append(_table(precision, chosen))
        parts.append(
            Text(
                f"Best for its worst component: {best.rule}, {best.least_margin_db:.1f} dB above "
                "a constant output.\n"
            )
        )
    return Lines(*parts)


def _table(precision: str, rows: Sequence[SweepRow]) -> Table:
    table = table_of(f"{precision}: SNR in dB against PyTorch fp32, by clipping rule")
    table.add_column("constant", justify="right", no_wrap=True)
    for row in rows:
        table.add_column(row.rule.replace("percentile ", "p"), justify="right", no_wrap=True)
    table.caption = "pN: the method percentile, N % of absolute values not clipped"
    names = list(rows[0].snr_db)
    for name in names:
        if name == names[-1]:
            table.add_section()
        constant = rows[0].constant_snr_db[name]
        table.add_row(name, decibels(constant), *(decibels(row.snr_db[name]) for row in rows))
    return table
