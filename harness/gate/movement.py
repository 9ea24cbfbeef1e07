"""Which component moved, and what share of the pipeline's change is its."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pipeline.pipeline import TRANSFERS, WHOLE_PIPELINE
from harness.report.gate_model import Change, Movement, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.comparison.model import Comparison, SeriesComparison


def movements_of(comparison: Comparison) -> tuple[Movement, ...]:
    """That of each pipeline in ``comparison``, with its own components.

    Where no whole pipeline was compared, that of each component by itself.
    """
    wholes = [row for row in comparison.rows if row.series.component == WHOLE_PIPELINE]
    if wholes:
        return tuple(_movement(row, comparison.rows) for row in wholes)
    return tuple(
        Movement(row.series, _change(row), ())
        for row in comparison.rows
        if row.series.component not in TRANSFERS
    )


def _movement(whole: SeriesComparison, rows: Sequence[SeriesComparison]) -> Movement:
    change = _change(whole)
    parts = []
    for row in rows:
        # Copies are apart from the pipeline's time on a device.
        is_beside = row.series.setting == whole.series.setting
        if row.series.component in {WHOLE_PIPELINE, *TRANSFERS} or not is_beside:
            continue
        own = _change(row)
        share = own.change_s / change.change_s if change.is_known else None
        parts.append(Part(row.series.component, own, share))
    parts.sort(key=lambda part: abs(part.change.change_s), reverse=True)
    rest_s = change.change_s - sum(part.change.change_s for part in parts) if parts else None
    return Movement(whole.series, change, tuple(parts), rest_s)


def _change(row: SeriesComparison) -> Change:
    return Change(row.base_s, row.head_s, row.time, row.is_discovery, row.cycles)
