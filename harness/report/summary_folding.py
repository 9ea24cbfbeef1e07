"""Tables of very many rows, as one that can be read."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from harness.report.budget_spent import GAPS, HEADROOM, TAIL
from harness.report.summary import Figure

if TYPE_CHECKING:
    from harness.report.summary import Row, Table

# Of a budget, what is no component is always shown.
_KEPT: Final = frozenset({GAPS, TAIL, HEADROOM})


def folded(table: Table, most: int) -> Table:
    """The ``most`` rows that weigh most, in their order, and a note on how many are left out.

    What is of a whole, and what stands below it, is always kept. A row weighs what its first figure
    is.
    """
    first_whole = next((i for i, row in enumerate(table.rows) if row.is_whole), len(table.rows))
    weights = [_weight(row) for row in table.rows[:first_whole]]
    room = max(1, most - (len(table.rows) - first_whole))
    heaviest = sorted(range(first_whole), key=lambda i: weights[i], reverse=True)[:room]
    kept = {*heaviest, *(i for i, weight in enumerate(weights) if math.isinf(weight))}
    left = first_whole - len(kept)
    if left <= 0:
        return table
    rows = [row for i, row in enumerate(table.rows) if i in kept or i >= first_whole]
    note = f"{left} of {len(table.rows)} rows, those of least, are left out (--format csv has them)"
    return replace(table, rows=tuple(rows), notes=(*table.notes, note))


def _weight(row: Row) -> float:
    found = next((cell for cell in row.cells if isinstance(cell, Figure)), None)
    if found is None or found.value is None:
        return 0.0
    return math.inf if found.quantity in _KEPT else abs(found.value)
