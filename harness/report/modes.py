"""What live audio and several streams see: latency by chunk, missed deadlines, throughput."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.tables import milliseconds_of, snr_of, table_of
from harness.report.words import bare_milliseconds, milliseconds, percent
from harness.stats.proportions import independent_trials, upper_bound
from harness.stats.quantiles import estimate_quantile
from harness.stats.throughput import RateEstimate, in_flight, throughput
from harness.types import CONCURRENT, HOT, PACED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from harness.report.figures import Figures
    from harness.report.rows import Group, Row


@dataclass(frozen=True)
class PacedFigure:
    """What a stream in real time sees, in seconds.

    ``buffered_median_s`` and ``buffered_p99_s`` are from a chunk's first sample, which waits one
    period for the last. ``missed_upper`` is the 95 % upper bound of the rate of missed deadlines,
    to which the ``count`` chunks are ``worth`` so many independent ones, ``late_p99_s`` how late
    the host woke up (a part of the latency), and ``ratio_to_hot`` the median over that of the same
    call back to back in the same run.
    """

    period_s: float
    buffered_median_s: float
    buffered_p99_s: float
    missed: int
    count: int
    missed_upper: float
    worth: float
    late_p99_s: float | None
    hot_median_s: float | None
    ratio_to_hot: float | None


@dataclass(frozen=True)
class ConcurrentFigure:
    """What so many streams give together, and against one stream in the same run.

    ``rate_per_s`` counts inferences of all streams, with its interval over blocks, or over several
    processes. ``in_flight`` is how many were at work at a time, which should be the streams.
    """

    streams: int
    rate_per_s: RateEstimate
    in_flight: float
    rate_ratio: float | None
    latency_ratio: float | None


def paced_figure(group: Group, figures: Figures) -> PacedFigure | None:
    """The figures of a group that was paced; None of another."""
    measured, latency = group.pipeline.measurement, group.pipeline.latency
    period_s, missed = measured.period_s, measured.missed_deadlines
    if group.mode != PACED or period_s is None or missed is None:
        return None
    hot = _other(group, figures, HOT, 1)
    hot_s = hot.pipeline.latency.median.value if hot else None
    late = measured.lateness_s
    worth = _worth(group.pipeline, period_s)
    return PacedFigure(
        period_s=period_s,
        buffered_median_s=period_s + latency.median.value,
        buffered_p99_s=period_s + latency.p99.value,
        missed=missed,
        count=latency.count,
        missed_upper=upper_bound(missed, latency.count, worth=worth),
        worth=worth,
        late_p99_s=estimate_quantile(late, 0.99).value if late else None,
        hot_median_s=hot_s,
        ratio_to_hot=latency.median.value / hot_s if hot_s else None,
    )


def concurrent_figure(group: Group, figures: Figures) -> ConcurrentFigure | None:
    """The figures of a group of streams; None of another."""
    measured = group.pipeline.measurement
    if group.mode != CONCURRENT:
        return None
    rate = _rate(group.pipeline)
    one = _other(group, figures, CONCURRENT, 1)
    flying = in_flight(rate.value, measured.latency_s)
    if one is None or one is group:
        return ConcurrentFigure(measured.streams, rate, flying, None, None)
    return ConcurrentFigure(
        streams=measured.streams,
        rate_per_s=rate,
        in_flight=flying,
        rate_ratio=rate.value / _rate(one.pipeline).value,
        latency_ratio=group.pipeline.latency.median.value / one.pipeline.latency.median.value,
    )


def _worth(row: Row, period_s: float) -> float:
    """How many independent chunks were paced: those of one process, or block, may share a cause."""
    parts = [part for part in row.parts if part.latency_s] or [row.measurement]
    missed = [one_s > period_s for part in parts for one_s in part.latency_s]
    whole = tuple(len(part.latency_s) for part in parts)
    blocks = tuple(passes for part in parts for passes in part.passes)
    in_blocks = independent_trials(missed, blocks if sum(blocks) == len(missed) else ())
    return min(in_blocks, independent_trials(missed, whole))


def _rate(row: Row) -> RateEstimate:
    """Inferences a second; blocks of one process are alike, so that of several these count."""
    parts = row.parts
    if len(parts) == 1:
        return throughput(parts[0].block_passes, parts[0].block_wall_s)
    counts = [sum(part.block_passes) for part in parts]
    return throughput(counts, [sum(part.block_wall_s) for part in parts])


def _other(group: Group, figures: Figures, mode: str, streams: int) -> Group | None:
    """The same variant at the same case, as work arrived otherwise in the same run."""
    for other in figures.groups:
        setting = (other.case, other.variant, other.mode, other.pipeline.measurement.streams)
        if other.is_whole_only and setting == (group.case, group.variant, mode, streams):
            return other
    return None


def render_modes(figures: Figures) -> list[RenderableType]:
    """A table for each case that was paced, and one for each that ran in several streams."""
    parts: list[RenderableType] = []
    for mode, render in ((PACED, _paced_table), (CONCURRENT, _concurrent_table)):
        groups = [group for group in figures.groups if group.mode == mode]
        for case in dict.fromkeys(group.case for group in groups):
            at_case = [group for group in groups if group.case == case]
            parts.append(render(at_case, figures))
    return parts


def _paced_table(groups: Sequence[Group], figures: Figures) -> Table:
    period_s = groups[0].pipeline.measurement.period_s or 0.0
    title = (
        f"{groups[0].case}, {PACED}, a chunk every {bare_milliseconds(period_s)} ms: "
        "ms from host to host"
    )
    buffered = ("p50\n+buf", "p99\n+buf")
    headings = ("p50", "p99", *buffered, "missed", "at\nmost", "hot\np50", "ratio", "late")
    table = _table(title, (*headings, "SNR\ndB"), ("late", "p50 +buf", "p99 +buf", "hot p50"))
    for group in groups:
        figure = paced_figure(group, figures)
        if figure is None:
            continue
        latency = group.pipeline.latency
        table.add_row(
            group.name,
            milliseconds_of(latency.median),
            milliseconds_of(latency.p99),
            milliseconds(figure.buffered_median_s),
            milliseconds(figure.buffered_p99_s),
            f"{figure.missed}/{figure.count}",
            percent(figure.missed_upper),
            "-" if figure.hot_median_s is None else milliseconds(figure.hot_median_s),
            "-" if figure.ratio_to_hot is None else f"{figure.ratio_to_hot:.2f}",
            "-" if figure.late_p99_s is None else milliseconds(figure.late_p99_s),
            snr_of(group.pipeline),
        )
    table.caption = (
        "from a chunk's arrival until its result is on the host, copies included; +buf adds the "
        "period that its first sample waits for its last; missed: done after the next arrival, "
        "with the 95 % upper bound of the rate, which is higher where misses come together; hot: "
        "the same back to back in this run; late: p99 of how late the host woke up, which the "
        "latency includes"
    )
    return table


def _concurrent_table(groups: Sequence[Group], figures: Figures) -> Table:
    title = f"{groups[0].case}, {CONCURRENT}: ms from host to host, inferences a second of all"
    headings = ("streams", "threads", "p50", "p99", "per s", "95 %\ninterval", "in\nflight")
    spare = ("threads", "counted s", "n", "p50 x", "rate x", "in flight")
    table = _table(title, (*headings, "rate\nx", "p50\nx", "n", "counted\ns", "SNR\ndB"), spare)
    for group in groups:
        figure = concurrent_figure(group, figures)
        if figure is None:
            continue
        latency, rate = group.pipeline.latency, figure.rate_per_s
        table.add_row(
            group.name,
            str(figure.streams),
            str(group.pipeline.measurement.threads),
            milliseconds_of(latency.median),
            milliseconds_of(latency.p99),
            f"{rate.value:.4g}",
            f"{rate.lower:.4g} to {rate.upper:.4g}" if rate.is_finite else "-",
            f"{figure.in_flight:.3g}",
            "-" if figure.rate_ratio is None else f"{figure.rate_ratio:.2f}",
            "-" if figure.latency_ratio is None else f"{figure.latency_ratio:.2f}",
            str(rate.inferences),
            f"{rate.counted_s:.2f}",
            snr_of(group.pipeline),
        )
    table.caption = (
        "every stream begins its next inference when its last one has ended; threads are those of "
        "one stream; per s: n over the seconds in which they were counted; in flight: rate x mean "
        "latency, which should be the streams; x: against one stream in the same run"
    )
    return table


def _table(title: str, headings: Sequence[str], spare: Sequence[str]) -> Table:
    table = table_of(title, spare)
    table.columns[0].header = "variant"
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=not heading.startswith("SNR"))
    return table
