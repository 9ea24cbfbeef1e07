"""The tables of a summary: the budget, where the time goes, what each variant costs and gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.pipeline.pipeline import WHOLE_PIPELINE
from harness.report.budget_spent import group_of, spent_by
from harness.report.modes import concurrent_figure, paced_figure
from harness.report.summary import (
    ARRIVALS,
    BAD,
    BUDGET,
    GOOD,
    INTERVAL,
    OPEN,
    PER_SECOND,
    VARIANTS,
    Column,
    Figure,
    Row,
    Subject,
    Table,
    Word,
)
from harness.report.summary_figures import (
    bounded_seconds,
    count_of,
    floor,
    fraction,
    interval_of,
    joules,
    megabytes,
    quantile,
    ratio_of,
    seconds,
    snr,
    upper_fraction,
)
from harness.report.summary_parts import component_table
from harness.report.words import bare_milliseconds, budget_subject
from harness.stats.budget import Verdict
from harness.types import HOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from harness.report.budget_spent import Spent
    from harness.report.figures import Figures
    from harness.report.rows import Group
    from harness.report.rows import Row as Series
    from harness.report.summary import Cell

VERDICT_LEVELS: Final = {Verdict.WITHIN: GOOD, Verdict.MISSED: BAD, Verdict.INCONCLUSIVE: OPEN}
_PEERS: Final = "torch"


def tables_of(figures: Figures) -> Iterator[Table]:
    """The budget first, then where the time goes in what ships, and all variants.

    Of several that ship, what they come to is told before where the time of each goes.
    """
    judged = [one for one in spent_by(figures) if one.slices]
    if judged:
        yield _budget(judged, figures)
    by_group = {id(group_of(one.figure, figures)): one for one in judged}
    groups = _broken_down(figures, judged)
    parts = [component_table(group, by_group.get(id(group)), _label(figures)) for group in groups]
    variants = [*([_variants(figures)] if figures.groups else []), *_arrivals(figures)]
    yield from (*parts, *variants) if len(parts) == 1 else (*variants, *parts)


def subject_of(group: Group, component: str = "") -> Subject:
    """The coordinates of a figure of ``group``, of its whole unless a component is named."""
    measured = group.pipeline.measurement
    arrival = f"{group.mode}, {measured.streams} streams" if measured.streams > 1 else group.mode
    return Subject(group.name, str(group.case), arrival, component or measured.component)


def _broken_down(figures: Figures, judged: Sequence[Spent]) -> list[Group]:
    """What the budget is held against; without any, all that ships."""
    found = [group_of(one.figure, figures) for one in judged]
    if found:
        return [group for group in found if group is not None]
    # A whole that was measured alone goes nowhere that the table of variants does not say.
    groups = [group for group in figures.groups if not group.is_whole_only]
    return [group for group in groups if not group.backend.startswith(_PEERS)] or groups


def counts(figures: Figures) -> bool:
    """Whether its times count: the run is complete, and the machine's state does not spoil it."""
    validity = figures.record.validity
    is_invalid = validity is not None and validity.status == "invalid"
    return figures.record.is_complete and not is_invalid


def _label(figures: Figures) -> str:
    """What must be known of every table, so that none can be taken out without it."""
    label = ", SIMULATED" if figures.is_simulated else ""
    label += "" if figures.record.is_complete else ", INTERRUPTED"
    validity = figures.record.validity
    return label + (", INVALID" if validity is not None and validity.status == "invalid" else "")


def _budget(judged: Sequence[Spent], figures: Figures) -> Table:
    first = judged[0].figure
    arrival = f", {first.arrival}" if first.arrival else ""
    limit = f"p99 <= {bare_milliseconds(first.limit_s)} ms"
    columns = (
        Column("verdict"),
        Column("p99\nms"),
        Column("95 % interval\nms", shows=INTERVAL),
        Column("budget\nms", is_spare=True),
        Column("headroom\nms"),
        Column("headroom\n%"),
        Column("n", is_spare=True),
    )
    does_count = counts(figures)
    rows = tuple(
        Row(budget_subject(one.figure), tuple(_kept(one, does_count=does_count))) for one in judged
    )
    title = f"Budget: {limit} end to end at {first.case}{arrival}{_label(figures)}"
    return Table(BUDGET, title, "variant", columns, rows)


