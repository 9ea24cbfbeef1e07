"""Two sides held against each other, for the terminal and as JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from harness.files import write_text
from harness.percent import signed_percent
from harness.report.escaping import visible
from harness.report.fitting import PlainName
from harness.report.tables import decibels, table_of
from harness.report.words import milliseconds
from harness.stats.pairs import PairStatus
from harness.types import HOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from harness.comparison.model import Comparison, Series, SeriesComparison, Side
    from harness.report.fitting import FittedTable
    from harness.stats.pairs import PairVerdict
    from harness.types import Case, Variant

_STYLES: Final = {
    PairStatus.SLOWER: "red",
    PairStatus.FASTER: "green",
    PairStatus.SAME: "",
    PairStatus.INCONCLUSIVE: "yellow",
}
_SHOWN_HASH: Final = 12
# The heading of each figure, and how it is told.
_COLUMNS: Final[dict[str, tuple[str, Callable[[float], str]]]] = {
    "snr_db": ("SNR dB", decibels),
    "energy_j": ("J", lambda value: f"{value:.3g}"),
    "memory_bytes": ("memory MB", lambda value: f"{value / 1e6:.2f}"),
    "size_bytes": ("disk MB", lambda value: f"{value / 1e6:.2f}"),
}


def render_comparison(comparison: Comparison) -> RenderableType:
    """A table for each variant and size, why what is open is so, and what else must be known."""
    tables: dict[tuple[Variant, Case], list[SeriesComparison]] = {}
    for row in comparison.rows:
        tables.setdefault((row.series.variant, row.series.case), []).append(row)
    parts: list[RenderableType] = [_heading(comparison)]
    for kind, rows in tables.items():
        parts += [_table(f"{kind[0]}, {kind[1]}", rows, comparison), *_reasons(rows)]
    parts.append(Text(_legend(comparison)))
    parts += [Text(visible(f"Note: {finding}"), "yellow") for finding in comparison.findings]
    parts.append(Text(summary_sentence(comparison), _STYLES[comparison.status]))
    return Group(*parts)


def summary_sentence(comparison: Comparison) -> str:
    """How many series are slower, faster, the same, inconclusive, and slight or hidden."""
    words = Counter(row.word for row in comparison.rows)
    order = [*(status.value for status in PairStatus), "slight", "hidden"]
    counts = [f"{words[word]} {word}" for word in order if words[word]]
    label = ", SIMULATED" if comparison.is_simulated else ""
    label += ", NOT THE SAME ENVIRONMENT" if comparison.differences else ""
    for name, side in (("BASE", comparison.base), ("HEAD", comparison.head)):
        label += f", {name} INVALID" if side.invalid else ""
        label += f", {name} SLOWED ON PURPOSE" if side.slowed_by else ""
    if comparison.unjudged:
        counts.append(f"{len(comparison.unjudged)} of the base not judged")
    return f"{visible(comparison.pipeline)}, head against base{label}: {', '.join(counts)}"


def _heading(comparison: Comparison) -> Text:
    text = Text()
    for name, side in (("base", comparison.base), ("head", comparison.head)):
        text.append(f"{name}: {_told(side)}\n")
    if comparison.differences:
        label = visible(f"not the same environment: {', '.join(comparison.differences)}")
        text.append(f"{label}; what differs may be theirs\n", "yellow")
    if comparison.is_simulated:
        text.append("SIMULATED: the times are made up\n", "yellow")
    text.append(
        "processes in pairs, which took turns"
        if comparison.is_paired
        else "processes that took no turns: a drift of the machine looks like one of the code"
    )
    return text


def _told(side: Side) -> str:
    commit = side.commit[:_SHOWN_HASH]
    own = f", commit {commit}" if commit and commit not in side.label else ""
    count = len(side.record_ids)
    records = side.record_ids[0] if count == 1 else f"{count} records"
    told = f"{side.label}{own}" if records == side.label else f"{side.label}{own}, {records}"
    slowed = f", MADE {100.0 * side.slowed_by:.3g} % SLOWER ON PURPOSE" if side.slowed_by else ""
    invalid = f", INVALID: {side.invalid}" if side.invalid else ""
    return visible(f"{told}{slowed}{invalid}")


def _table(title: str, rows: Sequence[SeriesComparison], comparison: Comparison) -> FittedTable:
    title += ", SIMULATED" if comparison.is_simulated else ""
    title += ", NOT THE SAME ENVIRONMENT" if comparison.differences else ""
    table = table_of(Text(visible(title)))
    has_cycles = any(row.cycles is not None for row in rows)
    names = [
        name
        for name in _COLUMNS
        if any(figure.name == name for row in rows for figure in row.figures)
    ]
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("change %", justify="right", no_wrap=True)
    table.add_column("time", no_wrap=True)
    if has_cycles:
        table.add_column("cycles %", justify="right", no_wrap=True)
        table.add_column("cycles", no_wrap=True)
    for name in names:
        table.add_column(_COLUMNS[name][0], justify="right", no_wrap=True)
    table.add_column("pairs" if comparison.is_paired else "runs", justify="right", no_wrap=True)
    table.add_column("odd", justify="right", no_wrap=True)
    for row in rows:
        cells: list[str | Text] = [
            f"{milliseconds(row.base_s)}\n{milliseconds(row.head_s)}",
            _change(row.time),
            Text(row.word, "" if row.slight else _STYLES[row.status]),
        ]
        if has_cycles:
            cells += [_change(row.cycles), _status(row.cycles)]
        cells += [_figure(row, name) for name in names]
        odd = _both(str(len(row.time.odd_base)), str(len(row.time.odd_head)))
        table.add_row(PlainName(visible(label_of(row.series))), *cells, str(row.time.pairs), odd)
    return table


def label_of(series: Series) -> str:
    """The component, and how work arrived unless it was back to back: ``pipeline, paced``."""
    streams = f", {series.streams} streams" if series.streams > 1 else ""
    mode = "" if series.mode == HOT else f", {series.mode}"
    return f"{series.component}{mode}{streams}"


def _status(verdict: PairVerdict | None) -> str | Text:
    return "-" if verdict is None else Text(verdict.status.value, _STYLES[verdict.status])


def _change(verdict: PairVerdict | None) -> str:
    """The estimate, and the interval below it."""
    if verdict is None:
        return "-"
    if not math.isfinite(verdict.upper):
        return signed_percent(verdict.ratio)
    interval = f"{signed_percent(verdict.lower)} to {signed_percent(verdict.upper)}"
    return f"{signed_percent(verdict.ratio)}\n{interval}"


def _figure(row: SeriesComparison, name: str) -> str:
    figure = next((figure for figure in row.figures if figure.name == name), None)
    if figure is None:
        return "-"
    told = _COLUMNS[name][1]
    return _both(*("-" if value is None else told(value) for value in (figure.base, figure.head)))


def _both(base: str, head: str) -> str:
    """The base's, and the head's below it; once where they look the same."""
    return base if base == head else f"{base}\n{head}"


def _reasons(rows: Sequence[SeriesComparison]) -> list[RenderableType]:
    return [
        Padding(
            Text(visible(f"{label_of(row.series)}: {row.reason}"), "" if row.slight else "yellow"),
            (0, 0, 0, 2),
        )
        for row in rows
        if row.reason
    ]


def _legend(comparison: Comparison) -> str:
    confidences = sorted(
        {row.time.confidence for row in comparison.rows if row.time.confidence < 1}
    )
    each = ""
    if confidences:
        least, most = (f"{100.0 * value:.1f}" for value in (confidences[0], confidences[-1]))
        each = f" with its {least if least == most else f'{least} to {most}'} % interval"
    return (
        f"above the base's, below the head's figure; change: head over base{each}; up to "
        f"{100.0 * comparison.margin:.3g} % is the same; odd: processes far off their side's others"
    )


def to_comparison_json(comparison: Comparison) -> str:
    """The comparison as JSON text; seconds throughout, and null for what is not known.

    A row's ``status`` is what is known when all rows are judged together.
    """
    document = {
        **asdict(comparison),
        "status": comparison.status,
        "is_simulated": comparison.is_simulated,
        "rows": [
            {
                **asdict(row),
                "change_s": row.change_s,
                "status": row.status,
                "reason": row.reason,
            }
            for row in comparison.rows
        ],
    }
    return json.dumps(_plain(document), indent=1, allow_nan=False)


def write_comparison_json(comparison: Comparison, path: Path) -> None:
    """Write :func:`to_comparison_json` to ``path``, whole or not at all; "-" is standard output.

    Raises:
        StorageError: it cannot be written.
    """
    write_text(path, to_comparison_json(comparison) + "\n")


def _plain(value: Any) -> Any:  # noqa: ANN401
    """With words for what is one of several, and null for what JSON has no number for."""
    if isinstance(value, PairStatus):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
