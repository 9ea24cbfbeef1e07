"""The report of a run on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group as Lines
from rich.padding import Padding
from rich.text import Text

from harness.report.device import render_device
from harness.report.layers import render_layers
from harness.report.modes import render_modes
from harness.report.precisions import render_accuracies, render_costs
from harness.report.replication import render_replication
from harness.report.tables import milliseconds_of, snr_of, table_of
from harness.report.trust import energy_sentences, state_sentences, unsettled_sentences
from harness.report.words import (
    budget_sentence,
    canary_sentence,
    deadline_sentences,
    environment_sentence,
    floor_sentence,
    fp16_sum_sentences,
    given_sentences,
    milliseconds,
    ran_sentence,
    seen_words,
    sum_sentence,
)
from harness.stats.budget import Verdict
from harness.stats.quantiles import samples_for_interval
from harness.types import CALL

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from harness.report.budgets import BudgetFigure
    from harness.report.figures import Figures
    from harness.report.rows import Group, Row
    from harness.types import Case, Record

_COLOURS = {Verdict.WITHIN: "green", Verdict.MISSED: "red", Verdict.INCONCLUSIVE: "yellow"}
_ON_DEVICE = (
    "On a device, p50 and p99 are of what runs there: copies to and from it are beside them "
    "(h2d, d2h)."
)
# A p99 needs this many samples before it has an interval.
_P99_SAMPLES = samples_for_interval(0.99)
# So many processes do their quantiles take.
_P50_SAMPLES = samples_for_interval(0.5)


def render(figures: Figures) -> RenderableType:
    """The whole report: a table of components, one of latencies, and the verdict in words."""
    parts: list[RenderableType] = []
    judged: set[tuple[Case, str]] = set()
    if figures.exports:
        parts.append(_components(figures))
    for groups in figures.by_backend:
        if any(group.precision != "fp32" or group.pipeline.least_s for group in groups):
            # All quantiles, where there is room for them.
            parts.extend(_latencies(group) for group in groups if len(groups) == 1)
            parts.append(render_costs(groups))
            kind = (groups[0].case, groups[0].backend)
            if kind not in judged:
                parts.append(render_accuracies(groups, seen_words(figures.record)))
            judged.add(kind)
        else:
            parts.extend(_latencies(group) for group in groups)
    parts.extend(render_modes(figures))
    parts.extend(render_device(figures))
    parts.extend(render_replication(figures.record))
    parts.extend(render_layers(figures.record.engines))
    ratios = _ratios(figures)
    if ratios is not None:
        parts.append(ratios)
    parts.extend(_notes(figures))
    return Lines(*parts)


def _components(figures: Figures) -> Table:
    table = table_of(f"{figures.record.pipeline}: exported components")
    for heading in ("params M", "ONNX MB", "vs PyTorch"):
        table.add_column(heading, justify="right", no_wrap=True)
    for artifact in figures.exports:
        parameters, error = artifact.parameters, artifact.worst_relative_l2
        table.add_row(
            artifact.component,
            "-" if parameters is None else f"{parameters / 1e6:.2f}",
            f"{artifact.size_bytes / 1e6:.2f}",
            "-" if error is None else f"{error:.1e}",
        )
    return table


def _latencies(group: Group) -> Table:
    spare = ("jitter", "first", "load", "p95", "p90", "min", "RTF")
    table = table_of(f"{group.title}: latency in ms", spare)
    for heading in ("load", "first", "min", "p50", "p90", "p95", "p99", "jitter", "RTF", "SNR dB"):
        table.add_column(heading, justify="right", no_wrap=heading != "SNR dB")
    for row in group.rows:
        if row.is_pipeline:
            table.add_section()
        table.add_row(*_cells(row), style="bold" if row.is_pipeline else "")
    notes = [f"n = {_counts(group)}", group.repeats, ran_sentence(group.pipeline)]
    notes += [sum_sentence(group)] if group.pipeline.is_pipeline else []
    table.caption = "; ".join(filter(None, notes))
    return table


def _counts(group: Group) -> str:
    counts = sorted({row.latency.count for row in group.rows})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _cells(row: Row) -> list[str | Text]:
    latency, measured = row.latency, row.measurement
    return [
        measured.component,
        milliseconds(measured.load_s),
        milliseconds(measured.first_s),
        milliseconds(latency.min_s),
        *(milliseconds_of(q) for q in (latency.median, latency.p90, latency.p95, latency.p99)),
        milliseconds(latency.jitter_s),
        _factor(row.real_time_factor),
        snr_of(row),
    ]


def _factor(value: float | None) -> str:
    if value is None:
        return "-"
    return "<.001" if value < 0.001 else f"{value:.3f}"  # noqa: PLR2004


def _ratios(figures: Figures) -> Table | None:
    """Medians over PyTorch eager's, by component and case; None where PyTorch was not measured."""
    groups = [
        group
        for group in figures.groups
        if group.pipeline.ratio_to_torch is not None and not group.is_whole_only
    ]
    if not groups:
        return None
    table = table_of("median against PyTorch eager in the same run (below 1 is faster)")
    for group in groups:
        table.add_column("\n".join(_heading(group)), justify="right", no_wrap=True)
    for rows in zip(*(group.rows for group in groups), strict=True):
        if rows[0].is_pipeline:
            table.add_section()
        ratios = [f"{row.ratio_to_torch:.2f}" for row in rows]
        table.add_row(rows[0].measurement.component, *ratios)
    return table