def _kept(spent: Spent, *, does_count: bool) -> Iterator[Cell]:
    figure, room = spent.figure, spent.headroom
    if figure.verdict is None or room is None:
        return
    name = budget_subject(figure)
    subject = Subject(name, str(figure.case), figure.arrival or HOT, WHOLE_PIPELINE)
    p99 = quantile(subject, "p99", figure.verdict.estimate)
    level = VERDICT_LEVELS[figure.verdict.verdict] if does_count else OPEN
    yield Word(figure.verdict.verdict.value.upper(), level)
    yield p99
    yield p99
    yield seconds(subject, "budget", figure.limit_s, is_declared=True)
    yield bounded_seconds(subject, "headroom", room.value_s, room.lower_s, room.upper_s)
    yield fraction(subject, "headroom_share", room.value_s / figure.limit_s)
    yield count_of(subject, "samples", figure.verdict.estimate.count)


def _variants(figures: Figures) -> Table:
    """Precision, speed and accuracy of whole pipelines; of components where there is no whole."""
    name, ratios, note = _ratios(figures)
    columns = (
        Column("size"),
        Column("p50\nms"),
        Column("p90\nms", is_spare=True),
        Column("p95\nms", is_spare=True),
        Column("p99\nms"),
        *((Column("ratio"),) if name else ()),
        Column("SNR\ndB"),
        Column("floor\ndB"),
        Column("energy\nJ"),
        Column("size\nMB"),
        Column("n", is_spare=True),
    )
    rows: list[Row] = []
    last = None
    for group in figures.groups:
        for series in [group.pipeline] if group.pipeline.is_pipeline else group.rows:
            ratio = ratios.get(id(series)) if name else None
            cells = tuple(_variant(group, series, ratio, has_ratio=bool(name)))
            component = "" if series.is_pipeline else f"{series.measurement.component}, "
            begins = last is not None and group.case != last
            rows.append(Row(f"{component}{group.name}", cells, begins=begins))
            last = group.case
    notes = [note] if note else []
    if any(group.pipeline.measurement.energy_j is not None for group in figures.groups):
        idle = figures.record.idle_power_w
        took = "" if idle is None else f" (the GPU takes {idle:.0f} W when idle)"
        notes.append(f"energy: of one inference, idle power included{took}")
    is_whole = all(group.pipeline.is_pipeline for group in figures.groups)
    what = "of the whole pipeline" if is_whole else "of what was measured"
    title = f"Precision, speed and accuracy {what}{_label(figures)}"
    return Table(
        VARIANTS, title, "variant", _used(columns, rows), _cut(columns, rows), tuple(notes)
    )


def _variant(
    group: Group, series: Series, ratio: float | None, *, has_ratio: bool
) -> Iterator[Cell]:
    subject = subject_of(group, series.measurement.component)
    latency = series.latency
    yield Word(", ".join(filter(None, (str(group.case), _mode(group)))))
    yield quantile(subject, "p50", latency.median)
    yield quantile(subject, "p90", latency.p90)
    yield quantile(subject, "p95", latency.p95)
    yield quantile(subject, "p99", latency.p99)
    if has_ratio:
        yield ratio_of(subject, "ratio", ratio)
    yield snr(subject, series)
    yield floor(subject, series)
    yield joules(subject, "energy", series.measurement.energy_j)
    yield megabytes(subject, "size", series.size_bytes)
    yield count_of(subject, "samples", latency.count)


def _mode(group: Group) -> str:
    """How the work arrived, where that was not again and again."""
    return group.arrival or ("" if group.mode == HOT else group.mode)


def _ratios(figures: Figures) -> tuple[str, dict[int, float], str]:
    """What the medians are held against, by row: the fastest peer, PyTorch eager, or fp32."""
    wholes = [(group, group.pipeline) for group in figures.groups]
    peers = {id(row): group.ratio_to_peer for group, row in wholes}
    if any(value is not None for value in peers.values()):
        note = f"ratio: p50 over that of {_peers(figures)}, in this run; below 1 is faster"
        return "peer", _known(peers), note
    eager = {id(row): row.ratio_to_torch for _, row in wholes}
    if any(value is not None for value in eager.values()):
        told = "PyTorch eager (torch fp32)"
        return (
            "torch",
            _known(eager),
            f"ratio: p50 over that of {told} in this run; below 1 is faster",
        )
    fp32 = {id(row): row.ratio_to_fp32 for _, row in wholes}
    if any(row.measurement.precision != "fp32" and fp32[id(row)] for _, row in wholes):
        told = "the same backend in fp32"
        return (
            "fp32",
            _known(fp32),
            f"ratio: p50 over that of {told} in this run; below 1 is faster",
        )
    return "", {}, ""


