"""Tables of very many rows, as one that can be read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.report.summary import Figure, Row

if TYPE_CHECKING:
    from harness.report.summary import Table


def folded(table: Table, most: int) -> Table:
    """The ``most`` rows that weigh most, in their order, and a note on how many are left out.

    What is of a whole, and what stands below it, is always kept. A row weighs what its first figure
    is.
    """
    if len(table.rows) <= most:
        return table
    first_whole = next((i for i, row in enumerate(table.rows) if row.is_whole), len(table.rows))
    own = range(first_whole)
    rest = len(table.rows) - first_whole
    kept = {*sorted(own, key=lambda i: _weight(table.rows[i]), reverse=True)[: max(1, most - rest)]}
    rows = [row for i, row in enumerate(table.rows) if i in kept or i >= first_whole]
    left = len(table.rows) - len(rows)
    if not left:
        return table
    note = f"{left} rows of less are left out ({len(table.rows)} in all; --format csv has them)"
    return replace(table, rows=tuple(rows), notes=(*table.notes, note))


def _weight(row: Row) -> float:
    found = next((cell for cell in row.cells if isinstance(cell, Figure)), None)
    return 0.0 if found is None or found.value is None else abs(found.value)
