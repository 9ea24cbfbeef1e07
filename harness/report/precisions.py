"""Every precision of a backend side by side: what it costs, and what it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.report.promises import named_precision
from harness.report.tables import decibels, milliseconds_of, snr_of, table_of
from harness.types import CALL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table
    from rich.text import Text

    from harness.report.rows import Group, Row
    from harness.types import NodeCounts


def render_costs(groups: Sequence[Group]) -> Table:
    """What each precision costs: ``groups`` are one backend's, launched in one way, at one case."""
    return _costs(groups)


def render_accuracies(groups: Sequence[Group], seen: str) -> Table:
    """What each precision is worth, which does not depend on how it is launched.

    ``seen`` tells whether the inputs of the accuracies are those of the calibration.
    """
    return _accuracies(groups, seen)


def _by_component(groups: Sequence[Group]) -> Iterator[tuple[Row, ...]]:
    """For each component, its row of every precision; a series that is missing is left out."""
    names = dict.fromkeys(row.measurement.component for group in groups for row in group.rows)
    for name in names:
        yield tuple(
            row for group in groups for row in group.rows if row.measurement.component == name
        )


def _fill(table: Table, rows: tuple[Row, ...], cells: Sequence[Sequence[str | Text]]) -> None:
    table.add_section()
    for index, (row, others) in enumerate(zip(rows, cells, strict=True)):
        name = row.measurement.component if index == 0 else ""
        table.add_row(name, *others, style="bold" if row.is_pipeline else "")


def _costs(groups: Sequence[Group]) -> Table:
    first = groups[0]
    mode = first.pipeline.measurement.mode
    title = f"{_name(first)}, {first.case}, {mode}: latency in ms, size in MB"
    table = table_of(title, ("memory", "disk", "roof"))
    has_roof = any(row.least_s for group in groups for row in group.rows)
    table.add_column("precision")
    roof = ("roof",) if has_roof else ()
    for heading in ("p50", "p99", "vs fp32", *roof, "disk", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rows in _by_component(groups):
        _fill(
            table,
            rows,
            [
                (
                    row.label,
                    milliseconds_of(row.latency.median),
                    milliseconds_of(row.latency.p99),
                    "-" if row.ratio_to_fp32 is None else f"{row.ratio_to_fp32:.2f}",
                    *((_roof(row),) if has_roof else ()),
                    _megabytes(row.size_bytes),
                    _megabytes(row.memory_bytes),
                )
                for row in rows
            ],
        )
    counts = sorted({row.latency.count for group in groups for row in group.rows})
    count = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    table.caption = f"n = {count}; vs fp32: the ratio of the medians in this run"
    looked_into = first.pipeline.memory_case
    if has_roof:
        table.caption += (
            "; roof: p50 over the least time that products (p) or memory traffic (m) would take"
        )
    if looked_into is not None:
        table.caption += f"; memory: after one inference at {looked_into}"
    elif first.pipeline.memory_bytes is not None:
        table.caption += "; memory: engine, activations and outputs at the profile's max"
    return table


def _name(group: Group) -> str:
    """The backend and how it is launched, without the precision, which is a column."""
    launch = group.variant.launch
    return group.backend if launch == CALL else f"{group.backend}, {launch}"


def _roof(row: Row) -> str:
    factor = row.times_roofline
    if factor is None:
        return "-"
    text = f"{factor:.1f}" if factor < 100 else f"{factor:.0f}"  # noqa: PLR2004
    return f"{text} {_BOUNDS[row.bound]}"


_BOUNDS = {"compute": "p", "memory": "m", "": " "}


def _megabytes(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / 1e6:.2f}"


def _accuracies(groups: Sequence[Group], seen: str) -> Table:
    first = groups[0]
    title = f"{first.backend}, {first.case}: accuracy against PyTorch fp32, in dB"
    table = table_of(title, ("LSD", "graph", "const.", "input's part", "rel. L2"))
    table.add_column("precision")
    table.add_column("SNR", justify="right")
    for heading in ("const.", "input's part", "rel. L2", "LSD", "graph", "ran"):
        table.add_column(heading, justify="right", no_wrap=heading != "input's part")
    for rows in _by_component(groups):
        _fill(
            table,
            rows,
            [
                (
                    row.asked,
                    snr_of(row),
                    decibels(row.measurement.constant_snr_db),
                    decibels(row.measurement.dependent_snr_db),
                    _ratio(row.measurement.relative_l2),
                    _distance(row.measurement.log_spectral_distance_db),
                    _share(row.measurement.precision, row.graph_nodes),
                    _ran(row),
                )
                for row in rows
            ],
        )
    inputs = max(row.measurement.accuracy_inputs for group in groups for row in group.rows)
    table.caption = (
        f"over {inputs} input{'s' * (inputs != 1)}{seen}; const.: the score "
        "of the best constant output; input's part: SNR of what depends on the input; LSD: "
        "log-spectral distance; graph, ran: convolutions and matrix products in that precision, "
        "of all"
    )
    if any(_ran(row).endswith("*") for group in groups for row in group.rows):
        table.caption += "; *: others are in fused blocks that cannot be looked into"
    return table


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _distance(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _ran(row: Row) -> str:
    """What really ran; starred where the backend does not tell of all products of the graph."""
    text = _share(row.measurement.precision, row.engine_nodes)
    return f"{text}*" if row.is_partly_told else text


def _share(precision: str, nodes: NodeCounts | None) -> str:
    if nodes is None or not nodes.total:
        return "-"
    return f"{getattr(nodes, named_precision(precision))}/{nodes.total}"