def _peers(figures: Figures) -> str:
    """The fastest peers, and at which size, where it is not one alone."""
    named: dict[str, list[str]] = {}
    for group in figures.groups:
        if group.peer is not None:
            sizes = named.setdefault(str(group.peer), [])
            sizes += [] if str(group.case) in sizes else [str(group.case)]
    if len(named) == 1:
        return next(iter(named))
    return ", ".join(f"{name} at {' and '.join(sizes)}" for name, sizes in named.items())


def _known(ratios: dict[int, float | None]) -> dict[int, float]:
    return {key: value for key, value in ratios.items() if value is not None}


def _is_used(index: int, rows: Sequence[Row]) -> bool:
    return any(row.cells[index] is not None for row in rows)


def _used(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns that hold something."""
    return tuple(column for i, column in enumerate(columns) if _is_used(i, rows))


def _cut(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[Row, ...]:
    """The rows without the cells of columns that hold nothing."""
    kept = [i for i in range(len(columns)) if _is_used(i, rows)]
    return tuple(
        Row(row.name, tuple(row.cells[i] for i in kept), row.is_whole, row.begins) for row in rows
    )


def _arrivals(figures: Figures) -> Iterator[Table]:
    paced = [(group, paced_figure(group, figures)) for group in figures.groups]
    rows = []
    for group, found in paced:
        if found is not None:
            subject = subject_of(group)
            missed = found.missed / found.count if found.count else 0.0
            rate = upper_fraction(subject, "missed_share", missed, found.missed_upper)
            cells: tuple[Cell, ...] = (
                Word(str(group.case)),
                seconds(subject, "period", found.period_s, is_declared=True),
                count_of(subject, "missed", found.missed),
                count_of(subject, "samples", found.count),
                rate,
                rate,
                seconds(subject, "buffered_p50", found.buffered_median_s),
                seconds(subject, "buffered_p99", found.buffered_p99_s),
                ratio_of(subject, "ratio_to_hot", found.ratio_to_hot),
            )
            rows.append(Row(group.name, cells))
    if rows:
        yield _paced(rows, figures)
    rows = []
    for group in figures.groups:
        flying = concurrent_figure(group, figures)
        if flying is not None:
            subject, rate_s = subject_of(group), flying.rate_per_s
            rate = Figure(
                subject,
                "inferences",
                PER_SECOND,
                rate_s.value,
                f"{rate_s.value:.4g}",
                rate_s.lower if rate_s.is_finite else None,
                rate_s.upper if rate_s.is_finite else None,
                interval_of(rate_s.lower, rate_s.upper, lambda value: f"{value:.4g}"),
                rate_s.inferences,
            )
            cells = (
                Word(str(group.case)),
                count_of(subject, "streams", flying.streams),
                rate,
                rate,
                ratio_of(subject, "rate_ratio", flying.rate_ratio),
                ratio_of(subject, "latency_ratio", flying.latency_ratio),
            )
            rows.append(Row(group.name, cells))
    if rows:
        yield _concurrent(rows, figures)


def _paced(rows: Sequence[Row], figures: Figures) -> Table:
    columns = (
        Column("size"),
        Column("period\nms"),
        Column("missed"),
        Column("chunks"),
        Column("missed\n%"),
        Column("95 % bound\n%", shows=INTERVAL),
        Column("p50+period\nms", is_spare=True),
        Column("p99+period\nms"),
        Column("ratio\nto hot", is_spare=True),
    )
    note = (
        "missed: done after the next chunk had come; +period: from a chunk's first sample; ratio "
        "to hot: p50 over that of the same back to back in this run"
    )
    title = f"Live audio: deadlines{_label(figures)}"
    return Table(ARRIVALS, title, "variant", _used(columns, rows), _cut(columns, rows), (note,))


def _concurrent(rows: Sequence[Row], figures: Figures) -> Table:
    columns = (
        Column("size"),
        Column("streams"),
        Column("inferences\n1/s"),
        Column("95 % interval\n1/s", shows=INTERVAL),
        Column("rate\nratio"),
        Column("p50\nratio"),
    )
    note = "ratios: against one stream in the same run"
    title = f"Several streams at once{_label(figures)}"
    return Table(ARRIVALS, title, "variant", _used(columns, rows), _cut(columns, rows), (note,))
