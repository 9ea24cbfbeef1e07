"""Where the time goes on a device: every variant end to end, and what the device does at best."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.padding import Padding
from rich.text import Text

from harness.pipeline.pipeline import DEVICE_TO_HOST, HOST_ENQUEUE, HOST_TO_DEVICE
from harness.report.tables import milliseconds_of, snr_of, table_of
from harness.report.words import milliseconds
from harness.types import CALL, ENQUEUE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from harness.report.figures import Figures
    from harness.report.rows import Group
    from harness.types import Ceilings, Variant

# ONNX Runtime's CUDA provider returns when the device is done.
_DEVICE_SUFFIX: Final = "-cuda"


def render_device(figures: Figures) -> list[RenderableType]:
    """All variants that ran on a device, beside each other for each case; then its ceilings."""
    cases = dict.fromkeys(group.case for group in figures.groups)
    parts: list[RenderableType] = []
    for case in cases:
        groups = [
            group
            for group in figures.groups
            if group.case == case
            and runs_on_device(group.variant)
            and group.pipeline.is_pipeline
            and not group.is_whole_only
        ]
        if groups:
            parts.append(_end_to_end(groups))
    if parts and figures.record.ceilings is not None:
        parts.append(Padding(Text(_ceilings(figures.record.ceilings), style="dim"), (0, 0, 0, 2)))
    return parts


def runs_on_device(variant: Variant) -> bool:
    """Whether it was timed on a device, or by a call that waits for one."""
    return variant.launch != CALL or variant.backend.endswith(_DEVICE_SUFFIX)


def _end_to_end(groups: Sequence[Group]) -> Table:
    title = f"end to end at {groups[0].case}, {groups[0].mode}: ms on the device"
    table = table_of(title, ("gaps", "sum", "d2h", "h2d", "host"))
    table.columns[0].header = "variant"
    headings = ["launch", "p50", "p99", "sum", "gaps", "h2d", "d2h", "host", "SNR dB"]
    # Each way of launching has its own.
    peers = {g.variant.launch: g.peer for g in groups if g.peer is not None}
    if peers:
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
        if peers:
            cells.append("-" if group.ratio_to_peer is None else f"{group.ratio_to_peer:.2f}")
        table.add_row(f"{group.backend} {whole.asked}", *cells)
    table.caption = _caption({group.variant.launch for group in groups}, peers)
    return table


def _caption(launches: set[str], peers: Mapping[str, Variant]) -> str:
    parts = [
        "sum: of the components' medians",
        "gaps: end to end less that",
        "h2d, d2h: the copies, apart from p50",
        "host: its time to hand the pipeline over",
    ]
    if ENQUEUE in launches:
        parts.append(
            "enqueue: events around launches as the host makes them, on an idle device: mostly "
            "the host's time"
        )
    if CALL in launches:
        parts.append("call: the host's clock, waits included")
    if peers:
        named = ", ".join(
            f"{replace(peer, launch=CALL)} ({launch})" for launch, peer in peers.items()
        )
        parts.append(f"vs peer: p50 over that of {named}, in this run")
    return "; ".join(parts)


def _signed(seconds: float) -> str:
    text = milliseconds(abs(seconds))
    return f"-{text}" if seconds < 0 else text


def _transfer(group: Group, name: str) -> str:
    for row in group.transfers:
        if row.measurement.component == name:
            return milliseconds(row.latency.median.value)
    return "-"


def _ceilings(ceilings: Ceilings) -> str:
    rates = ", ".join(
        f"{precision} {2e-12 * rate:.0f}" for precision, rate in ceilings.matrix_macs_per_s.items()
    )
    return (
        f"The roof is that of this device as measured: products {rates} T(FL)OP/s "
        f"({ceilings.source}), copies {ceilings.copy_bytes_per_s * 1e-12:.2f} TB/s, read and "
        "written. Weights that stay in the L2 between launches can beat the latter."
    )
