"""Where the time goes on a device: every variant end to end, and what its roofline would allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.pipeline.pipeline import DEVICE_TO_HOST, HOST_ENQUEUE, HOST_TO_DEVICE
from harness.report.tables import milliseconds_of, snr_of, table_of
from harness.report.words import milliseconds
from harness.types import CALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from harness.report.figures import Figures, Group, Row
    from harness.types import Ceilings


def render_device(figures: Figures) -> list[RenderableType]:
    """For each case: all variants that ran on a device, beside each other; then the rooflines."""
    cases = dict.fromkeys(group.case for group in figures.groups)
    parts: list[RenderableType] = []
    for case in cases:
        groups = [g for g in figures.groups if g.case == case and g.variant.launch != CALL]
        if not groups:
            continue
        parts.append(_end_to_end(groups))
        ceilings = figures.record.ceilings
        if ceilings is not None and any(g.pipeline.least_s for g in groups):
            parts.append(_rooflines(groups, ceilings))
    return parts


def _end_to_end(groups: Sequence[Group]) -> Table:
    table = table_of(f"end to end at {groups[0].case}, {groups[0].mode}: ms on the device")
    table.columns[0].header = "variant"
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    headings = ["launch", "p50", "p99", "sum", "gaps", "to dev", "to host", "host", "SNR dB"]
    peer = next((g.peer for g in groups if g.peer is not None), None)
    if peer is not None:
        headings.append("vs peer")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=heading != "SNR dB")
    for group in groups:
        whole = group.pipeline
        cells = [
            group.variant.launch,
            milliseconds_of(whole.latency.median),
            milliseconds_of(whole.latency.p99),
            milliseconds(group.sum_of_medians_s),
            _signed(whole.latency.median.value - group.sum_of_medians_s),
            *(_transfer(group, name) for name in (HOST_TO_DEVICE, DEVICE_TO_HOST, HOST_ENQUEUE)),
            snr_of(whole),
        ]
        if peer is not None:
            cells.append("-" if group.ratio_to_peer is None else f"{group.ratio_to_peer:.2f}")
        table.add_row(f"{group.backend} {whole.label}", *cells)
    table.caption = (
        "sum: of the components' medians; gaps: end to end less that; to dev, to host: the copies, "
        "apart from p50; host: its time to hand the pipeline over. enqueue: events around launches "
        "as the host makes them, on an idle device: mostly the host's time"
    )
    if peer is not None:
        table.caption += f"; vs peer: p50 over that of {peer}, in this run"
    return table


def _signed(seconds: float) -> str:
    text = milliseconds(abs(seconds))
    return f"-{text}" if seconds < 0 else text


def _transfer(group: Group, name: str) -> str:
    for row in group.transfers:
        if row.measurement.component == name:
            return milliseconds(row.latency.median.value)
    return "-"


def _times_roofline(row: Row) -> str:
    factor = row.times_roofline
    return "-" if factor is None else f"{factor:.1f} {row.bound[:1]}".rstrip()


def _rooflines(groups: Sequence[Group], ceilings: Ceilings) -> Table:
    shown = [group for group in groups if group.pipeline.least_s]
    table = table_of(f"times the roofline at {groups[0].case} (p50 over the least possible time)")
    table.columns[0].header = "variant"
    table.columns[0].no_wrap, table.columns[0].overflow = False, "fold"
    # A row for each variant, as above: there are many of them, and few components.
    names = [row.measurement.component for row in shown[0].rows]
    for heading in ("launch", *(name.replace("_", "_\n") for name in names)):
        table.add_column(heading, justify="right", no_wrap=True)
    for group in shown:
        cells = {row.measurement.component: _times_roofline(row) for row in group.rows}
        variant = f"{group.backend} {group.pipeline.asked}"
        table.add_row(variant, group.variant.launch, *(cells.get(name, "-") for name in names))
    rates = ", ".join(
        f"{precision} {2e-12 * rate:.0f}" for precision, rate in ceilings.matrix_macs_per_s.items()
    )
    table.caption = (
        f"c: bound by products, m: by memory. Measured here: {rates} T(FL)OP/s "
        f"({ceilings.source}), copies {ceilings.copy_bytes_per_s * 1e-12:.2f} TB/s; weights that "
        "stay in the L2 between launches can beat the latter"
    )
    return table