def _heading(group: Group) -> list[str]:
    variant = group.variant
    launch = [] if variant.launch == CALL else [variant.launch]
    route = [f"by {variant.route}"] if variant.route else []
    return [variant.backend, variant.precision, *route, *launch, str(group.case)]


def _notes(figures: Figures) -> list[RenderableType]:
    record = figures.record
    notes: list[RenderableType] = []
    if figures.is_simulated:
        notes.append(Text("SIMULATED: these times come from no real clock", style="bold magenta"))
    if not record.is_complete:
        notes.append(Text("INTERRUPTED: only what was complete is shown", style="yellow"))
    notes.extend(Text(sentence, style="yellow") for sentence in unsettled_sentences(figures))
    notes.extend(_verdict(figure) for figure in figures.budgets)
    notes.extend(Text(sentence, style="bold red") for sentence in deadline_sentences(figures))
    if record.budget is not None:
        notes.append(
            _small(
                f"Includes {record.budget.includes or 'every component'}; "
                f"leaves out {record.budget.excludes or 'nothing'}."
            )
        )
        if any(g.variant.launch != CALL and not g.is_whole_only for g in figures.groups):
            notes.append(_small(_ON_DEVICE))
    notes.extend(_small(sentence) for sentence in given_sentences(record))
    notes.extend(_small(sentence) for sentence in fp16_sum_sentences(record))
    # Accuracy is that of the session: once, however many ways its launches were timed.
    missed = dict.fromkeys(floor_sentence(row) for row in figures.missed_floors)
    notes.extend(Text(sentence, style="red") for sentence in missed)
    if figures.unchecked_floors:
        notes.append(Text("Accuracy floors are not checked: no reference", style="yellow"))
    notes.extend(_small(sentence) for sentence in _open_intervals(figures))
    if figures.groups:
        notes.append(_small(environment_sentence(figures)))
    notes.extend(_small(sentence) for sentence in energy_sentences(figures))
    notes.extend(_state(record))
    notes.extend(_small(canary_sentence(canary)) for canary in figures.canaries)
    return notes


def _open_intervals(figures: Figures) -> list[str]:
    """What ``~`` means, where a quantile has it."""
    rows = [row for group in figures.groups for row in (*group.rows, *group.transfers)]
    marked = [
        row
        for row in rows
        for q in (row.latency.median, row.latency.p90, row.latency.p95, row.latency.p99)
        if not q.is_finite
    ]
    if not marked:
        return []
    found = []
    if any(not row.is_replicated or row.latency.count < _P99_SAMPLES for row in marked):
        found.append(
            f"~ too few samples for a finite 95 % interval; a p99 needs {_P99_SAMPLES}, and more "
            "where successive samples are correlated."
        )
    if any(row.is_replicated and row.processes < _P50_SAMPLES for row in marked):
        found.append(
            "~ too few processes for a finite 95 % interval, which is of their own quantiles: it "
            f"needs {_P50_SAMPLES}."
        )
    return found


def _state(record: Record) -> list[RenderableType]:
    sentences = state_sentences(record)
    if record.validity is not None and record.validity.status == "invalid":
        return [Text(sentence, style="bold red") for sentence in sentences]
    return [_small(sentence) for sentence in sentences]


def _verdict(figure: BudgetFigure) -> Text:
    colour = _COLOURS[figure.verdict.verdict] if figure.verdict else "yellow"
    return Text(f"Budget, {budget_sentence(figure)}", style=f"bold {colour}")


def _small(text: str) -> RenderableType:
    return Padding(Text(text, style="dim"), (0, 0, 0, 2))
