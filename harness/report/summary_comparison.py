"""What a summary tells of the baseline: a table for each variant and size, and what limits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness.pipeline.pipeline import TRANSFERS, WHOLE_PIPELINE
from harness.report.comparisons import label_of, summary_sentence
from harness.report.summary import (
    BAD,
    COMPARISON,
    GOOD,
    INTERVAL,
    MADE_UP,
    OPEN,
    Column,
    Row,
    Statement,
    Subject,
    Table,
    Word,
)
from harness.report.summary_figures import (
    change,
    count_of,
    joules,
    megabytes,
    plain_decibels,
    seconds,
)
from harness.stats.pairs import PairStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.comparison.model import Comparison, SeriesComparison
    from harness.comparison.model import Figure as Beside
    from harness.report.summary import Cell, Figure
    from harness.types import Case, Variant

_LEVELS: Final = {
    PairStatus.SLOWER: BAD,
    PairStatus.FASTER: GOOD,
    PairStatus.SAME: "",
    PairStatus.INCONCLUSIVE: OPEN,
}
_MOST_WHOLES: Final = 3
_NO_TURNS: Final = (
    "the processes of both took no turns: a drift of the machine looks like a change of the code"
)
# What stands beside the times of both sides: its heading, its name, and how it is told.
_BESIDE: Final[
    dict[str, tuple[str, str, Callable[[Subject, str, float | None], Figure | None]]]
] = {
    "snr_db": ("SNR dB", "snr", plain_decibels),
    "energy_j": ("energy J", "energy", joules),
    "memory_bytes": ("memory MB", "memory", megabytes),
    "size_bytes": ("size MB", "size", megabytes),
}


@dataclass(frozen=True)
class Against:
    """What a record was held against; ``comparison`` is None where ``remarks`` say why not."""

    comparison: Comparison | None
    remarks: tuple[str, ...] = ()


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """A table for each variant and size."""
    kinds: dict[tuple[Variant, Case], list[SeriesComparison]] = {}
    for row in comparison.rows:
        kinds.setdefault((row.series.variant, row.series.case), []).append(row)
    for (variant, case), rows in kinds.items():
        title = f"{variant}, {case}: this record (head) against {comparison.base.label}"
        yield _table(f"{title}{_label(comparison)}", rows, comparison)
        beside = _beside(f"{variant}, {case}: beside the times{_label(comparison)}", rows)
        if beside is not None:
            yield beside


def comparison_statements(against: Against) -> Iterator[Statement]:
    """The verdict on all, and what makes it less sure."""
    comparison = against.comparison
    if comparison is None:
        yield from (Statement(f"Baseline: {remark}", OPEN) for remark in against.remarks)
        return
    yield Statement(f"Baseline: {summary_sentence(comparison)}", _LEVELS[comparison.status])
    wholes = [row for row in comparison.rows if row.series.component == WHOLE_PIPELINE]
    for row in wholes:
        # Of many only what must be known: the tables have all.
        if len(wholes) <= _MOST_WHOLES or row.status is PairStatus.SLOWER:
            moved = change(_subject(row), "change", row.time.ratio, row.time.lower, row.time.upper)
            where = f"{row.series.variant}, {row.series.case}"
            told = f"{row.status.value}, {moved.text} % (interval: {moved.interval})"
            yield Statement(f"Baseline, {where}: the whole is {told}", _LEVELS[row.status])
    if comparison.differences:
        count = len(comparison.differences)
        told = f"not the same environment: {count} difference{'s' * (count > 1)}, told below"
        yield Statement(f"Baseline: {told}; what differs may be theirs", OPEN)
    if not comparison.is_paired:
        yield Statement(f"Baseline: {_NO_TURNS}", OPEN)


def comparison_notes(against: Against) -> Iterator[Statement]:
    """Why what is open is so, what differs, and what else there is to know."""
    comparison = against.comparison
    if comparison is not None:
        if comparison.differences:
            told = f"not the same environment: {', '.join(comparison.differences)}"
            yield Statement(f"Baseline: {told}", OPEN)
        for row in comparison.rows:
            if row.reason and row.series.component == WHOLE_PIPELINE:
                where = f"{row.series.variant}, {row.series.case}"
                yield Statement(f"Baseline, {where}: {row.reason}", OPEN)
        slight = [f"{label_of(row.series)}: {row.slight}" for row in comparison.rows if row.slight]
        if slight:
            yield Statement(f"Baseline: too little to matter: {'; '.join(slight)}")
        yield from (Statement(f"Baseline: {one}") for one in comparison.findings)
        yield from (Statement(f"Baseline: {remark}") for remark in against.remarks)


def _label(comparison: Comparison) -> str:
    label = ", SIMULATED" if comparison.is_simulated else ""
    label += ", NOT THE SAME ENVIRONMENT" if comparison.differences else ""
    label += ", BASE INVALID" if comparison.base.invalid else ""
    return label + (", HEAD INVALID" if comparison.head.invalid else "")


def _table(title: str, rows: Sequence[SeriesComparison], comparison: Comparison) -> Table:
    has_cycles = any(row.cycles is not None for row in rows)
    columns = (
        Column("base\nms"),
        Column("head\nms"),
        Column("change\n%"),
        Column("interval\n%", shows=INTERVAL),
        Column("verdict"),
        *((Column("cycles\n%", is_spare=True),) if has_cycles else ()),
        Column("pairs" if comparison.is_paired else "runs", is_spare=True),
    )
    made = tuple(
        Row(
            label_of(row.series),
            tuple(_cells(row, has_cycles=has_cycles)),
            is_whole=row.series.component == WHOLE_PIPELINE,
            begins=row.series.component == WHOLE_PIPELINE and len(rows) > 1,
        )
        for row in sorted(rows, key=_order)
    )
    note = f"a change up to {100.0 * comparison.margin:.3g} % is none; change: head over base"
    return Table(COMPARISON, title, "component", columns, made, (note,))


def _order(row: SeriesComparison) -> int:
    """Components, the whole, and what is beside it."""
    component = row.series.component
    return 2 if component in TRANSFERS else int(component == WHOLE_PIPELINE)


def _cells(row: SeriesComparison, *, has_cycles: bool) -> Iterator[Cell]:
    subject = _subject(row)
    yield seconds(subject, "base_median", row.base_s)
    yield seconds(subject, "head_median", row.head_s)
    moved = change(subject, "change", row.time.ratio, row.time.lower, row.time.upper)
    yield moved
    yield moved
    yield Word(row.word, "" if row.slight else _LEVELS[row.status])
    if has_cycles:
        cycles = row.cycles
        yield (
            None
            if cycles is None
            else change(subject, "change_in_cycles", cycles.ratio, cycles.lower, cycles.upper)
        )
    yield count_of(subject, "pairs", row.time.pairs)


def _subject(row: SeriesComparison) -> Subject:
    series = row.series
    mode = f"{series.mode}, {series.streams} streams" if series.streams > 1 else series.mode
    return Subject(str(series.variant), str(series.case), mode, series.component)


def _beside(title: str, rows: Sequence[SeriesComparison]) -> Table | None:
    """Accuracy, energy and memory of both; None where nothing of it is known."""
    names = [
        name
        for name in _BESIDE
        if any(one.name == name and _is_known(one) for row in rows for one in row.figures)
    ]
    columns = tuple(
        Column(f"{side}\n{_BESIDE[name][0]}") for name in names for side in ("base", "head")
    )
    made = [
        Row(
            label_of(row.series),
            tuple(_both(row, names)),
            is_whole=row.series.component == WHOLE_PIPELINE,
        )
        for row in sorted(rows, key=_order)
        if any(_is_known(one) for one in row.figures)
    ]
    return Table(COMPARISON, title, "component", columns, tuple(made)) if names else None


def _is_known(figure: Beside) -> bool:
    return figure.base is not None or figure.head is not None


def _both(row: SeriesComparison, names: Sequence[str]) -> Iterator[Cell]:
    for name in names:
        _, quantity, make = _BESIDE[name]
        found = next((figure for figure in row.figures if figure.name == name), None)
        yield None if found is None else make(_subject(row), f"base_{quantity}", found.base)
        yield None if found is None else make(_subject(row), f"head_{quantity}", found.head)


def comparison_marks(comparison: Comparison) -> Iterator[Statement]:
    """What must be known of the base before anything else."""
    if comparison.base.is_simulated:
        yield Statement("SIMULATED: the baseline's times come from no real clock", MADE_UP)
    if comparison.base.invalid:
        yield Statement(f"INVALID baseline: {comparison.base.invalid}", BAD)
    if comparison.base.slowed_by:
        share = f"{100.0 * comparison.base.slowed_by:.3g} %"
        yield Statement(f"SLOWED baseline: made {share} slower on purpose", BAD)
