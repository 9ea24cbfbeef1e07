"""The machine's own part of a summary: its state over the run, and its canaries."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Final

from harness.report.summary import (
    CANARIES,
    CELSIUS,
    FRACTION,
    INTERVAL,
    LOAD,
    MACHINE,
    MEGAHERTZ,
    OPEN,
    WATTS,
    Column,
    Figure,
    Row,
    Subject,
    Table,
    Trace,
    Word,
)
from harness.report.summary_figures import change, quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.report.canaries import CanaryFigure
    from harness.report.figures import Figures
    from harness.states import DeviceState
    from harness.types import Record

    _Read = Callable[[DeviceState], float | None]

# How many steps a trace has.
_STEPS: Final = 48
# An interval of a drift that is wider, and holds 0, tells nothing of the machine.
_VAGUE: Final = 0.5


def _gpu(name: str) -> _Read:
    return lambda state: None if state.gpu is None else getattr(state.gpu, name)


def _host(name: str) -> _Read:
    return lambda state: getattr(state.host, name)


# What is shown: its name, its unit for people and for machines, and where it is read.
_QUANTITIES: Final[tuple[tuple[str, str, str, str, _Read], ...]] = (
    ("GPU clock", "MHz", "gpu_sm_clock", MEGAHERTZ, _gpu("sm_clock_mhz")),
    ("GPU power", "W", "gpu_power", WATTS, _gpu("power_w")),
    ("GPU temperature", "°C", "gpu_temperature", CELSIUS, _gpu("temperature_c")),
    ("CPU clock", "MHz", "cpu_clock", MEGAHERTZ, _host("clock_mhz")),
    ("CPU temperature", "°C", "cpu_temperature", CELSIUS, _host("temperature_c")),
    ("cores busy", "%", "cpu_busy", FRACTION, _host("busy")),
    ("other processes", "%", "cpu_others_busy", FRACTION, _host("others_busy")),
    ("load", "(1 min)", "load", LOAD, _host("load_average_1min")),
)


def machine_table(record: Record) -> Table | None:
    """The least, the median and the most of each quantity that was read while measuring."""
    states = _measuring(record)
    if not states:
        return None
    rows = []
    for name, shown, quantity, unit, read in _QUANTITIES:
        values = [(one.monotonic_s, v) for one in states if (v := _known(read(one))) is not None]
        if values:
            rows.append(_row(f"{name} {shown}", quantity, unit, values, states))
    if not rows:
        return None
    columns = (Column("min"), Column("median"), Column("max"), Column("over the run"))
    spent_s = states[-1].monotonic_s - states[0].monotonic_s
    title = f"The machine in the {spent_s:.0f} s of measuring"
    note = "each step is a median of readings, from the least to the most of its line"
    count = f"{len(states)} readings"
    return Table(MACHINE, title, "quantity", columns, tuple(rows), (f"{count}; {note}",))


def _known(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _measuring(record: Record) -> list[DeviceState]:
    """The readings of the time in which something was measured; all where that is not told."""
    states = sorted(record.telemetry, key=lambda one: one.monotonic_s)
    if not record.blocks:
        return states
    first = min(one.started_s for one in record.blocks)
    last = max(one.ended_s for one in record.blocks)
    return [one for one in states if first <= one.monotonic_s <= last] or states


def _row(
    name: str,
    quantity: str,
    unit: str,
    values: Sequence[tuple[float, float]],
    states: Sequence[DeviceState],
) -> Row:
    read = [value for _, value in values]
    told = (("min", min(read)), ("median", median(read)), ("max", max(read)))
    figures = tuple(
        Figure(Subject(component="machine"), f"{quantity}_{which}", unit, value, _text(unit, value))
        for which, value in told
    )
    trace = _trace(values, states[0].monotonic_s, states[-1].monotonic_s)
    return Row(name, (*figures, trace))


def _text(unit: str, value: float) -> str:
    if unit == FRACTION:
        return f"{100.0 * value:.0f}"
    return f"{value:.1f}" if unit == LOAD else f"{value:.0f}"


def _trace(values: Sequence[tuple[float, float]], first_s: float, last_s: float) -> Trace:
    """Medians of as many steps of time as there are; fewer where readings are few."""
    count = min(_STEPS, len(values))
    length_s = max((last_s - first_s) / count, 1e-9)
    steps: list[list[float]] = [[] for _ in range(count)]
    for at_s, value in values:
        steps[min(count - 1, int((at_s - first_s) / length_s))].append(value)
    return Trace(tuple(median(step) if step else None for step in steps))


def canary_table(figures: Figures) -> Table | None:
    """What the machine's frozen work took, and whether it drifted."""
    if not figures.canaries:
        return None
    columns = (
        Column("p50\nms"),
        Column("drift\n%"),
        Column("interval\n%", shows=INTERVAL),
        Column("drift seen"),
    )
    rows = tuple(_canary(one) for one in figures.canaries)
    note = "frozen work: what it drifts in the run is the machine's own"
    if any(len(one.drifts) > 1 for one in figures.canaries):
        note += "; drift: the worst within a series"
    simulated = ", SIMULATED" if figures.is_simulated else ""
    return Table(CANARIES, f"Canary{simulated}", "canary", columns, rows, (note,))


def _canary(one: CanaryFigure) -> Row:
    subject, drift = Subject(component=f"canary {one.name}"), one.drift
    if drift.is_finite:
        moved = change(subject, "drift", 1.0 + drift.value, 1.0 + drift.lower, 1.0 + drift.upper)
        is_vague = not drift.is_seen and drift.upper - drift.lower > _VAGUE
        told = "hardly known" if is_vague else "yes" if drift.is_seen else "no"
    else:
        moved, told = None, "too few samples"
    level = OPEN if told != "no" else ""
    p50 = quantile(subject, "p50", one.latency.median)
    return Row(one.name, (p50, moved, moved, Word(told, level)))


def steps_of(trace: Trace, most: int) -> Iterator[float | None]:
    """The trace in ``most`` steps at most, neighbours as one where there are more."""
    values = trace.values
    if len(values) <= most:
        yield from values
        return
    ends = [round(i * len(values) / most) for i in range(most + 1)]
    for first, last in pairwise(ends):
        held = [value for value in values[first:last] if value is not None]
        yield median(held) if held else None
