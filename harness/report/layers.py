"""Which layers of an engine take the most time: where to look, not how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from harness.report.tables import table_of
from harness.types import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from harness.types import Engine

_SHOWN: Final = 8
# Longer names would push the numbers off a terminal of 80 columns.
_LONGEST_NAME: Final = 60


def render_layers(engines: Sequence[Engine]) -> list[Table]:
    """For each engine whose layers were timed, a table of the slowest."""
    return [_slowest(engine) for engine in engines if engine.details.get("layer_times")]


def _slowest(engine: Engine) -> Table:
    timed: Sequence[dict[str, Any]] = engine.details["layer_times"]
    variant = Variant(engine.backend, engine.precision, engine.route)
    table = table_of(f"{engine.component} ({variant}): the slowest layers")
    table.columns[0].header = "layer"
    for heading in ("us", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    total_s = sum(layer["median_s"] for layer in timed)
    for layer in timed[:_SHOWN]:
        share = f"{layer['median_s'] / total_s:.1%}" if total_s else "-"
        table.add_row(_cut(layer["layer"]), f"{layer['median_s'] * 1e6:.1f}", share)
    table.caption = _caption(len(timed), engine.details.get("layers_timed"), total_s)
    return table


def _caption(known: int, count: int | None, total_s: float) -> str:
    """``known`` are the times that the record holds, of ``count`` layers in all."""
    total = known if count is None else count
    left_out = max(0, total - _SHOWN)
    parts = []
    if left_out:
        at_least = " or more" if count is None else ""
        parts.append(f"{left_out}{at_least} faster layer{'s' * (left_out != 1)} left out")
    of_which = f"the {known} slowest" if total > known or count is None else f"all {total}"
    parts += [
        f"share: of the sum of {of_which}, {total_s * 1e3:.3g} ms",
        "layers run one by one here, so that the sum is more than the latency",
    ]
    return "; ".join(parts)


def _cut(name: str) -> Text:
    """As it is, brackets and all; fused layers are called by all of their names together."""
    return Text(name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}...")
